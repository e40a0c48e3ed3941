// t-SNE of embeddings, and attention maps.
const maps = { dataset: null, type: null, perplexity: 30, highlight: null };
function mapsPanel(panel) {
  const { maps: found, left_out: more } = data.maps;
  if (!found.length) panel.append(nothing("No method of this report keeps embeddings."));
  else {
    const controls = h("div", { class: "controls" }), place = h("div", { class: "maps" });
    const draw = () => {
      const sets = [...new Set(found.map(datasetKey))];
      if (!sets.includes(maps.dataset)) maps.dataset = sets[0];
      const types = [...new Set(found.filter((each) => datasetKey(each) === maps.dataset).map((each) => each.type))];
      if (!types.includes(maps.type)) maps.type = types[0];
      const set = (name) => (value) => { maps[name] = name === "perplexity" ? +value : value; draw(); };
      controls.replaceChildren(select("Data set", sets.map((name) => [name, name]), maps.dataset, set("dataset")), select("Attribute type", types.map((name) => [name, name]), maps.type, set("type")),
        select("Perplexity", [[5, "5"], [15, "15"], [30, "30"], [50, "50"]], maps.perplexity, set("perplexity")));
      place.replaceChildren(...found.filter((each) => datasetKey(each) === maps.dataset && each.type === maps.type).map(mapFigure));
    };
    panel.append(controls, h("section", { class: "card" }, h("h3", null, "t-SNE of test images"), place,
      quiet("Directions of the embeddings of the first test images, first seed, coloured by the most frequent classes. Computed here from their principal axes, from the same start each time. ",
        "Near points are alike; distances between groups mean nothing."), more ? quiet(`${more} more maps were left out to keep this file small.`) : ""));
    draw();
  }
  panel.append(attention());
}
const datasetKey = (each) => `${each.dataset} (${each.source})`;
function mapFigure(entry) {
  const drawing = svg("svg", { viewBox: "0 0 300 300", role: "img", "aria-label": `t-SNE of ${entry.method}, ${entry.type}` });
  const legend = h("ul", { class: "legend" }, entry.classes.map((name, i) => h("li", null, h("button", { type: "button", class: "toggle", "aria-pressed": "true", onclick: (event) => {
    const button = event.currentTarget, on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    for (const dot of drawing.children) if (+dot.dataset.class === i) dot.setAttribute("opacity", on ? 0.85 : 0.08);
  } }, h("i", { style: { background: colour(i) } }), name))));
  const colours = u1(entry.colours);
  setTimeout(() => {
    const flat = tsne(i1(entry.points), entry.size[0], entry.size[1], maps.perplexity);
    const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
    for (let i = 0; i < flat.length; i++) { low[i % 2] = Math.min(low[i % 2], flat[i]); high[i % 2] = Math.max(high[i % 2], flat[i]); }
    const at = (i, axis) => 12 + (276 * (flat[2 * i + axis] - low[axis])) / (high[axis] - low[axis] || 1);
    for (let i = 0; i < entry.size[0]; i++) {
      const own = colours[i] < COLOURS ? colours[i] : -1;
      const dot = svg("circle", { cx: at(i, 0).toFixed(1), cy: at(i, 1).toFixed(1), r: 3.4, fill: own < 0 ? "var(--muted)" : colour(own), opacity: own < 0 ? 0.3 : 0.85, "data-class": own },
        svg("title", null, own < 0 ? `image ${i}: another class, or none` : `image ${i}: ${entry.classes[own]}`));
      drawing.append(dot);
    }
    drawing.dataset.done = "true";
  });
  return h("figure", null, h("figcaption", null, h("b", null, entry.method), ` · ${share(entry.fraction)} of the labels · ${entry.size[0]} images`), drawing, legend);
}
function tsne(points, n, dims, perplexity) {  // van der Maaten & Hinton 2008, exact, from the first two axes; Float64Array (n, 2)
  const d2 = new Float64Array(n * n), p = new Float64Array(n * n), wanted = Math.log(Math.max(2, Math.min(perplexity, (n - 1) / 3)));
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) {
    let sum = 0;
    for (let k = 0; k < dims; k++) { const d = (points[i * dims + k] - points[j * dims + k]) / 127; sum += d * d; }
    d2[i * n + j] = d2[j * n + i] = sum;
  }
  for (let i = 0; i < n; i++) {  // the precision at which the neighbours of i have the wanted entropy, by bisection
    let beta = 1, low = 0, high = Infinity;
    for (let trial = 0; trial < 50; trial++) {
      let sum = 0, weighted = 0;
      for (let j = 0; j < n; j++) { const e = i === j ? 0 : Math.exp(-d2[i * n + j] * beta); p[i * n + j] = e; sum += e; weighted += e * d2[i * n + j]; }
      const entropy = Math.log(sum || 1e-300) + (beta * weighted) / (sum || 1e-300);
      for (let j = 0; j < n; j++) p[i * n + j] /= sum || 1e-300;
      if (Math.abs(entropy - wanted) < 1e-4) break;
      if (entropy > wanted) { low = beta; beta = high === Infinity ? 2 * beta : (beta + high) / 2; } else { high = beta; beta = (beta + low) / 2; }
    }
  }
  for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) p[i * n + j] = p[j * n + i] = Math.max((p[i * n + j] + p[j * n + i]) / (2 * n), 1e-12);
  const y = new Float64Array(2 * n), speed = new Float64Array(2 * n), gain = new Float64Array(2 * n).fill(1), q = new Float64Array(n * n);
  let spread = 0;
  for (let i = 0; i < n; i++) spread += (points[i * dims] / 127) ** 2;
  for (let i = 0; i < 2 * n; i++) y[i] = (1e-2 * points[(i >> 1) * dims + (dims > 1 ? i & 1 : 0)]) / 127 / Math.sqrt(spread / n || 1) + (dims > 1 ? 0 : 1e-4 * ((i * 7919) % 13));
  const rate = Math.max(n / 12 / 4, 20);
  for (let step = 0; step < 500; step++) {
    const early = step < 120 ? 12 : 1, momentum = step < 120 ? 0.5 : 0.8;
    let total = 0;
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) {
      const a = y[2 * i] - y[2 * j], b = y[2 * i + 1] - y[2 * j + 1];
      total += 2 * (q[i * n + j] = 1 / (1 + a * a + b * b));
    }
    const g = new Float64Array(2 * n);
    for (let i = 0; i < n; i++) for (let j = 0; j < i; j++) {
      const w = q[i * n + j], pull = 4 * (early * p[i * n + j] - w / total) * w;
      const a = pull * (y[2 * i] - y[2 * j]), b = pull * (y[2 * i + 1] - y[2 * j + 1]);
      g[2 * i] += a; g[2 * i + 1] += b; g[2 * j] -= a; g[2 * j + 1] -= b;
    }
    for (let i = 0; i < 2 * n; i++) {
      gain[i] = Math.max(0.01, g[i] > 0 === speed[i] > 0 ? gain[i] * 0.8 : gain[i] + 0.2);
      speed[i] = momentum * speed[i] - rate * gain[i] * g[i];
      y[i] += speed[i];
    }
  }
  return y;
}
function attention() {
  if (!data.attention.length) return h("section", { class: "card" }, h("h3", null, "Attention maps"), nothing("No record of this report keeps attention maps."));
  return h("section", { class: "card" }, h("h3", null, "Attention maps"), quiet("The first test images, each map scaled to its own range over all of them."),
    data.attention.map((each) => h("div", null, h("p", null, h("b", null, each.method), ` · ${datasetKey(each)} · ${share(each.fraction)} of the labels`),
      each.images.length ? h("div", { class: "heat" }, each.images.map((src, i) => h("img", { src, alt: `test image ${i}`, width: 96, height: 96 }))) : "", each.maps.map((map) => heatRow(each, map)))));
}
function heatRow(entry, map) {
  const [count, rows, columns] = map.size, pixels = u1(map.pixels);
  const box = h("div", { class: "heat" });
  for (let i = 0; i < count; i++) {
    const canvas = h("canvas", { width: columns, height: rows, role: "img", "aria-label": `${map.name}, test image ${i}` }), context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
    for (let j = 0; j < rows * columns; j++) image.data.set(heat(pixels[i * rows * columns + j] / 255), 4 * j);
    context.putImageData(image, 0, 0);
    box.append(entry.images[i] ? h("div", { class: "over" }, h("img", { src: entry.images[i], alt: "" }), canvas) : canvas);
  }
  return h("figure", null, h("figcaption", null, `${map.name} (${map.low} to ${map.high})`), box);
}
const heat = (v) => [255 * Math.min(1, 1.6 * v), 255 * Math.max(0, 1.7 * v - 0.5), 255 * (0.35 + 0.4 * Math.sin(Math.PI * v)) * (1 - 0.6 * v), 255];
