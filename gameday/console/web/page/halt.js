// HALT: one gesture. Hold it (pointer, Space or Enter) for 0.4 s, or press it twice within 1.5 s. A click
// that comes from neither pointer nor key, as assistive technology makes it, acts at once.

import { byId, show, text } from "./dom.js";
import { name, post } from "./ask.js";

const HOLD_MS = 400;
const TWICE_MS = 1500;
const RETRIES = 12;

export class Halt {
  constructor() {
    this.button = byId("halt");
    this.strip = byId("halted");
    this.how = byId("halt-how");
    this.usual = this.how.textContent;
    this.last = this.touched = -Infinity;
    this.own = "";
    const button = this.button;
    button.addEventListener("pointerdown", (event) => { if (event.button === 0) this.press(); });
    for (const kind of ["pointerup", "pointercancel"]) button.addEventListener(kind, () => this.release());
    for (const kind of ["pointerleave", "blur"]) button.addEventListener(kind, () => { if (this.timer) this.release(); });
    button.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) this.press();
    });
    button.addEventListener("keyup", (event) => { if (event.key === " " || event.key === "Enter") { event.preventDefault(); this.release(); } });
    button.addEventListener("click", () => { if (performance.now() - this.touched > TWICE_MS) this.fire(); });
    button.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  press() {
    const now = performance.now(), again = now - this.last < TWICE_MS;
    this.last = this.touched = now;
    if (this.button.disabled) return;
    if (again) { this.fire(); return; }
    this.button.classList.add("holding");
    this.timer = setTimeout(() => this.fire(), HOLD_MS);
  }

  release() {
    this.touched = performance.now();
    if (this.timer) {
      this.last = this.touched;
      text(this.how, "Not halted: hold it a little longer, or press again now.");
      setTimeout(() => text(this.how, this.usual), 4000);
    }
    clearTimeout(this.timer);
    this.timer = null;
    this.button.classList.remove("holding");
  }

  async fire() {
    clearTimeout(this.timer);
    this.timer = null;
    this.button.classList.remove("holding");
    if (this.asking) return;
    this.asking = true;
    text(this.how, this.usual);
    this.say("HALT: asking the run");
    let reply;
    for (let attempt = 0; attempt < RETRIES; attempt += 1) {
      reply = await post("/api/halt", { by: name() });
      if (!reply.unreachable) break;
      this.say("HALT NOT ASKED YET: the console does not answer. Trying again; type `gameday halt` in any terminal.");
      await new Promise((done) => setTimeout(done, 400));
    }
    this.asking = false;
    if (reply.ok) this.say("HALT: asked, waiting for the run to say that it halts");
    else this.say(`HALT NOT TAKEN: ${reply.error}. Type \`gameday halt\` in a terminal.`);
  }

  say(words) {
    this.own = words;
    this.show();
  }

  // What the history says beats what this page believes.
  update(picture) {
    this.button.disabled = !picture || picture.end !== null;
    this.found = picture ? words(picture) : "";
    if (this.found) this.own = "";
    this.button.classList.toggle("pressed", Boolean(picture?.halt));
    this.show();
  }

  show() {
    const said = this.found || this.own;
    text(this.strip, said);
    show(this.strip, Boolean(said));
  }
}

function words(picture) {
  const halt = picture.halt;
  if (!halt) return "";
  if (halt.at === null) return `HALT asked for by ${halt.asked_by}`;
  const why = `${halt.reason} (by ${halt.by})`;
  if (picture.faults.some((fault) => fault.state === "stuck")) return `HALTED, A PERSON IS NEEDED: an undo is stuck. ${why}`;
  if (halt.gone === null) return `HALTING: ${halt.left} of ${halt.in_place} faults still to be taken back. ${why}`;
  const took = halt.in_place ? `every fault verified gone ${halt.took.toFixed(2)} s after ${halt.asked === null ? "the halt" : "it was asked"}` : "no fault was in place";
  return `HALTED: ${took}. ${why}`;
}
