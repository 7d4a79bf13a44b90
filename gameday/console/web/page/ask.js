// What people send. Every answer is said: that it was taken, or why not and what to do instead.

import { byId, keep, kept, text } from "./dom.js";

export async function post(path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST", cache: "no-store", keepalive: true,
      headers: { "content-type": "application/json", "x-gameday-console": "1" },
      body: JSON.stringify(body),
    });
  } catch {
    return { ok: false, unreachable: true, error: "the console does not answer" };
  }
  return outcome(answer);
}

export async function get(path) {
  try {
    return await outcome(await fetch(path, { cache: "no-store" }));
  } catch {
    return { ok: false, unreachable: true, error: "the console does not answer" };
  }
}

async function outcome(answer) {
  let data = {};
  try { data = await answer.json(); } catch { /* no JSON: the status says it */ }
  if (answer.ok) return { ok: true, data };
  return { ok: false, error: data.error || `refused (${answer.status})`, todo: data.todo || "" };
}

export const trouble = (reply) => `Not taken: ${reply.error}${reply.todo ? ` · ${reply.todo}` : ""}`;

export const name = () => byId("name").value.trim();

export function setUp() {
  const field = byId("name"), note = byId("note"), said = byId("said");
  field.value ||= kept("name"); // What was typed while the page still loaded stays.
  field.addEventListener("change", () => keep("name", field.value.trim()));
  const send = async (body, words) => {
    text(said, "sending");
    const reply = await post("/api/notes", { by: name(), ...body });
    text(said, reply.ok ? words : trouble(reply));
    said.classList.toggle("bad", !reply.ok);
    return reply.ok;
  };
  byId("say").addEventListener("submit", async (event) => {
    event.preventDefault();
    const words = note.value.trim();
    if (!words) { text(said, "Say what you saw first."); note.focus(); return; }
    if (await send({ text: words }, "Noted in the drill's history.")) note.value = "";
  });
  for (const button of document.querySelectorAll("[data-mark]")) {
    const mark = button.dataset.mark;
    button.addEventListener("click", async () => {
      const words = note.value.trim();
      if (await send({ mark, text: words }, `Marked as ${mark}.`)) note.value = "";
    });
  }
  byId("invite").addEventListener("click", invite);
  byId("leave").addEventListener("click", async () => { await post("/api/leave", {}); location.reload(); });
  byId("theme").addEventListener("click", () => theme(dark() ? "light" : "dark"));
  if (kept("theme")) theme(kept("theme"));
}

async function invite() {
  const place = byId("invited"), reply = await post("/api/invitations", {});
  text(place, reply.ok ? `Give this link to one person; it works once, within an hour: ${reply.data.url}` : trouble(reply));
}

const dark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

function theme(word) {
  document.documentElement.dataset.theme = word;
  keep("theme", word);
}
