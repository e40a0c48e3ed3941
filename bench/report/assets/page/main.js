// Tabs, colours, and the start of everything.
const redraw = {};
const SECTIONS = [["overview", "Overview", overview], ["leaderboard", "Leaderboard", leaderboard], ["curves", "Curves", curvesPanel], ["tables", "Paper tables", papersPanel], ["claims", "Claims", claimsPanel],
  ["classes", "Classes", classesPanel], ["maps", "Embeddings", mapsPanel], ["gallery", "Photographs", galleryPanel], ["runs", "Run details", runPanel]];
function tabs() {
  const bar = document.getElementById("tabs"), main = document.getElementById("main"), made = new Set();
  main.replaceChildren();
  const parts = SECTIONS.map(([id, title, make]) => {
    const tab = h("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": id, onclick: () => show(id, true) }, title);
    const panel = h("section", { role: "tabpanel", id, "aria-labelledby": `tab-${id}`, hidden: true }, h("h2", null, title));
    bar.append(tab);
    main.append(panel);
    return { id, tab, panel, make };
  });
  function show(id, push) {
    const chosen = parts.find((part) => part.id === id) || parts[0];
    for (const { tab, panel } of parts) {
      const on = tab === chosen.tab;
      tab.setAttribute("aria-selected", on);
      tab.tabIndex = on ? 0 : -1;
      panel.hidden = !on;
    }
    const { tab } = chosen;
    bar.scrollLeft = Math.max(0, tab.offsetLeft - bar.offsetLeft - (bar.clientWidth - tab.offsetWidth) / 2);
    if (!made.has(chosen.id)) { made.add(chosen.id); if (F.num_cells || ["runs", "gallery"].includes(chosen.id)) chosen.make(chosen.panel); else chosen.panel.append(nothing("There is no record.")); }
    else if (redraw[chosen.id]) redraw[chosen.id]();
    if (push) { try { history.replaceState(null, "", `#/${chosen.id}`); } catch { location.hash = `/${chosen.id}`; } }
  }
  bar.addEventListener("keydown", (event) => {
    const at = parts.findIndex((part) => part.tab === document.activeElement), last = parts.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at ? at - 1 : last, Home: 0, End: last }[event.key];
    if (at >= 0 && to !== undefined) { show(parts[to].id, true); parts[to].tab.focus(); event.preventDefault(); }
  });
  const named = () => location.hash.replace(/^#\//, "");  // no element has such a name: the browser scrolls nowhere, and the banner stays in sight
  addEventListener("hashchange", () => { const id = named(); if (parts.some((part) => part.id === id)) show(id); });
  let timer = 0, wide = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== wide) { wide = innerWidth; clearTimeout(timer); timer = setTimeout(repaint, 150); } });
  const repaint = () => { const open = parts.find((part) => !part.panel.hidden); if (redraw[open.id]) redraw[open.id](); };
  show(named());
  return repaint;
}
function theme(repaint) {
  const button = document.getElementById("theme"), order = ["system", "light", "dark"], signs = { system: "◐", light: "☀", dark: "☾" };
  const kept = () => { try { return localStorage.getItem("bench-theme"); } catch { return null; } };
  let now = order.includes(kept()) ? kept() : "system";
  const apply = () => {
    if (now === "system") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = now;
    button.textContent = signs[now];
    button.setAttribute("aria-label", `Colours: ${now === "system" ? "as the system" : now}; change`);
    button.title = button.getAttribute("aria-label");
  };
  button.addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    now = now === "system" ? (dark ? "light" : "dark") : now === (dark ? "light" : "dark") ? (dark ? "dark" : "light") : "system";
    try { localStorage.setItem("bench-theme", now); } catch { /* a browser that keeps nothing */ }
    apply();
    repaint();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => repaint());
  apply();
}
theme(tabs());
