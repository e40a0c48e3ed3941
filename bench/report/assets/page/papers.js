// The papers' tables, printed figures beside ours.
const papers = { table: 0, world: 0 };
function papersPanel(panel) {
  const { tables } = data.papers;
  if (!tables.length) return void panel.append(nothing("No table of the papers has a record yet; python -m bench run --table mtss-1 fills one."));
  const controls = h("div", { class: "controls" }), place = h("section", { class: "card" });
  const draw = () => {
    const table = tables[papers.table];
    papers.world = Math.min(papers.world, table.worlds.length - 1);
    controls.replaceChildren(select("Table", tables.map((each, i) => [i, `${each.name}: ${each.title}`]), papers.table, (value) => { papers.table = +value; draw(); }),
      table.worlds.length > 1 ? select("Ours from", table.worlds.map((world, i) => [i, `${world.source}, preset ${world.preset}`]), papers.world, (value) => { papers.world = +value; draw(); }) : "");
    place.replaceChildren(...paperTable(table, table.worlds[papers.world]));
  };
  panel.append(controls, place);
  draw();
}
function paperTable(table, world) {
  const where = ([dataset, , , condition]) => `${dataset.replace("->", " → ")}${condition === "clean" ? "" : `, ${condition}`}`;
  const places = new Set(world.columns.map(where)), single = places.size === 1;
  const head = (column) => h("th", { scope: "col", class: "head" }, single ? "" : [where(column), h("br")], `${column[1]} ${column[2]}`);
  const losses = world.rows.flatMap((row) => row.slice(1)).filter((cell) => cell && cell[5]).length;
  return [
    h("h3", null, `${table.name}: ${table.title}`),
    h("p", { class: "quiet" }, "Ours: ", world.source ? [chip(world.source), ` preset ${world.preset}`] : "nothing run",
      world.source === "synthetic" ? " · on rendered stand-ins, the paper's on photographs: the difference is no verdict" : "",
      losses ? ` · ${losses} ${losses === 1 ? "cell rests" : "cells rest"} on records that are missing or lost` : ""),
    h("div", { class: "scroll" }, h("table", { class: "paper" },
      h("caption", null, `${single ? `${[...places][0]} · ` : ""}printed, then ours ± half the 95 % interval, Δ and verdict`),
      h("thead", null, h("tr", null, h("th", { scope: "col", class: "stick" }, ""), world.columns.map(head))),
      h("tbody", null, world.rows.map(([label, ...row]) => h("tr", null, nameCell(label), row.map((cell, i) => paperCell(cell, world.digits[i]))))))),
    table.notes.length ? h("ul", { class: "notes" }, table.notes.map((note) => h("li", null, note))) : "",
  ];
}
function paperCell(cell, digits) {
  if (!cell) return h("td", { class: "lost" }, "");
  const [paper, ours, low, high, place, lost, delta] = cell, verdict = data.papers.verdicts[place];
  const said = verdict ? h("span", { class: `verdict ${word(verdict).split(" ").at(-1)}` }, verdict.replace("not comparable: ", "")) : "";
  return h("td", null,
    paper === null ? "" : h("div", { class: "print" }, `paper ${fixed(paper, digits)}`),
    ours === null ? "" : h("div", { class: "ours" }, fixed(ours, digits), low === null ? "" : h("span", { class: "half quiet" }, ` ± ${fixed((high - low) / 2, digits)}`)),
    delta === null ? "" : h("div", { class: "delta" }, `Δ ${delta < 0 ? "−" : "+"}${fixed(Math.abs(delta), digits)}`),
    ours === null && lost ? "" : said, lost ? h("div", { class: "delta" }, lost) : "");
}
