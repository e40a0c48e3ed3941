// The leaderboard: filters, and a table that sorts.
const board = { dataset: 0, metric: PRIMARY, condition: "clean", fraction: "all", text: "", tied: false, floors: true };
function leaderboard(panel) {
  const controls = h("div", { class: "controls" }), place = h("div"), count = h("p", { class: "quiet", role: "status" });
  const search = h("input", { type: "search", placeholder: "mtss student", value: board.text, oninput: () => { board.text = search.value; fill(); } });
  const draw = () => {
    const conditions = [...new Set([...cellsOf(board.dataset)].map(conditionOf))];
    const metrics = metricsOf(board.dataset);
    if (!conditions.includes(board.condition)) board.condition = conditions[0];
    if (!metrics.some(([metric]) => metric === board.metric)) board.metric = metrics.length ? metrics[0][0] : PRIMARY;
    if (board.fraction !== "all" && !fractionsOf(board.dataset).includes(+board.fraction)) board.fraction = "all";
    const set = (name, number) => (value) => { board[name] = number ? +value : value; draw(); };
    controls.replaceChildren(
      select("Data set", datasetChoices(), board.dataset, set("dataset", true)),
      select("Metric", metrics, board.metric, set("metric", true)),
      select("Condition", conditions.map((name) => [name, name]), board.condition, set("condition")),
      select("Labels", [["all", "all shares"], ...fractionsOf(board.dataset).map((fraction) => [fraction, share(F.fractions[fraction])])], board.fraction, set("fraction")),
      h("label", null, "Methods that contain", search),
      check("tied with the best only", board.tied, (on) => { board.tied = on; fill(); }),
      check("floors", board.floors, (on) => { board.floors = on; fill(); }));
    fill();
  };
  const fill = () => {
    const all = boardRows(), words = board.text.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = all.filter((row) => words.every((each) => row.method.toLowerCase().includes(each)) && (!board.tied || row.figures.some((value) => value && value.tied))
      && (board.floors || !row.method.startsWith("floor/")));
    count.textContent = `${rows.length} of ${all.length} rows`;
    place.replaceChildren(rows.length ? boardTable(rows) : nothing("No row matches these filters."));
  };
  panel.append(controls, h("section", { class: "card" }, count, place,
    quiet(`± half the 95 % interval (bootstrap over images and seeds). ★ cannot be told from the best of its share of labels. ▽ not above the prior. `,
      `“not run” and lost cells have no figure, and come last. Click a column's head to sort by it.`)),
    F.left_out.length ? quiet(`Left out to keep this file small, and found in leaderboard.csv: ${F.left_out.join("; ")}.`) : "");
  draw();
}
function boardRows() {
  const attributes = attributesOf(board.dataset, board.metric), known = new Map(), rows = [];
  for (const cell of cellsOf(board.dataset)) {
    const place = `${cells.method[cell]},${cells.fraction[cell]}`;
    if (board.fraction !== "all" && cells.fraction[cell] !== +board.fraction) continue;
    if (!known.has(place)) known.set(place, null);
    if (conditionOf(cell) === board.condition) known.set(place, cell);
  }
  for (const [place, cell] of known) {
    const [method, fraction] = place.split(",").map(Number);
    rows.push({ method: F.methods[method], fraction: F.fractions[fraction], cell, attributes,
      figures: attributes.map((attribute) => (cell === null ? null : figure(cell, attribute, board.metric))),
      seeds: cell === null ? null : cells.seeds[cell], status: cell === null ? "not run" : F.statuses[cells.status[cell]] });
  }
  return rows;
}
function boardTable(rows) {
  const { attributes } = rows[0], most = attributes.map((_, i) => Math.max(...rows.map((row) => (row.figures[i] ? row.figures[i].mean : 0))));
  const figureCell = (row, i) => {
    const value = row.figures[i];
    if (!value) return h("td", { class: "num lost" }, i || row.status === "ok" ? "–" : row.status);
    return h("td", { class: `num fig ${value.tied ? "tied" : ""}`, title: value.low === null ? null : `95 % interval ${shown(board.metric, value.low)} to ${shown(board.metric, value.high)}` },
      withHalf(board.metric, value), value.tied ? " ★" : "", value.floor ? h("span", { class: "floor", title: "not above the prior" }, " ▽") : "", meter(value.mean / (most[i] || 1)));
  };
  const statusCell = (row) => h("td", null, row.status === "ok" ? chip("ok") : chip(row.status, row.status === "not run" ? "missing" : word(row.status).split(" ").find((each) => each !== "ok")));
  const columns = [
    { name: "method", value: (row) => row.method, cell: (row) => nameCell(row.method) },
    { name: "labels", num: true, value: (row) => row.fraction, cell: (row) => numCell(share(row.fraction)) },
    ...attributes.map((attribute, i) => ({ name: F.attributes[attribute], num: true, value: (row) => (row.figures[i] ? row.figures[i].mean : null), cell: (row) => figureCell(row, i) })),
    { name: "seeds", num: true, value: (row) => row.seeds, cell: (row) => numCell(row.seeds) },
    { name: "status", value: (row) => row.status, cell: statusCell },
  ];
  const each = F.datasets[board.dataset], down = !F.lower_is_better.includes(F.metrics[board.metric]);
  return sortable(columns, rows, { caption: `${datasetText(each)} · ${F.metrics[board.metric]}${nats(board.metric) ? ", nats" : ", %"} · ${board.condition}`, sort: attributes.length ? 2 : 0, down });
}
