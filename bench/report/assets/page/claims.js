// The papers' claims, judged.
function claimsPanel(panel) {
  if (!data.claims.length) return void panel.append(nothing("No claim was judged for this report."));
  const order = ["reproduced", "contradicted", "inconclusive", "not run"], place = ({ verdict }) => (order.includes(verdict) ? order.indexOf(verdict) : order.length);
  data.claims.sort((a, b) => place(a) - place(b));  // stable: the papers' order within a verdict
  const counts = new Map();
  for (const { verdict } of data.claims) counts.set(verdict, (counts.get(verdict) || 0) + 1);
  const state = { verdict: "all" }, list = h("div", { class: "grid" }), controls = h("div", { class: "controls" });
  const fill = () => list.replaceChildren(...data.claims.filter(({ verdict }) => state.verdict === "all" || verdict === state.verdict).map(claimCard));
  controls.append(select("Verdict", [["all", `all ${data.claims.length}`], ...[...counts].map(([name, count]) => [name, `${name} (${count})`])], "all", (value) => { state.verdict = value; fill(); }));
  panel.append(h("p", null, [...counts].map(([name, count]) => [chip(`${count} ${name}`, word(name)), " "])), controls, list);
  fill();
}
function claimCard(claim) {
  const { name, paper, where, statement, verdict, value, source, preset, metric, reason, note, needs, num_seeds: seeds } = claim;
  const facts = [["p, Holm", claim.holm ?? claim.p_value], ["metric", metric], ["on", (claim.places || []).join("; ")], ["seeds", seeds || null], ["why", reason], ["missing", (claim.missing || []).slice(0, 8).join("; ")], ["note", note]];
  const parts = claim.parts || [];
  return h("article", { class: "card claim" }, h("header", null, h("h3", null, statement || name), chip(verdict, word(verdict))),
    h("p", { class: "quiet" }, [paper, where].filter(Boolean).join(", "), source ? [" · ", chip(source), ` preset ${preset}`] : ""),
    typeof value === "number" ? forest(value, claim.low, claim.high) : "",
    h("dl", null, facts.filter(([, each]) => each !== null && each !== undefined && each !== "").map(([key, each]) => [h("dt", null, key), h("dd", null, typeof each === "number" ? String(+each.toPrecision(3)) : String(each))])),
    verdict === "not run" && needs ? command(`python -m bench run --table ${needs.replaceAll(" ", "")}`) : "",
    parts.length > 1 ? h("details", null, h("summary", null, `${parts.length} comparisons`), parts.map((part) => h("div", null, quiet(part.what), forest(part.value, part.low, part.high)))) : "");
}
function forest(value, low, high) {
  const known = low !== null && low !== undefined && high !== null && high !== undefined;
  const reach = 1.15 * Math.max(Math.abs(value), Math.abs(low ?? 0), Math.abs(high ?? 0), 1e-9), x = (each) => 150 + (140 * each) / reach;
  const text = `effect ${+value.toPrecision(3)}${known ? `, 95 % interval ${+low.toPrecision(3)} to ${+high.toPrecision(3)}` : ""}`;
  const drawing = svg("svg", { class: "forest", viewBox: "0 0 300 34", role: "img", "aria-label": text, preserveAspectRatio: "xMidYMid meet" },
    svg("line", { x1: 8, x2: 292, y1: 16, y2: 16, stroke: "var(--line)" }), svg("line", { x1: 150, x2: 150, y1: 4, y2: 28, stroke: "var(--muted)", "stroke-dasharray": "2 2" }));
  if (known) drawing.append(svg("line", { x1: x(low), x2: x(high), y1: 16, y2: 16, stroke: "var(--accent)", "stroke-width": 4, "stroke-linecap": "round" }));
  drawing.append(svg("circle", { cx: x(value), cy: 16, r: 5, fill: "var(--accent)" }));
  return h("div", null, drawing, quiet(text));
}
