// Everything on one time axis: phases, load, latency, users, faults, steps, people; and what is next.
//
// Left of the line "now" is what happened, to scale. Right of it is what comes, in order and not to scale.

import { byId, clock, svg, wall } from "./dom.js";

const ROW = 26, GAP = 10, CHART = 58, STRIP = 16, TOP = 22;
const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
const CHAR = 7.2;

export class Lanes {
  constructor() {
    this.place = byId("lanes");
    this.range = byId("range");
    this.rows = new Map();
    this.marks = [];
    this.drawn_ms = 0;
    this.range.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.place);
  }

  begin(plan, rows, step_s) {
    this.plan = plan;
    this.step_s = step_s || 1;
    this.rows = new Map(rows.map((row) => [row[0], row]));
    this.marks = [];
    this.drawn_ms = 0;
  }

  add(rows, notes, picture) {
    for (const row of rows || []) this.rows.set(row[0], row);
    for (const [, at, topic, words] of notes || []) {
      if (["note", "detected", "acknowledged", "mitigated"].includes(topic)) this.marks.push([at, topic, words]);
    }
    if (this.marks.length > 300) this.marks.splice(0, this.marks.length - 300);
    const changed = picture && picture.bars.length !== this.picture?.bars.length;
    this.picture = picture;
    if (changed || performance.now() - this.drawn_ms > 900) this.draw();
  }

  draw() {
    const { plan, picture } = this;
    const width = this.place.clientWidth;
    if (!plan || !picture || width < 50) { this.place.replaceChildren(); return; }
    this.drawn_ms = performance.now();
    const narrow = width < 640;
    const coming = this.coming();
    const gutter = narrow ? 62 : 88, ahead = coming.length ? (narrow ? 96 : Math.min(230, width * 0.2)) : 8;
    const end = Math.max(picture.now, 5), choose = Number(this.range.value);
    const from = choose ? Math.max(end - choose, 0) : 0;
    const scale = (width - gutter - ahead) / (end - from);
    const x = (at) => gutter + (Math.min(Math.max(at, from), end) - from) * scale;
    const sheet = { parts: [], y: TOP, x, from, end, gutter, width, edge: width - ahead, narrow };
    this.phases(sheet);
    if (plan.has_load) { this.load(sheet); this.latency(sheet); }
    plan.probes.forEach((probe, place) => this.users(sheet, probe, place));
    this.stretches(sheet, "faults", (bar) => bar.what === "fault");
    this.stretches(sheet, "steps", (bar) => (bar.what === "do" || bar.what === "undo") && !this.byHand(bar));
    this.people(sheet);
    const height = sheet.y + 4;
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": this.words() });
    drawing.append(...this.axis(sheet, height), ...sheet.parts, ...this.now(sheet, height, coming));
    this.place.replaceChildren(drawing);
  }

  words() {
    const { picture } = this;
    const faults = picture.faults.map((one) => one.name).join(", ") || "none";
    return `Time line of ${clock(picture.now)}: phase ${picture.phase}; faults in place: ${faults}. The list below holds every step.`;
  }

  name(id) { return id === "start" ? "approval of the start" : this.step(id)?.name || id; }

  step(id) { return this.plan.steps.find((one) => one.id === id); }

  byHand(bar) { return this.step(bar.of)?.kind === "manual"; }

  coming() {
    const { plan, picture } = this;
    if (!picture.next) return [];
    const gone = new Set([...picture.done, ...picture.failed, ...picture.running.map((run) => run.step)]);
    return plan.steps.filter((step) => !gone.has(step.id));
  }

  axis(sheet, height) {
    const wanted = (sheet.edge - sheet.gutter) / (sheet.narrow ? 60 : 90);
    const every = TICKS.find((tick) => (sheet.end - sheet.from) / tick <= wanted) || 86400;
    const parts = [];
    for (let at = Math.ceil(sheet.from / every) * every; at <= sheet.end; at += every) {
      const x = sheet.x(at);
      parts.push(svg("line", { class: "grid", x1: x, x2: x, y1: TOP - 4, y2: height }));
      if (x < sheet.edge - 34) parts.push(svg("text", { class: "tick", x: x + 3, y: 12 }, clock(at), svg("title", {}, wall(this.plan, at))));
    }
    return parts;
  }

  label(sheet, words, height) {
    sheet.parts.push(svg("text", { class: "lane", x: 0, y: sheet.y + height / 2 + 4 }, fit(words, sheet.gutter - 6)));
    sheet.parts.push(svg("line", { class: "rule", x1: 0, x2: sheet.width, y1: sheet.y + height + GAP / 2, y2: sheet.y + height + GAP / 2 }));
  }

  phases(sheet) {
    this.label(sheet, "phases", ROW);
    for (const bar of this.picture.bars.filter((one) => one.what === "phase")) {
      const to = bar.to ?? sheet.end;
      if (to < sheet.from) continue;
      const x = sheet.x(bar.from), w = Math.max(sheet.x(to) - x - 1, 1);
      sheet.parts.push(svg("rect", { class: `phase p-${bar.state}`, x, y: sheet.y, width: w, height: ROW - 4, rx: 3 }, svg("title", {}, this.hover(bar, bar.state))));
      if (w > bar.state.length * CHAR + 8) sheet.parts.push(svg("text", { class: "in", x: x + 6, y: sheet.y + 16 }, bar.state));
    }
    sheet.y += ROW + GAP;
  }

  visible(sheet) {
    return [...this.rows.values()].filter((row) => row[0] >= sheet.from - this.step_s && row[0] <= sheet.end).sort((one, other) => one[0] - other[0]);
  }

  // The row of the second that is under way is not whole yet: it is not drawn.
  whole(sheet) { return this.visible(sheet).filter((row) => row[0] + this.step_s <= sheet.end - 0.5); }

  load(sheet) {
    this.label(sheet, sheet.narrow ? "load" : "load /s", CHART);
    const rows = this.whole(sheet), most = nice(Math.max(...rows.map((row) => Math.max(row[1], row[2])), 1));
    const y = (value) => sheet.y + CHART - (Math.min(value, most) / most) * (CHART - 6);
    const mid = (row) => sheet.x(row[0] + this.step_s / 2);
    if (rows.length) {
      const area = rows.map((row) => `L${f(mid(row))} ${f(y(row[2]))}`).join("");
      sheet.parts.push(svg("path", { class: "achieved", d: `M${f(mid(rows[0]))} ${f(y(0))}${area}L${f(mid(rows.at(-1)))} ${f(y(0))}Z` }));
      sheet.parts.push(svg("path", { class: "offered", d: line(rows, mid, (row) => y(row[1])) }));
      sheet.parts.push(svg("path", { class: "failed", d: rows.filter((row) => row[4] > 0).map((row) => `M${f(mid(row))} ${f(y(0))}V${f(y(row[4]))}`).join("") || "M0 0" }));
    }
    this.top(sheet, `${most}/s`);
    sheet.y += CHART + GAP;
  }

  latency(sheet) {
    this.label(sheet, "latency", CHART);
    const rows = this.whole(sheet).filter((row) => row[6] !== null), most = nice(Math.max(...rows.map((row) => row[6]), 1));
    const y = (value) => sheet.y + CHART - (Math.min(value, most) / most) * (CHART - 6);
    const mid = (row) => sheet.x(row[0] + this.step_s / 2);
    sheet.parts.push(svg("path", { class: "p50", d: line(rows, mid, (row) => y(row[5])) }), svg("path", { class: "p99", d: line(rows, mid, (row) => y(row[6])) }));
    this.top(sheet, most >= 1000 ? `${most / 1000} s` : `${most} ms`);
    sheet.y += CHART + GAP;
  }

  top(sheet, words) { sheet.parts.push(svg("text", { class: "tick", x: sheet.gutter + 4, y: sheet.y + 10 }, words)); }

  users(sheet, probe, place) {
    this.label(sheet, probe, STRIP);
    for (const row of this.visible(sheet)) {
      const [good, bad, unreadable] = row[7][place] || [0, 0, 0], all = good + bad + unreadable;
      if (!all) continue;
      const x = sheet.x(row[0]), w = Math.max(sheet.x(row[0] + this.step_s) - x, 0.5) + 0.3, share = bad / all;
      const words = `${clock(row[0])}: ${good} good, ${bad} bad, ${unreadable} unreadable`;
      sheet.parts.push(svg("rect", { class: unreadable ? "unread" : "good", x, y: sheet.y, width: w, height: STRIP }, svg("title", {}, words)));
      if (bad) sheet.parts.push(svg("rect", { class: "bad", x, y: sheet.y, width: w, height: Math.max(share * STRIP, 4) }));
    }
    sheet.y += STRIP + GAP;
  }

  // Bars are put into as few rows as there may be without one covering the words of another.
  stretches(sheet, label, wanted) {
    const rows = [], placed = [];
    for (const bar of this.picture.bars.filter(wanted)) {
      const to = bar.to ?? sheet.end;
      if (to < sheet.from) continue;
      const x = sheet.x(bar.from), w = Math.max(sheet.x(to) - x, 3);
      const what = bar.what === "undo" ? `undo: ${this.name(bar.of)}` : this.name(bar.of);
      const inside = w > what.length * CHAR + 10, room = sheet.edge - (x + w) - 8;
      let words = what;
      if (!inside) words = fit(what, Math.max(room, x - sheet.gutter - 8, 0));
      const before = !inside && room < words.length * CHAR;
      const begin = before ? x - words.length * CHAR - 6 : x, stop = inside || before ? x + w : x + w + words.length * CHAR + 8;
      let row = rows.findIndex((edge) => edge < begin);
      if (row < 0) row = rows.length;
      rows[row] = stop + 4;
      placed.push({ bar, x, w, words, inside, before, row });
    }
    const count = Math.max(rows.length, 1);
    this.label(sheet, label, count * ROW - 4);
    for (const one of placed) this.stretch(sheet, one);
    sheet.y += count * ROW - 4 + GAP;
  }

  stretch(sheet, { bar, x, w, words, inside, before, row }) {
    const y = sheet.y + row * ROW;
    sheet.parts.push(svg("rect", { class: `bar b-${bar.what} st-${bar.state}`, x, y, width: w, height: ROW - 6, rx: 3 }, svg("title", {}, this.hover(bar, this.name(bar.of)))));
    if (!words) return;
    const at = inside ? x + 6 : before ? x - 6 : x + w + 6;
    sheet.parts.push(svg("text", { class: inside ? "in" : "beside", x: at, y: y + 14, "text-anchor": before ? "end" : "start" }, words));
  }

  people(sheet) {
    const marks = this.marks.filter((mark) => mark[0] >= sheet.from), bars = this.picture.bars;
    if (!marks.length && !bars.some((bar) => bar.what === "gate" || this.byHand(bar))) return;
    this.stretches(sheet, "people", (bar) => bar.what === "gate" || ((bar.what === "do" || bar.what === "undo") && this.byHand(bar)));
    if (!marks.length) return;
    this.label(sheet, "said", STRIP);
    let free = 0;
    for (const [at, topic, words] of marks) {
      const x = sheet.x(at);
      sheet.parts.push(svg("circle", { class: `mark m-${topic}`, cx: x, cy: sheet.y + 8, r: 5 }, svg("title", {}, `${clock(at)} ${words}`)));
      if (x > free && topic !== "note" && x + 8 + topic.length * CHAR < sheet.edge) {
        sheet.parts.push(svg("text", { class: "beside", x: x + 9, y: sheet.y + 12 }, topic));
        free = x + 16 + topic.length * CHAR;
      }
    }
    sheet.y += STRIP + GAP;
  }

  now(sheet, height, coming) {
    const { picture } = this, parts = [];
    if (picture.halt?.at != null && picture.halt.at >= sheet.from) {
      const x = sheet.x(picture.halt.at);
      parts.push(svg("line", { class: "halted-at", x1: x, x2: x, y1: TOP - 6, y2: height }), svg("rect", { class: "halted-tag", x: x - 22, y: 0, width: 44, height: 17, rx: 3 }), svg("text", { class: "halted-word", x, y: 13, "text-anchor": "middle" }, "HALT"));
    }
    if (picture.end) return parts;
    parts.push(svg("line", { class: "now-line", x1: sheet.edge, x2: sheet.edge, y1: 2, y2: height }));
    if (!coming.length) return parts;
    const room = sheet.width - sheet.edge - 14, fits = Math.max(Math.floor((height - TOP - 10) / 34), 1);
    parts.push(svg("text", { class: "tick", x: sheet.edge + 8, y: 12 }, sheet.narrow ? "next" : "next, not to scale"));
    coming.slice(0, fits).forEach((step, place) => {
      const y = TOP + 4 + place * 34, first = picture.next.steps.includes(step.id);
      parts.push(svg("rect", { class: `coming c-${step.kind}${first ? " first" : ""}`, x: sheet.edge + 8, y, width: room, height: 28, rx: 3 }, svg("title", {}, `${step.kind}: ${step.name}`)));
      parts.push(svg("text", { class: "beside", x: sheet.edge + 14, y: y + 18 }, fit(step.name, room - 12)));
    });
    if (coming.length > fits) parts.push(svg("text", { class: "tick", x: sheet.edge + 8, y: height - 2 }, `and ${coming.length - fits} more`));
    return parts;
  }

  hover(bar, what) {
    const ends = bar.to === null ? "goes on" : clock(bar.to);
    return `${what}: ${clock(bar.from)} to ${ends}, ${bar.state} (${wall(this.plan, bar.from)})`;
  }
}

const f = (number) => number.toFixed(1);

function line(rows, x, y) {
  let pen = "M", last = null;
  const parts = [];
  for (const row of rows) {
    pen = last !== null && row[0] - last <= 8 ? "L" : "M";
    parts.push(`${pen}${f(x(row))} ${f(y(row))}`);
    last = row[0];
  }
  return parts.join("") || "M0 0";
}

function fit(words, room) {
  const most = Math.floor(room / CHAR);
  if (words.length <= most) return words;
  return most < 4 ? "" : `${words.slice(0, most - 1)}…`;
}

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((times) => times * power).find((top) => top >= value);
}
