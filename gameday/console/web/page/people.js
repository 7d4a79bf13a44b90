// What waits for people: gates to sign for, steps to do by hand. A card is made once and then only updated,
// so that nobody loses what they are typing when news comes.

import { byId, clock, command, el, text } from "./dom.js";
import { get, name, post, trouble } from "./ask.js";

const cards = new Map();

export function asks(picture, run) {
  const place = byId("asks"), seen = new Set();
  for (const one of picture?.asks || []) {
    const key = `${run} ${one.what} ${one.gate || ""}${one.step || ""}${one.role || ""}`;
    seen.add(key);
    if (!cards.has(key)) {
      const card = one.what === "approve" ? gate(one, run) : hand(one);
      cards.set(key, card);
      place.append(card.node);
      text(byId("announce"), `${one.what === "approve" ? "An approval is waited for" : "Something is to be done by hand"}: ${one.words}`);
    }
    cards.get(key).update(one);
  }
  for (const [key, card] of cards) {
    if (!seen.has(key)) { card.node.remove(); cards.delete(key); }
  }
}

let count = 0;

function frame(topic, words) {
  count += 1;
  const id = `ask-${count}`, time = el("span", { class: "left" });
  const title = el("h2", { id }, el("span", { class: "topic" }, topic), " ", el("span", {}, words));
  const node = el("article", { class: "card ask", "aria-labelledby": id }, el("div", { class: "head" }, title, time));
  return { node, time, words: title.lastChild, id };
}

function field(card, label, control) {
  control.id = `${card.id}-${label.toLowerCase().replace(/\W+/g, "-")}`;
  return [el("label", { for: control.id }, label), control];
}

function gate(one, run) {
  const card = frame("APPROVE", one.words), given = el("p", { class: "dim" });
  const who = el("input", { maxlength: "64", placeholder: "as in allowed_signers", autocomplete: "off" });
  const role = el("select", {}, one.roles.map((item) => el("option", {}, item)));
  const signature = el("textarea", { rows: "4", spellcheck: "false", placeholder: "-----BEGIN SSH SIGNATURE-----" });
  const file = el("input", { type: "file" });
  const status = el("p", { role: "status", class: "status" });
  const paper = el("div", { class: "paper" }), alone = el("div", {});
  const hint = () => alone.replaceChildren(command(`gameday approve ${run} --as ${who.value.trim() || "NAME"} --role ${role.value}`));
  let statement = "";
  who.value = name();
  hint();
  // Another name or role is another statement: what was prepared before is void.
  const changed = () => { statement = ""; paper.replaceChildren(); hint(); };
  who.addEventListener("input", changed);
  role.addEventListener("change", changed);
  const prepare = async () => {
    const query = new URLSearchParams({ gate: one.gate, name: who.value.trim(), role: role.value });
    const reply = await get(`/api/statement?${query}`);
    if (!reply.ok) { text(status, trouble(reply)); return; }
    statement = reply.data.statement;
    const url = URL.createObjectURL(new Blob([statement], { type: "application/json" }));
    paper.replaceChildren(
      el("pre", { tabindex: "0", role: "region", "aria-label": "What you sign" }, reply.data.lines.join("\n")),
      el("p", {}, el("a", { href: url, download: reply.data.file }, `Download ${reply.data.file}`), ", sign it, and give its .sig below:"),
      command(reply.data.sign),
    );
    text(status, "Prepared. Nothing is approved yet: only the signature counts.");
  };
  const handIn = async () => {
    if (!statement) { text(status, "Prepare what you sign first: the signature must be over exactly that."); return; }
    text(status, "being verified");
    const reply = await post("/api/approvals", { statement, signature: signature.value });
    text(status, reply.ok ? `Accepted: ${reply.data.said}` : trouble(reply));
  };
  file.addEventListener("change", async () => { if (file.files[0]) signature.value = await file.files[0].text(); });
  card.node.append(
    el("p", {}, "A click is never an approval: it takes the signature of an SSH key. In a terminal of the project:"), alone,
    el("details", {}, el("summary", {}, "Or sign elsewhere and hand the signature in here"),
      el("div", { class: "fields" }, field(card, "Your name", who), field(card, "Role", role)),
      el("p", {}, el("button", { type: "button", onclick: prepare }, "Prepare what you sign")), paper,
      el("div", { class: "fields" }, field(card, "Signature", signature), field(card, "Or its file", file)),
      el("p", {}, el("button", { type: "button", class: "main", onclick: handIn }, "Hand in the signature"))),
    status, given,
  );
  return { node: card.node, update: (now) => {
    text(card.words, now.words);
    text(card.time, `${clock(now.left)} left`);
    text(given, now.given.length ? `So far: ${now.given.join("; ")}` : "");
  } };
}

function hand(one) {
  const card = frame("BY HAND", one.words), taken = el("p", { class: "dim" });
  const note = el("input", { maxlength: "1000", autocomplete: "off" });
  const status = el("p", { role: "status", class: "status" });
  const send = async (outcome) => {
    if (outcome === "failed" && !note.value.trim()) { text(status, "Say what went wrong first; it is recorded."); note.focus(); return; }
    const reply = await post("/api/steps", { by: name(), step: one.step, outcome, note: note.value.trim() });
    text(status, reply.ok ? { taken: "You have it.", done: "Reported as done.", failed: "Reported as failed." }[outcome] : trouble(reply));
  };
  const button = (outcome, words, kind) => el("button", { type: "button", class: kind, onclick: () => send(outcome) }, words);
  card.node.append(
    taken, el("div", { class: "fields" }, field(card, "What you saw", note)),
    el("div", { class: "row" }, one.role === "do" ? button("taken", "I take it", "") : null, button("done", "Done", "main"), button("failed", "Cannot be done", "")),
    status,
  );
  return { node: card.node, update: (now) => {
    text(card.words, now.words);
    text(card.time, `${clock(now.left)} left`);
    text(taken, now.taken ? `Taken by ${now.taken}` : "Nobody has taken it yet.");
  } };
}
