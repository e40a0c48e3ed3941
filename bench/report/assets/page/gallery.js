// Photographs with predictions, and corrupted copies.
const photos = { world: 0, one: null, other: null, differ: false, picture: 0 };
function galleryPanel(panel) {
  if (!gallery) return void panel.append(nothing("Photographs are left out unless asked for: python -m bench report --gallery 24 adds that many of each data set."));
  for (const problem of gallery.problems) panel.append(quiet(`No photographs: ${problem}`));
  if (!gallery.worlds.length) return;
  const controls = h("div", { class: "controls" }), list = h("div", { class: "photos" }), count = h("p", { class: "quiet", role: "status" }), copies = h("section", { class: "card" });
  const draw = () => {
    const world = gallery.worlds[photos.world], { methods } = world;
    const valid = (value) => value !== null && value < methods.length;
    if (!valid(photos.one) || !valid(photos.other)) [photos.one, photos.other] = pairOf(methods);
    const names = methods.map((each, i) => [i, `${each.method} · ${share(each.fraction)}`]);
    const set = (name, number) => (value) => { photos[name] = number ? +value : value; if (name === "world") photos.one = photos.other = null; draw(); };
    controls.replaceChildren(select("Data set", gallery.worlds.map((each, i) => [i, `${each.dataset} (${each.source}), ${each.preset}`]), photos.world, set("world", true)),
      names.length ? select("Left", names, photos.one, set("one", true)) : "",
      names.length ? select("Right", names, photos.other, set("other", true)) : "", check("only where they differ", photos.differ, set("differ")));
    const cards = world.photos.map((_, i) => photoCard(world, i)).filter(Boolean);
    count.textContent = `${cards.length} of ${world.photos.length} photographs, spread evenly over the test split`;
    list.replaceChildren(...cards);
    copies.replaceChildren(...corrupted(world, draw));
  };
  panel.append(controls, count, list, h("p"), copies);
  draw();
}
function photoCard(world, i) {
  const names = (type, list) => list.map((place) => type.classes[place]).join(", ");
  const pick = (entry, t) => { if (!entry) return []; entry.decoded ||= u2(entry.classes); const start = (i * world.types.length + t) * world.top; return [...entry.decoded.slice(start, start + world.top)].filter((place) => place !== MISSING); };
  const one = world.methods[photos.one], other = world.methods[photos.other];
  let differs = false;
  const said = (list, truth) => { const right = truth.includes(list[0]); return [list, right]; };
  const rows = world.types.map((type, t) => {
    const truth = world.labels[i][t], [a, aRight] = said(pick(one, t), truth), [b, bRight] = said(pick(other, t), truth);
    differs ||= a[0] !== b[0];
    const cell = (list, right) => h("td", { title: names(type, list) }, list.length ? [truth.length ? h("span", { class: right ? "right" : "wrong" }, right ? "✓ " : "✗ ") : "", type.classes[list[0]]] : "–");
    return h("tr", null, h("th", { scope: "row" }, type.name), h("td", null, names(type, truth) || "–"), cell(a, aRight), cell(b, bRight));
  });
  if (photos.differ && !differs) return null;
  return h("article", { class: "photo" }, h("div", null, h("img", { src: world.photos[i], alt: `test image ${world.rows[i]}` }), h("p", { class: "quiet" }, `image ${world.rows[i]}`)),
    h("div", { class: "scroll" }, h("table", null, h("thead", null, h("tr", null, ["", "truth", "left", "right"].map((name) => h("th", { scope: "col" }, name)))), h("tbody", null, rows))));
}
function corrupted(world, draw) {
  if (!world.corrupted.length) return [nothing("These images are too small to be corrupted.")];
  if (photos.picture >= world.corrupted.length) photos.picture = 0;
  const each = world.corrupted[photos.picture], image = (src, text) => h("img", { src, alt: text, title: text });
  return [h("h3", null, "What corruption does to a photograph"),
    h("div", { class: "controls" }, select("Photograph", world.corrupted.map((one, i) => [i, `test image ${one.row}`]), photos.picture, (value) => { photos.picture = +value; draw(); })),
    h("div", { class: "copies" }, h("span"), ["clean", 1, 2, 3, 4, 5].map((name) => h("span", null, String(name))),
      each.copies.flatMap((copy) => [h("span", null, copy.name.replaceAll("_", " ")), image(each.clean, "clean"), ...copy.photos.map((src, i) => image(src, `${copy.name}, severity ${i + 1}`))]))];
}
