// Lines over shares of labels and over severities, by uPlot.
const curves = { dataset: 0, metric: PRIMARY, attribute: ALL, condition: "clean", fraction: null, corruption: "mean", chosen: null, slots: new Map(), drawn: [] };
function curvesPanel(panel) {
  const controls = h("div", { class: "controls" }), charts = h("div", { class: "grid" }), toggles = h("div", { class: "toggles", role: "group", "aria-label": "Methods shown" });
  const draw = () => {
    const { dataset } = curves, metrics = metricsOf(dataset);
    if (!metrics.some(([metric]) => metric === curves.metric) && metrics.length) curves.metric = metrics[0][0];
    const attributes = attributesOf(dataset, curves.metric), fractions = fractionsOf(dataset);
    if (!attributes.includes(curves.attribute)) curves.attribute = attributes[0];
    if (!fractions.includes(curves.fraction)) curves.fraction = fractions.at(-1);
    const corruptions = [...new Set([...cellsOf(dataset)].filter((cell) => cells.severity[cell]).map((cell) => F.corruptions[cells.corruption[cell]]))];
    const averaged = corruptions.filter((name) => !F.extras.includes(name));
    if (!corruptions.includes(curves.corruption)) curves.corruption = corruptions.length === 1 ? corruptions[0] : "mean";
    const conditions = [...new Set([...cellsOf(dataset)].map(conditionOf))];
    if (!conditions.includes(curves.condition)) curves.condition = conditions[0];
    const methods = [...new Set([...cellsOf(dataset)].map((cell) => cells.method[cell]))];
    if (!curves.chosen || !methods.some((method) => curves.chosen.has(method))) curves.chosen = new Set(bestMethods(methods));
    const set = (name, number) => (value) => { curves[name] = number ? +value : value; if (name === "dataset") curves.chosen = null; draw(); };
    controls.replaceChildren(
      select("Data set", datasetChoices(), dataset, set("dataset", true)), select("Metric", metrics, curves.metric, set("metric", true)),
      select("Attribute type", attributes.map((each) => [each, F.attributes[each]]), curves.attribute, set("attribute", true)));
    const dotOf = (method) => (slotOf(method) === null ? "var(--line)" : colour(slotOf(method)));
    toggles.replaceChildren(...methods.map((method) => {
      const dot = h("i", { style: { background: dotOf(method) } });
      const button = h("button", { type: "button", class: "toggle", "aria-pressed": curves.chosen.has(method), onclick: () => {
        curves.chosen.has(method) ? curves.chosen.delete(method) : curves.chosen.add(method);
        button.setAttribute("aria-pressed", curves.chosen.has(method));
        dot.style.background = dotOf(method);
        paint();
      } }, dot, F.methods[method]);
      return button;
    }));
    const paint = () => {
      for (const chart of curves.drawn) chart.destroy();
      curves.drawn = [];
      charts.replaceChildren(
        curveCard("How much labels buy", h("div", { class: "controls" }, select("Condition", conditions.map((name) => [name, name]), curves.condition, set("condition"))), byLabels(methods), "share of the labels"),
        curveCard("What corruption costs", h("div", { class: "controls" },
          select("Corruption", [...(corruptions.length === 1 ? [] : [["mean", corruptions.length ? `mean of ${averaged.length} corruptions` : "none was run"]]), ...corruptions.map((name) => [name, name])], curves.corruption, set("corruption")),
          select("Labels", fractions.map((each) => [each, share(F.fractions[each])]), curves.fraction, set("fraction", true))), bySeverity(methods, averaged), "severity"));
    };
    paint();
  };
  panel.append(controls, h("section", { class: "card" }, h("h3", null, "Methods"), toggles),
    charts, quiet("Bands are 95 % intervals. A line breaks where a cell is missing or lost. Hover, or focus a chart and use the arrow keys, to read values."));
  draw();
  redraw.curves = draw;
}
function slotOf(method) {  // a colour of its own for each method shown, kept while it is shown
  for (const other of curves.slots.keys()) if (!curves.chosen.has(other)) curves.slots.delete(other);
  if (!curves.chosen.has(method)) return null;
  if (!curves.slots.has(method)) {
    const used = new Set(curves.slots.values());
    let slot = 0;
    while (used.has(slot)) slot += 1;
    curves.slots.set(method, slot);
  }
  return curves.slots.get(method);
}
function bestMethods(methods) {
  const whole = wholeOf(curves.dataset), value = new Map();
  for (const cell of cellsOf(curves.dataset)) {
    const found = !cells.severity[cell] && cells.fraction[cell] === whole && figure(cell, curves.attribute, curves.metric);
    if (found) value.set(cells.method[cell], found.mean);
  }
  const sign = F.lower_is_better.includes(F.metrics[curves.metric]) ? -1 : 1, rank = (method) => (value.has(method) ? sign * value.get(method) : -Infinity);
  const order = [...methods].sort((a, b) => (rank(a) === rank(b) ? 0 : rank(b) - rank(a)));
  const floor = order.find(isFloor);
  return [...new Set([...order.filter((method) => !isFloor(method)).slice(0, 5), ...(floor === undefined ? [] : [floor])])];
}
function byLabels(methods) {
  const fractions = fractionsOf(curves.dataset), found = new Map();
  for (const cell of cellsOf(curves.dataset)) if (conditionOf(cell) === curves.condition) found.set(`${cells.method[cell]},${cells.fraction[cell]}`, cell);
  const values = (method) => fractions.map((fraction) => { const cell = found.get(`${method},${fraction}`); return cell === undefined ? null : figure(cell, curves.attribute, curves.metric); });
  return { xs: fractions.map((fraction) => Math.log2(F.fractions[fraction])), names: fractions.map((fraction) => share(F.fractions[fraction])),
    lines: methods.map((method) => ({ method, values: values(method) })) };
}
function bySeverity(methods, averaged) {
  const found = new Map(), severities = new Set([0]);
  for (const cell of cellsOf(curves.dataset)) {
    if (cells.fraction[cell] !== curves.fraction) continue;
    severities.add(cells.severity[cell]);
    found.set(`${cells.method[cell]},${cells.severity[cell] ? F.corruptions[cells.corruption[cell]] : ""},${cells.severity[cell]}`, cell);
  }
  const xs = [...severities].sort((a, b) => a - b);
  const one = (method, name, severity) => { const cell = found.get(`${method},${severity ? name : ""},${severity}`); return cell === undefined ? null : figure(cell, curves.attribute, curves.metric); };
  const mean = (method, severity) => {
    const all = averaged.map((name) => one(method, name, severity));
    return all.length && all.every(Boolean) ? { mean: all.reduce((sum, each) => sum + each.mean, 0) / all.length, low: null, high: null } : severity ? null : one(method, "", 0);
  };
  return { xs, names: xs.map((severity) => (severity ? String(severity) : "clean")),
    lines: methods.map((method) => ({ method, values: xs.map((severity) => (curves.corruption === "mean" && severity ? mean(method, severity) : one(method, curves.corruption, severity))) })) };
}
function curveCard(title, controls, { xs, names, lines }, label) {
  const shownLines = lines.filter((line) => curves.chosen.has(line.method) && line.values.some(Boolean));
  const absent = lines.filter((line) => curves.chosen.has(line.method) && !line.values.some(Boolean)).map((line) => F.methods[line.method]);
  const holder = h("div", { class: "chart", tabindex: "0", role: "img", "aria-label": `${title}: ${shownLines.map((line) => F.methods[line.method]).join(", ")}. The table below has the values.` });
  const text = (value) => (value ? `${shown(curves.metric, value.mean)}${value.low === null ? "" : ` (${shown(curves.metric, value.low)}–${shown(curves.metric, value.high)})`}` : "–");
  const table = h("details", null, h("summary", null, "As a table"), h("div", { class: "scroll" }, h("table", null,
    h("thead", null, h("tr", null, h("th", { scope: "col", class: "stick" }, "method"), names.map((name) => h("th", { scope: "col", class: "num" }, name)))),
    h("tbody", null, shownLines.map((line) => h("tr", null, nameCell(F.methods[line.method]), line.values.map((value) => numCell(text(value)))))))));
  if (!shownLines.length) holder.append(nothing(curves.chosen.size ? "No result of the methods chosen." : "Choose a method above."));
  else requestAnimationFrame(() => drawChart(holder, xs, names, shownLines, label));
  return h("section", { class: "card" }, h("h3", null, title), controls, holder, absent.length ? quiet(`No figure: ${absent.join(", ")}`) : "", table);
}
function drawChart(holder, xs, names, lines, label) {
  if (!holder.isConnected) return;
  const scale = nats(curves.metric) ? 1 : 100, series = [{}], columns = [xs], bands = [];
  const ink = resolved("--muted"), grid = resolved("--line");
  const pick = (line, name) => line.values.map((value) => (value && value[name] !== null ? scale * value[name] : null));
  for (const line of lines) {
    const slot = slotOf(line.method), stroke = resolved(`--c${slot % COLOURS}`), place = series.length;
    series.push({ label: F.methods[line.method], stroke, width: 2, dash: DASHES[Math.floor(slot / COLOURS) % DASHES.length], points: { show: true, size: 6, fill: stroke } },
      { show: true, width: 0, stroke: "transparent", points: { show: false } }, { show: true, width: 0, stroke: "transparent", points: { show: false } });
    columns.push(pick(line, "mean"), pick(line, "low"), pick(line, "high"));
    bands.push({ series: [place + 2, place + 1], fill: faded(stroke, 0.13) });
  }
  const tip = h("div", { class: "tip", role: "status", hidden: true });
  const span = xs.at(-1) - xs[0] || 1, font = "12px system-ui, sans-serif";
  const axis = { stroke: ink, font, labelFont: font, labelSize: 20, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
  const chart = new uPlot({
    width: Math.max(240, holder.clientWidth), height: 300, series, bands, legend: { show: false },
    scales: { x: { time: false, range: [xs[0] - 0.06 * span, xs.at(-1) + 0.06 * span] } },
    axes: [{ ...axis, label, splits: () => xs, values: () => names, size: 38 }, { ...axis, label: `${F.metrics[curves.metric]}${scale === 1 ? ", nats" : ", %"}`, size: 46 }],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: (u, i) => (i % 3 === 1 ? 9 : 0) } },
    hooks: { setCursor: [(u) => showTip(u, tip, names, lines)] },
  }, columns, holder);
  chart.over.append(tip);
  const move = (place) => { const i = Math.max(0, Math.min(xs.length - 1, place)); chart.setCursor({ left: chart.valToPos(xs[i], "x"), top: 20 }); };
  holder.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) { move(chart.cursor.idx === null || chart.cursor.idx === undefined ? 0 : chart.cursor.idx + step); event.preventDefault(); }
    if (event.key === "Escape") chart.setCursor({ left: -10, top: -10 });
  });
  curves.drawn.push(chart);
}
const DASHES = [[], [7, 4], [2, 3]];
function showTip(u, tip, names, lines) {
  const { idx, left } = u.cursor;
  tip.hidden = idx === null || idx === undefined || left < 0;
  if (tip.hidden) return;
  const rows = lines.map((line) => [line, line.values[idx]]).filter(([, value]) => value).sort((a, b) => b[1].mean - a[1].mean);
  const lost = lines.length - rows.length;
  tip.replaceChildren(h("b", null, names[idx]), ...rows.map(([line, value]) => h("div", null, h("i", { style: { background: colour(slotOf(line.method)) } }),
    h("span", { style: { flex: "1" } }, F.methods[line.method]), h("span", null, shown(curves.metric, value.mean)))), lost ? h("div", null, `${lost} without a result`) : "");
  const wide = u.over.clientWidth, right = left > wide / 2;
  Object.assign(tip.style, { left: right ? "auto" : `${left + 14}px`, right: right ? `${wide - left + 14}px` : "auto", top: "6px" });
}
