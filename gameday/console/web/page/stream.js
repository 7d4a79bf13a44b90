// The story as it is streamed: goes on where it was after a lost connection, and says so meanwhile.

const STALE_MS = 2000;
const HIDDEN_MS = 60000;
const BACKOFF_MS = [300, 600, 1200, 2500, 5000];

export class Stream {
  constructor(take, lost) {
    this.take = take;
    this.lost = lost;
    this.id = "";
    this.heard = performance.now();
    this.failures = 0;
    this.why = "";
    setInterval(() => this.watch(), 250);
    document.addEventListener("visibilitychange", () => this.seen());
    this.run();
  }

  // A page that nobody sees gives its connection back: a browser has six of them for one server.
  seen() {
    clearTimeout(this.hiding);
    if (document.hidden) this.hiding = setTimeout(() => this.pause(), HIDDEN_MS);
    else if (this.paused) { this.paused = false; this.run(); }
  }

  pause() {
    this.paused = true;
    this.abort?.abort();
  }

  watch() {
    const age = performance.now() - this.heard;
    this.lost(this.paused || age < STALE_MS ? null : age / 1000, this.why);
  }

  async run() {
    while (!this.paused) {
      this.abort = new AbortController();
      try {
        await this.once();
        this.why = "";
      } catch (error) {
        if (error.name === "Over") { this.why = error.message; this.heard = Math.min(this.heard, performance.now() - STALE_MS); }
      }
      const wait = BACKOFF_MS[Math.min(this.failures, BACKOFF_MS.length - 1)];
      this.failures += 1;
      await new Promise((done) => setTimeout(done, wait * (0.8 + Math.random() * 0.4)));
    }
  }

  async once() {
    // A connection that hangs is given up: a server that was stopped does not always say so.
    const hung = setInterval(() => {
      if (performance.now() - this.heard > 4 * STALE_MS && performance.now() - begun > 4 * STALE_MS) this.abort.abort();
    }, 1000);
    const begun = performance.now();
    try {
      const answer = await fetch(`/api/stream?after=${encodeURIComponent(this.id)}`, {
        signal: this.abort.signal, cache: "no-store", headers: { accept: "text/event-stream" },
      });
      if (!answer.ok) throw await refused(answer);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        const parts = (rest + value).split("\n\n");
        rest = parts.pop();
        for (const part of parts) this.message(part);
      }
    } finally { clearInterval(hung); }
  }

  message(part) {
    const lines = Object.fromEntries(part.split("\n").map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]));
    this.id = lines.id;
    this.heard = performance.now();
    this.failures = 0;
    this.why = "";
    this.take(lines.event, JSON.parse(lines.data));
  }
}

async function refused(answer) {
  const error = new Error(answer.status === 401 ? "you are no longer let in: ask for a new link" : `the console says ${answer.status}`);
  error.name = "Over";
  return error;
}
