// The parts of the page that show and take nothing: phases, faults, levels, load, limits, the log, the end.

import { byId, clock, draw, el, left, show, text, wall } from "./dom.js";

const PHASES = ["arming", "baseline", "running", "undoing", "recovering", "finished"];
const LOG_MAX = 400;

export function head(plan, picture) {
  text(byId("run"), plan ? `${plan.kind} of ${plan.service} in ${plan.environment} · ${plan.run}` : "no run yet: `gameday run PLAN` starts one");
  text(byId("title"), plan ? plan.title : "gameday console");
  const asks = picture?.asks.length ? `(${picture.asks.length}) ` : "";
  document.title = `${asks}${picture?.halt ? "HALTED: " : ""}${plan ? plan.title : "gameday console"}`;
  draw(byId("phases"), picture?.phase, () => PHASES.map((phase) => {
    const now = phase === picture?.phase;
    return el("li", { class: now ? "on" : "", "aria-current": now ? "step" : null }, phase);
  }));
  text(byId("now"), now(plan, picture));
  text(byId("next"), next(plan, picture));
}

const named = (plan, id) => plan.steps.find((step) => step.id === id)?.name || id;

function now(plan, picture) {
  if (!picture) return "";
  if (picture.held) return picture.held;
  return picture.running.map((run) => `${named(plan, run.step)}: ${run.past.toFixed(0)} of at most ${left(run.most)}`).join(" · ");
}

function next(plan, picture) {
  if (!picture?.next) return "";
  const steps = picture.next.steps.map((id) => named(plan, id)).join(" and ");
  return `next: ${steps}${picture.next.more ? `, then ${picture.next.more} more` : ""}`;
}

export function faults(picture) {
  const found = picture?.faults || [];
  draw(byId("faults"), found, () => found.length ? [el("ul", { class: "faults" }, found.map(fault))] : [el("p", { class: "none" }, "None.")]);
}

function fault(one) {
  const words = one.state === "stuck" ? "STUCK" : one.state;
  const parts = [el("span", { class: `state s-${one.state.replace(" ", "-")}` }, words), el("strong", {}, one.name), el("span", { class: "dim" }, one.target)];
  if (one.left !== null) parts.push(el("span", { class: "ttl" }, one.state === "undoing" ? "" : `taken back in ${clock(one.left)} at the latest`));
  else if (one.state === "in place") parts.push(el("span", { class: "ttl" }, "until its undo"));
  if (one.words) parts.push(el("span", { class: "how" }, one.words));
  if (one.left !== null && one.of) parts.push(el("progress", { max: one.of, value: Math.min(one.left, one.of), "aria-label": `time to live of ${one.name}` }));
  return el("li", { class: one.state === "stuck" ? "stuck" : "" }, parts);
}

export function levels(picture) {
  const found = picture?.slos || [];
  draw(byId("slos"), found, () => [el("table", {},
    el("thead", {}, el("tr", {}, ["", "good", "objective", "budget left", "burn"].map((word) => el("th", { scope: "col" }, word || el("span", { class: "away" }, "level"))))),
    el("tbody", {}, found.map(level)))]);
}

function level(one) {
  const word = one.met === null ? "no data" : one.met ? "met" : "missed";
  const stale = one.stale ? el("small", { class: "warn" }, `last read ${one.stale.toFixed(0)} s ago`) : null;
  return el("tr", { class: `l-${word.replace(" ", "-")}` },
    el("th", { scope: "row" }, el("span", { class: "verdict" }, word), " ", one.name, stale),
    el("td", { class: "n" }, one.good === null ? "-" : `${one.good} %`), el("td", {}, one.aim, one.latency ? el("small", {}, one.latency) : null),
    el("td", { class: "n" }, one.budget === null ? "-" : `${one.budget} %`), el("td", { class: "n" }, one.burn === null ? "-" : `${one.burn}×`));
}

export function load(plan, picture) {
  const now = picture?.load;
  draw(byId("load"), [now, plan?.has_load], () => {
    if (!now) return [el("div", {}, el("dt", {}, "load"), el("dd", {}, plan?.has_load ? "none now" : "not in this plan"))];
    const figure = (name, value, kind) => el("div", { class: kind }, el("dt", {}, name), el("dd", {}, value));
    return [
      figure("offered", `${now.offered.toFixed(0)}/s`), figure("achieved", `${now.achieved.toFixed(0)}/s${now.short ? " short" : ""}`, now.short ? "warn" : ""),
      figure("failed", `${now.failed.toFixed(0)}/s`, now.failed ? "bad" : ""), figure("p99", now.p99 === null ? "-" : `${now.p99.toFixed(0)} ms`),
    ];
  });
}

export function limits(picture) {
  const found = picture?.limits || [];
  draw(byId("limits"), found, () => found.length ? found.map((one) => el("li", { class: `near-${one.near}` },
    el("span", {}, `${one.then === "halt" ? "halts on" : "warns on"} ${one.what}`), el("strong", {}, one.words))) : [el("li", {}, "no stop conditions")]);
}

// Notes are only ever added. Newest first: what is new is where one looks.
let logged = 0;
export function log(plan, notes, anew) {
  const place = byId("log");
  if (anew) { place.replaceChildren(); logged = 0; }
  for (const [number, at, topic, words] of notes) {
    if (number < logged) continue;
    logged = number + 1;
    const loud = topic === topic.toUpperCase() && topic !== "FAULT";
    const mine = ["note", "detected", "acknowledged", "mitigated", "by hand", "approve"].includes(topic);
    place.prepend(el("li", { class: loud ? "loud" : mine ? "mine" : "" },
      el("time", { title: wall(plan, at) }, clock(at)), el("span", { class: "topic" }, topic), el("span", {}, words)));
  }
  while (place.childElementCount > LOG_MAX) place.lastElementChild.remove();
}

export function end(picture) {
  const found = picture?.end;
  show(byId("end"), Boolean(found));
  if (!found) return;
  draw(byId("end-body"), found, () => {
    const verdict = found.verdict === null ? found.outcome : found.verdict.replace("_", " ");
    const parts = [el("p", { class: `outcome v-${found.verdict || "none"}` }, el("strong", {}, verdict.toUpperCase()), ` the drill ${found.words}`)];
    if (found.stuck.length) parts.push(el("p", { class: "bad" }, `A PERSON IS NEEDED, undos are stuck: ${found.stuck.join(", ")}`));
    if (found.failed_over) parts.push(el("p", { class: "bad" }, "A PERSON IS NEEDED: it was left failed over."));
    if (found.findings.length) parts.push(el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Findings" }, el("table", {},
      el("thead", {}, el("tr", {}, ["verdict", "finding", "observed", "limit", "why"].map((word) => el("th", { scope: "col" }, word)))),
      el("tbody", {}, found.findings.map((one) => el("tr", { class: `f-${one.verdict}` }, el("td", {}, el("span", { class: "verdict" }, one.verdict.replace("_", " "))),
        el("th", { scope: "row" }, one.name), el("td", {}, `${one.observed}${one.unit === "%" ? " %" : ""}`), el("td", {}, one.limit), el("td", {}, one.verdict === "pass" ? "" : one.why)))))));
    parts.push(el("p", {}, "report: ", el("code", {}, found.report)));
    return parts;
  });
}

export function list(plan, picture) {
  if (!byId("list").closest("details").open) return;
  const bars = (picture?.bars || []).filter((bar) => bar.what !== "phase");
  draw(byId("list"), bars, () => [el("table", {},
    el("thead", {}, el("tr", {}, ["from", "to", "what", "step", "how it went"].map((word) => el("th", { scope: "col" }, word)))),
    el("tbody", {}, bars.map((bar) => el("tr", {}, el("td", { title: wall(plan, bar.from) }, clock(bar.from)), el("td", {}, bar.to === null ? "goes on" : clock(bar.to)),
      el("td", {}, { do: "step", undo: "undo", gate: "approval", fault: "fault in place" }[bar.what]), el("th", { scope: "row" }, bar.of === "start" ? "the start" : named(plan, bar.of)), el("td", {}, bar.state)))))]);
}
