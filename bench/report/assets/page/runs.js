// Where the records were made and what they took.
function runPanel(panel) {
  const { runs } = data, facts = (title, pairs) => h("section", { class: "card" }, h("h3", null, title), h("dl", { class: "facts" }, pairs.map(([name, value]) => [h("dt", null, name), h("dd", null, String(value))])));
  const number = (name, text, digits) => ({ name: text, num: true, value: (row) => row[name], cell: (row) => numCell(row[name] === null ? null : row[name].toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })) });
  panel.append(h("section", { class: "card" }, h("h3", null, "What it took"), runs.methods.length ? sortable([
    { name: "method", value: (row) => row.method, cell: (row) => nameCell(row.method) },
    { name: "data set", value: (row) => row.dataset, cell: (row) => h("td", null, row.dataset) },
    number("fits", "fits", 0), number("fit_seconds", "s a fit", 1), number("records", "records", 0), number("eval_seconds", "s evaluated", 1),
    number("images_per_second", "images/s", 0), number("peak_rss_mb", "RAM, MiB", 0), number("peak_vram_mb", "GPU, MiB", 0)], runs.methods) : nothing("No record is ok."),
    quiet("Seconds a fit are means and leave its teachers out; images a second are medians of predicting; memory is the highest of any worker.")),
    h("div", { class: "grid" },
      Object.entries({ git_sha: "Commits", host: "Machines", device: "Devices", launcher: "Launchers" }).map(([name, title]) => facts(title, runs.counts[name].map(([value, count]) => [`${count} ${name === "device" ? "records" : "fits"}`, value]))),
      facts("Protocols", data.protocols.map((name, i) => [i + 1, name])),
      runs.environments.map((each) => facts(`Environment of ${each.count} fits`, Object.entries(each.env)))),
      runs.looked_at[0] < runs.looked_at[1] ? quiet(`Commits, machines and environments of ${runs.looked_at[0]} of ${runs.looked_at[1]} fits.`) : "");
}
