// The page: takes the story, then the news, and lets each part show its own.

import * as ask from "./ask.js";
import { byId, clock, left, show, text } from "./dom.js";
import { Halt } from "./halt.js";
import { Lanes } from "./lanes.js";
import * as panels from "./panels.js";
import { asks } from "./people.js";
import { Stream } from "./stream.js";

const QUIET_S = 6, QUIET_ARMING_S = 90;

let plan = null, picture = null, bars = [], heard = 0;
const halt = new Halt(), lanes = new Lanes();

function take(kind, data) {
  heard = performance.now();
  picture = data.picture;
  if (kind === "story") bars = data.bars || [];
  else for (const [number, bar] of data.bars || []) bars[number] = bar;
  if (picture) picture.bars = bars;
  if (kind === "story") {
    plan = data.plan;
    lanes.begin(plan, data.rows, data.step_s);
    panels.log(plan, data.notes, true);
  } else {
    panels.log(plan, data.notes || [], false);
  }
  panels.head(plan, picture);
  panels.faults(picture);
  panels.levels(picture);
  panels.load(plan, picture);
  panels.limits(picture);
  panels.end(picture);
  panels.list(plan, picture);
  asks(picture, plan ? plan.run : "");
  halt.update(picture);
  lanes.add(data.rows, data.notes, picture);
  quiet();
  text(byId("watching"), `${data.watching} watching`);
}

// A runner that is dead writes nothing; a healthy one seals its record every second once it has armed.
function quiet() {
  const silent = picture && !picture.end && picture.quiet > (picture.phase === "arming" ? QUIET_ARMING_S : QUIET_S);
  show(byId("quiet"), Boolean(silent));
  if (silent) text(byId("quiet-age"), `(${left(picture.quiet)})`);
  if (silent) text(byId("quiet-words"), `The run has recorded nothing for a while. \`gameday runs\` says how it stands; \`gameday recover\` finishes the undos of one whose runner died.`);
}

function lost(age_s, why) {
  const strip = byId("lost");
  show(strip, age_s !== null);
  text(byId("link"), age_s === null ? "connected" : "connection lost");
  byId("link").classList.toggle("bad", age_s !== null);
  document.body.classList.toggle("stale", age_s !== null);
  if (age_s === null) return;
  const what = plan ? "what you see is old; the drill goes on without this page" : "waiting for the console";
  text(byId("lost-words"), `Connection lost: ${what}. ${why || "Connecting again"}. To halt it meanwhile: gameday halt`);
  text(byId("lost-age"), plan ? `(${Math.floor(age_s)} s old)` : "");
}

// Between two messages the clock goes on by itself, but never when the page has lost the run.
function tick() {
  if (!picture) return;
  const since = picture.end ? 0 : Math.min((performance.now() - heard) / 1000, 2);
  text(byId("time"), clock(picture.end ? picture.end.at : picture.now + since));
}

// HALT is never out of sight: where its place is scrolled away it floats.
new IntersectionObserver(([seen]) => document.body.classList.toggle("scrolled", !seen.isIntersecting)).observe(document.querySelector(".about"));

ask.setUp();
setInterval(tick, 250);
new Stream(take, lost);
