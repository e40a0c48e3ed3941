// Elements, controls and colours. Names reach the page as text alone: no markup is ever made from data.
function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || (value === false && !name.startsWith("aria-"))) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name === "value" || name === "checked" || name === "selected") element[name] = value;
    else element.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
function svg(tag, props, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props || {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
const quiet = (...text) => h("p", { class: "quiet" }, ...text);
const nothing = (text) => h("p", { class: "empty-note" }, text);
const word = (text) => text.toLowerCase().split(/[^a-z_]+/).filter(Boolean).join(" ");
const chip = (text, kind) => h("span", { class: `chip ${kind || word(text)}` }, text);
const colour = (place) => `var(--c${place % COLOURS})`;
function resolved(name) {  // a colour of the style sheet as the canvas understands it
  const probe = h("span", { style: { color: `var(${name})`, display: "none" } });
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
const faded = (css, share) => css.replace(/^rgb\(([^)]*)\)$/, (_, inside) => `rgba(${inside}, ${share})`);

function pairOf(methods) {  // two to compare at first: a plain one and another, floors aside where there are others
  const plain = (each) => each.method.startsWith("supervised"), real = (each) => !each.method.startsWith("floor/");
  const one = [plain, real, () => true].map((test) => methods.findIndex(test)).find((i) => i >= 0) ?? 0;
  const near = (each, i) => i !== one && real(each) && each.fraction === methods[one].fraction;
  const other = [near, (each, i) => i !== one && real(each), (each, i) => i !== one].map((test) => methods.findIndex(test)).find((i) => i >= 0) ?? one;
  return [one, other];
}
function select(label, options, value, onchange) {
  const box = h("select", { onchange: () => onchange(box.value) },
    options.map(([key, text]) => h("option", { value: key, selected: String(key) === String(value) }, text)));
  return h("label", null, label, box);
}
function check(label, checked, onchange) {
  const box = h("input", { type: "checkbox", checked, onchange: () => onchange(box.checked) });
  return h("label", { class: "check" }, box, label);
}
function command(text) {
  const button = h("button", { type: "button", onclick: () => copy(text, button) }, "Copy");
  return h("div", { class: "command" }, h("pre", { tabindex: "0" }, text), button);
}
function copy(text, button) {
  const done = () => { button.textContent = "Copied"; };
  const select = () => { getSelection().selectAllChildren(button.previousSibling); button.textContent = "Selected"; };
  if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, select);
  else select();
}
function meter(share) {
  return h("span", { class: "meter", "aria-hidden": "true" }, h("i", { style: { width: `${Math.max(0, Math.min(1, share)) * 100}%` } }));
}
