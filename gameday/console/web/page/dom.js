// Small helpers. Texts come from plans, targets and people: they are only ever put in as text.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

function make(node, props, children) {
  for (const [key, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.setAttribute("class", value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

export const el = (tag, props, ...children) => make(document.createElement(tag), props, children);

export const svg = (tag, props, ...children) => make(document.createElementNS(SVG, tag), props, children);

// Set a text only where it differs: a screen reader or a selection is not disturbed for nothing.
export function text(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

// Draw into a node only when what it is drawn from has changed.
const drawn = new WeakMap();
export function draw(node, data, children) {
  const now = JSON.stringify(data);
  if (drawn.get(node) === now) return;
  drawn.set(node, now);
  node.replaceChildren(...children());
}

export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

export function clock(seconds) {
  const whole = Math.max(Math.floor(seconds), 0);
  const pad = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const rest = `${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

export function wall(plan, seconds) {
  if (!plan || plan.wall_s === null) return "";
  return new Date((plan.wall_s + seconds) * 1000).toLocaleTimeString();
}

export function left(seconds) {
  return seconds >= 120 ? `${Math.floor(seconds / 60)} min` : `${Math.ceil(seconds)} s`;
}

// localStorage may be forbidden; the page then merely forgets.
export function kept(key) {
  try { return localStorage.getItem(`gameday-${key}`) || ""; } catch { return ""; }
}

export function keep(key, value) {
  try { localStorage.setItem(`gameday-${key}`, value); } catch { /* forgotten */ }
}

export async function copy(words, button) {
  try {
    await navigator.clipboard.writeText(words);
    text(button, "Copied");
    setTimeout(() => text(button, "Copy"), 1500);
  } catch { text(button, "Select it by hand"); }
}

export function command(words) {
  const button = el("button", { type: "button", class: "small", onclick: () => copy(words, button) }, "Copy");
  return el("p", { class: "command" }, el("code", {}, words), button);
}
