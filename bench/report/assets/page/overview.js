// What ran, on what, what came of it, and what to type next.
function statusBar(counts) {
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  return [
    h("div", { class: "statusbar", role: "img", "aria-label": counts.map(([name, count]) => `${count} ${name}`).join(", ") },
      counts.map(([name, count]) => h("i", { class: `fill-${name}`, style: { width: `${(100 * count) / total}%` } }))),
    h("ul", { class: "legend" }, counts.map(([name, count]) => h("li", null, h("i", { class: `fill-${name}` }), `${count} ${name}`))),
  ];
}
function overview(panel) {
  const conditions = new Set([...cells.severity.keys()].map(conditionOf));
  const tile = (value, text) => h("div", { class: "tile" }, h("b", null, value), h("span", null, text));
  const date = (seconds) => (seconds ? new Date(1000 * seconds).toISOString().slice(0, 16).replace("T", " ") : "?");
  panel.append(
    quiet(`${date(data.runs.started)} to ${date(data.runs.finished)} UTC · presets: ${data.runs.counts.preset.map(([name]) => name).join(", ")}`),
    h("div", { class: "tiles" }, tile(data.num_records, "records"), tile(F.methods.length, "methods"), tile(F.datasets.length, "data sets"),
      tile(F.fractions.length, "shares of labels"), tile(conditions.size, "conditions"), tile(cells.seeds.reduce((a, b) => Math.max(a, b), 0), "seeds at most")),
    h("section", { class: "card" }, h("h3", null, "What became of the cells"), ...statusBar([...data.statuses, ...(data.missing ? [["missing", data.missing]] : [])])),
    ...data.overall.map(overDatasets),
    h("div", { class: "grid" }, F.datasets.map((each, dataset) => bestOf(dataset))),
    coverage(), failures(), sweeps());
}
function bestOf(dataset) {
  const fraction = wholeOf(dataset), found = [];
  for (const cell of cellsOf(dataset)) {
    const value = !cells.severity[cell] && cells.fraction[cell] === fraction && figure(cell, ALL, PRIMARY);
    if (value) found.push([cell, value]);
  }
  found.sort((a, b) => b[1].mean - a[1].mean);
  const top = found.filter(([cell]) => !isFloor(cells.method[cell])).slice(0, 5), floor = found.find(([cell]) => isFloor(cells.method[cell]));
  const line = ([cell, value], note) => h("div", { class: "best" },
    h("span", { class: "name" }, F.methods[cells.method[cell]], note), h("span", { class: "num" }, withHalf(PRIMARY, value)), meter(value.mean / (found[0][1].mean || 1)));
  const each = F.datasets[dataset];
  return h("section", { class: "card" }, h("h3", null, each.name, " ", chip(each.source)),
    found.length ? quiet(`${F.primary}, all types, clean, ${share(F.fractions[fraction])} of the labels`) : nothing("No clean result."),
    top.map((entry) => line(entry, entry[1].tied ? " ★" : "")), floor && line(floor, ""));
}
function withHalf(metric, value) {
  if (!value) return "–";
  const half = value.low === null ? null : (value.high - value.low) / 2;
  return [h("b", null, shown(metric, value.mean)), half === null ? null : h("span", { class: "half" }, ` ± ${shown(metric, half)}`)];
}
function overDatasets(world) {
  const numbers = world.heads.map((head) => head.num_datasets), fewest = Math.min(...numbers), most = Math.max(...numbers);
  const head = ({ fraction }) => ["rank", "mean", "best on"].map((name) => h("th", { scope: "col" }, `${share(fraction)}: ${name}`));
  const cell = (found) => (found ? [h("td", null, h("b", null, fixed(found[0], 1)), found[3] ? " ★" : ""), h("td", null, fixed(100 * found[1], 1)), h("td", null, found[2])]
    : [0, 1, 2].map(() => h("td", { class: "empty" }, "–")));
  return h("section", { class: "card overall" }, h("h3", null, "Over all data sets ", chip(world.source)),
    quiet(`Mean ranks by ${F.primary} over all types, clean, on ${fewest === most ? most : `${fewest} to ${most}`} data sets, preset ${world.preset}; the mean figure; and on how many of them a method cannot be told from the best. `,
      `★ cannot be told from the first: mean ranks less than ${[...new Set(world.heads.map((each) => fixed(each.difference, 1)))].join(" or ")} apart (Nemenyi, 5 %).`),
    h("div", { class: "scroll" }, h("table", { class: "cover ranks" },
      h("thead", null, h("tr", null, h("th", { class: "stick", scope: "col" }, "method"), world.heads.map(head))),
      h("tbody", null, world.rows.map(([name, ...found]) => h("tr", null, nameCell(name), found.map(cell)))))));
}
function coverage() {
  const heads = [], wanted = new Map(), found = new Map();
  F.datasets.forEach((_, dataset) => {
    for (const fraction of fractionsOf(dataset)) heads.push([dataset, fraction]);
    for (const cell of cellsOf(dataset)) {
      const head = `${dataset},${cells.fraction[cell]}`, place = `${head},${cells.method[cell]}`;
      if (!wanted.has(head)) wanted.set(head, new Set());
      wanted.get(head).add(conditionOf(cell));
      if (!found.has(place)) found.set(place, []);
      found.get(place).push(cell);
    }
  });
  const entry = (method, [dataset, fraction]) => {
    const own = found.get(`${dataset},${fraction},${method}`), total = wanted.get(`${dataset},${fraction}`).size;
    if (!own) return h("td", { class: "empty" }, "not run");
    const seeds = own.map((cell) => F.statuses[cells.status[cell]].split(", ").map((part) => part.replace(/^\d+ /, "")));  // what became of its seeds
    const ok = seeds.filter((found) => found.includes("ok")).length, reasons = [...new Set(seeds.flat())].filter((found) => found !== "ok").join(", ");
    const kind = reasons && reasons !== "missing" ? "bad" : ok === total && !reasons ? "full" : "part";
    const note = `${reasons && ok === own.length ? "some seeds " : ""}${reasons}`;
    return h("td", { class: kind, title: ok < total && !reasons ? `${total - ok} conditions were not run` : null }, `${ok}/${total}${note ? ` ${note}` : ""}`);
  };
  const order = F.methods.map((name, method) => [name, method]);
  return h("section", { class: "card" }, h("h3", null, "Coverage"),
    quiet("Conditions with a result, of those that any method has on the data set at that share of labels. What is missing is counted nowhere as zero."),
    h("div", { class: "scroll" }, h("table", { class: "cover" },
      h("thead", null, h("tr", null, h("th", { class: "stick", scope: "col" }, "method"),
        heads.map(([dataset, fraction]) => h("th", { scope: "col" }, `${F.datasets[dataset].name} ${share(F.fractions[fraction])}`)))),
      h("tbody", null, order.map(([name, method]) => h("tr", null, nameCell(name), heads.map((head) => entry(method, head))))))));
}
function failures() {
  const { groups, left_out: more } = data.failures;
  if (!groups.length) return h("section", { class: "card" }, h("h3", null, "Not ok"), quiet("Nothing: every record is ok."));
  return h("section", { class: "card", id: "failures" }, h("h3", null, "Not ok"),
    groups.map((each) => h("div", { class: "failure" },
      h("p", null, chip(each.status), " ", h("b", null, each.method), ` on ${each.dataset}, ${share(each.fraction)} of the labels, seed ${each.seeds.join(", ")} · `,
        `${each.count} ${each.count === 1 ? "cell" : "cells"}: ${each.conditions}`),
      h("p", { class: "quiet" }, each.error ? `${each.error}: ` : "", each.reason || "no reason on record"), command(each.rerun))),
    more ? quiet(`and ${more} more groups; python -m bench status lists all`) : null);
}
function sweeps() {
  if (!data.sweeps.length) return null;
  return h("section", { class: "card" }, h("h3", null, "What was typed"),
    data.sweeps.map((sweep) => h("div", null, command(sweep.command),
      quiet(`${sweep.cells} cells: ${Object.entries(sweep.counts).map(([name, count]) => `${count} ${name}`).join(", ")}`,
        sweep.rerun && sweep.rerun !== sweep.command ? `; to run the rest: ${sweep.rerun}` : sweep.rerun ? "; type it again to go on" : ""))));
}
