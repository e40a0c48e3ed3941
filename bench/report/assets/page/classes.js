// By how much the recall of each class moves from one method to another.
const classes = { world: 0, before: null, after: null, type: 0, k: "3", order: "images" };
function classesPanel(panel) {
  const { worlds, left_out: more } = data.classes;
  if (!worlds.length) return void panel.append(nothing("Fewer than two methods have predictions of the same clean images."));
  const controls = h("div", { class: "controls" }), place = h("section", { class: "card" });
  const draw = () => {
    const world = worlds[classes.world], { methods } = world;
    const valid = (value) => value !== null && value < methods.length;
    if (!valid(classes.before) || !valid(classes.after)) [classes.before, classes.after] = pairOf(methods);
    if (classes.type >= world.types.length) classes.type = 0;
    const names = methods.map((each, i) => [i, `${each.method} · ${share(each.fraction)}`]);
    const set = (name, number) => (value) => { classes[name] = number ? +value : value; if (name === "world") classes.before = classes.after = null; draw(); };
    controls.replaceChildren(
      select("Data set", worlds.map((each, i) => [i, `${datasetText({ name: each.dataset, source: each.source })}, ${each.preset}`]), classes.world, set("world", true)),
      select("From", names, classes.before, set("before", true)), select("To", names, classes.after, set("after", true)),
      select("Attribute type", world.types.map((type, i) => [i, type.name]), classes.type, set("type", true)),
      select("Metric", [["1", "recall@1"], ["3", "recall@3"]], classes.k, set("k")),
      select("Order", [["images", "most images first"], ["gain", "largest gain first"], ["name", "by name"]], classes.order, set("order")));
    place.replaceChildren(...changeBars(world));
  };
  panel.append(controls, place, more ? quiet(`${more} more cells were left out to keep this file small.`) : "");
  draw();
}
function changeBars(world) {
  const type = world.types[classes.type], before = world.methods[classes.before], after = world.methods[classes.after];
  let offset = 0;
  for (const each of world.types.slice(0, classes.type)) offset += each.counts.reduce((a, b) => a + b, 0);
  const one = bitsOf(before, classes.k), other = bitsOf(after, classes.k), rows = [];
  type.classes.forEach((name, i) => {
    const n = type.counts[i];
    if (n) rows.push({ name, n, ...pairedChange(one, other, offset, n) });
    offset += n;
  });
  const key = { images: (row) => -row.n, gain: (row) => -row.mean, name: null }[classes.order];
  rows.sort(key ? (a, b) => key(a) - key(b) : (a, b) => a.name.localeCompare(b.name));
  const most = Math.max(0.02, ...rows.map((row) => Math.min(1, Math.abs(row.mean) + row.half)));
  const percent = (value) => `${50 + (50 * Math.max(-1, Math.min(1, value / most)))}%`;
  const bar = (row) => {
    const sure = Math.abs(row.mean) > row.half && row.half > 0;
    return [h("span", { class: "name" }, row.name, " ", h("small", null, row.n)),
      h("span", { class: "track" }, h("i", { class: `${row.mean < 0 ? "down" : "up"} ${sure ? "" : "faint"}`, style: { left: percent(Math.min(0, row.mean)), width: `${(50 * Math.abs(row.mean)) / most}%` } }),
        row.half ? h("i", { class: "whisker", style: { left: percent(row.mean - row.half), right: `calc(100% - ${percent(row.mean + row.half)})` } }) : ""),
      h("span", { class: "num" }, `${row.mean < 0 ? "−" : "+"}${fixed(100 * Math.abs(row.mean), 1)}`)];
  };
  const seeds = Math.min(before.hits[classes.k].length, after.hits[classes.k].length);
  return [
    h("h3", null, `${type.name}: ${before.method} → ${after.method}`),
    quiet(`Change of recall@${classes.k} in points, clean test images of ${world.dataset} (${world.source}), ${seeds} ${seeds === 1 ? "seed" : "seeds"}. Beside a class, how many images carry it. `,
      "Lines are 95 % intervals of the paired difference over images (normal); pale bars cannot be told from none. Classes without a test image are left out."),
    rows.length ? h("div", { class: "bars" }, rows.flatMap(bar)) : nothing("No test image carries a class of this type."),
  ];
}
function bitsOf(entry, k) { return entry.hits[k].map(u1); }
function pairedChange(one, other, start, n) {  // mean over images of the difference between means over seeds, and 1.96 standard errors
  const at = (all, i) => all.reduce((sum, bytes) => sum + ((bytes[i >> 3] >> (7 - (i & 7))) & 1), 0) / all.length;
  let sum = 0, squares = 0;
  for (let i = start; i < start + n; i++) { const d = at(other, i) - at(one, i); sum += d; squares += d * d; }
  const mean = sum / n, variance = n > 1 ? Math.max(0, squares - n * mean * mean) / (n - 1) : 0;
  return { mean, half: 1.96 * Math.sqrt(variance / n) };
}
