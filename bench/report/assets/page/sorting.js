// Tables whose heads sort them.
function sortable(columns, rows, { caption, sort = 0, down = false } = {}) {
  // columns: {name, title, num, value(row), cell(row)}; rows without a value come last whichever way
  const state = { column: sort, down };
  const body = h("tbody");
  const heads = columns.map((column, place) => h("th", { class: `sort ${column.num ? "num" : ""} ${place === 0 ? "stick" : ""}`, scope: "col" },
    h("button", { type: "button", title: column.title, onclick: () => { turn(place); } }, column.name)));
  function turn(place) {
    state.down = state.column === place ? !state.down : Boolean(columns[place].num);
    state.column = place;
    fill();
  }
  function fill() {
    const { value } = columns[state.column];
    const known = (row) => { const found = value(row); return found !== null && found !== undefined && found !== ""; };
    const compare = (a, b) => (typeof value(a) === "number" ? value(a) - value(b) : String(value(a)).localeCompare(String(value(b)), undefined, { numeric: true }));
    const sorted = [...rows.filter(known).sort((a, b) => (state.down ? -1 : 1) * compare(a, b)), ...rows.filter((row) => !known(row))];
    body.replaceChildren(...sorted.map((row) => h("tr", null, columns.map((column, place) => column.cell(row, place)))));
    heads.forEach((head, place) => head.setAttribute("aria-sort", place !== state.column ? "none" : state.down ? "descending" : "ascending"));
  }
  fill();
  return h("div", { class: "scroll" }, h("table", null, caption && h("caption", null, caption), h("thead", null, h("tr", null, heads)), body));
}
const nameCell = (text) => h("th", { scope: "row", class: "stick" }, text);
const numCell = (text) => h("td", { class: "num" }, text ?? "–");
