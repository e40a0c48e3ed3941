// The data in this file, decoded, and how to find a figure in them.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const data = read("json-data"), F = read("json-figures"), gallery = read("json-gallery");
const MISSING = 65535, TIED = 1, FLOOR = 2, COLOURS = 8;
function u1(text) {
  const found = atob(text), out = new Uint8Array(found.length);
  for (let i = 0; i < found.length; i++) out[i] = found.charCodeAt(i);
  return out;
}
const u2 = (text) => new Uint16Array(u1(text).buffer);
const i1 = (text) => new Int8Array(u1(text).buffer);
const cells = Object.fromEntries(Object.entries(F.cells).map(([name, text]) => [name, name === "method" || name === "status" ? u2(text) : u1(text)]));
const byKind = new Map();
for (const block of F.blocks) {
  block.mean = u2(block.mean);
  if (block.low) { block.low = u2(block.low); block.high = u2(block.high); block.flags = u1(block.flags); }
  block.kinds.forEach(([attribute, metric, step], column) => {
    const key = `${attribute},${metric}`;
    if (!byKind.has(key)) byKind.set(key, []);
    byKind.get(key).push({ block, column, step });
  });
}
function figure(cell, attribute, metric) {
  for (const { block, column, step } of byKind.get(`${attribute},${metric}`) || []) {
    if (cell < block.start || cell >= block.stop) continue;
    const i = (cell - block.start) * block.kinds.length + column;
    if (block.mean[i] === MISSING) continue;
    const interval = block.low && block.low[i] !== MISSING;
    return { mean: block.mean[i] * step, low: interval ? block.low[i] * step : null, high: interval ? block.high[i] * step : null,
      tied: Boolean(block.flags && block.flags[i] & TIED), floor: Boolean(block.flags && block.flags[i] & FLOOR) };
  }
  return null;
}
const ALL = F.attributes.indexOf(F.all), PRIMARY = F.metrics.indexOf(F.primary);
const metricPlaces = F.metrics.map((name, place) => [place, name]).filter(([, name]) => name);
function fixed(value, digits) {  // as the tables' files round: a tie goes to the even digit
  const units = value * 2 ** (digits + 1), tie = Number.isInteger(units) && units % 2 !== 0, below = Math.floor(value * 10 ** digits);
  return (tie ? (below + (below % 2 ? 1 : 0)) / 10 ** digits : value).toFixed(digits);
}
const nats = (metric) => F.metrics[metric] === "cross_entropy";
const shown = (metric, value) => (value === null || value === undefined ? "–" : fixed(nats(metric) ? value : 100 * value, nats(metric) ? 3 : 1));
const share = (value) => `${+(100 * value).toPrecision(4)} %`;
function attributesOf(dataset, metric) {  // of which the metric is known, the pool first
  const found = new Set();
  for (const block of F.blocks) if (block.dataset === dataset) for (const [attribute, own] of block.kinds) if (own === metric) found.add(attribute);
  return [...found].sort((a, b) => a - b);
}
const metricsOf = (dataset) => metricPlaces.filter(([metric]) => attributesOf(dataset, metric).length);
function* cellsOf(dataset) { const [start, , stop] = F.datasets[dataset].range; for (let i = start; i < stop; i++) yield i; }
const conditionOf = (cell) => (cells.severity[cell] ? `${F.corruptions[cells.corruption[cell]]}/${cells.severity[cell]}` : "clean");
const datasetText = (each) => `${each.name} (${each.source})`;
const datasetChoices = () => F.datasets.map((each, place) => [place, datasetText(each)]);
const fractionsOf = (dataset) => [...new Set([...cellsOf(dataset)].map((cell) => cells.fraction[cell]))].sort((a, b) => a - b);
const wholeOf = (dataset) => fractionsOf(dataset).at(-1);
const isFloor = (method) => F.methods[method].startsWith("floor/");
