"""Watching a run must not slow it: how late do its samples leave, alone and with many who watch?

    python -m tests.bench.watching [SECONDS] [--rounds N] [--clients N] [--pages N]

Ten probes at 10 Hz against a small server. Alone, then with `gameday console` serving 50 streaming clients
and two Chromium pages on the same machine, in turn. Lateness is computed from the samples, as in
`tests.bench.soak`. Every client must have been told of the run to the end, or its watching counts for nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

from tests.bench import soak
from tests.browser.console import ConsoleProcess, chromium, why_not
from tests.drills import ROOT

PROBES, CLIENTS, PAGES = 10, 50, 2
JITTER_MAX_S = 0.010


class Clients(threading.Thread):
    """Streaming clients on one event loop, each a connection of its own."""

    def __init__(self, console: ConsoleProcess, cookie: str, count: int) -> None:
        super().__init__(daemon=True)
        self.host, self.port = console.listen.split(":")
        self.cookie, self.count = cookie, count
        self.messages = [0] * count
        self.bytes = 0
        self.done = threading.Event()

    def run(self) -> None:
        asyncio.run(self.everybody())

    async def everybody(self) -> None:
        tasks = [asyncio.create_task(self.one(number)) for number in range(self.count)]
        while not self.done.is_set():
            await asyncio.sleep(0.2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def one(self, number: int) -> None:
        reader, writer = await asyncio.open_connection(self.host, int(self.port))
        writer.write(
            f"GET /api/stream HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nCookie: {self.cookie}\r\n\r\n".encode()
        )
        try:
            while data := await reader.read(1 << 16):
                self.messages[number] += data.count(b"\nevent: ")
                self.bytes += len(data)
        finally:
            writer.close()


@contextlib.contextmanager
def pages(console: ConsoleProcess, count: int):
    """Chromium pages on the console; yields what they show when asked."""
    if not count:
        yield lambda: []
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox"], timeout=120_000
        )
        open_pages = []
        for number in range(count):
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            if number:
                link = open_pages[0].evaluate(
                    "fetch('/api/invitations', {method: 'POST', body: '{}', headers: {'x-gameday-console': '1',"
                    " 'content-type': 'application/json'}}).then((a) => a.json()).then((d) => d.url)"
                )
            else:
                link = console.link
            page.goto(link)
            page.wait_for_selector("#lanes svg", timeout=60_000)
            open_pages.append(page)
        yield lambda: [page.inner_text("#time") for page in open_pages]
        browser.close()


@contextlib.contextmanager
def drill(folder: Path, seconds: float):
    """A server and a run of it; yields the runner's process."""
    server = subprocess.Popen([sys.executable, "-c", soak.SERVER], stdout=subprocess.PIPE)
    url = f"http://127.0.0.1:{int(server.stdout.readline())}"
    (folder / "experiments").mkdir()
    text = soak.plan_text(url, f"{seconds:g}s", soak.HZ, PROBES)
    (folder / "experiments" / "watched.yaml").write_text(text)
    command = [
        sys.executable,
        "-m",
        "gameday",
        "run",
        "experiments/watched.yaml",
        "--plain",
        "--run-dir",
        "run",
    ]
    runner = subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield runner
    finally:
        runner.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            runner.communicate(timeout=30)
        runner.kill()
        server.kill()


def wait_for(runner, folder: Path, word: bytes) -> None:
    history, give_up = folder / "run" / "history.jsonl", time.monotonic() + 120
    while not history.exists() or word not in history.read_bytes():
        assert runner.poll() is None and time.monotonic() < give_up, runner.communicate()[0]
        time.sleep(0.1)


def measured(seconds: float, clients: int, count: int) -> tuple[list[float], str]:
    """Lateness of one run, sorted, and a line on who watched it."""
    folder = Path(tempfile.mkdtemp(prefix="watching-"))
    said = "nobody watches"
    try:
        with contextlib.ExitStack() as stack:
            watched = clients or count
            extra = (
                120 if watched else 0
            )  # Pages take their time to open; only what is seen with them counts.
            runner = stack.enter_context(drill(folder, seconds + extra))
            wait_for(runner, folder, b'"phase":"running"')
            began_s = time.monotonic()
            look = list
            if watched:
                console = ConsoleProcess(folder, "run")
                stack.callback(console.kill)
                look = stack.enter_context(pages(console, count))
                entered = httpx.get(link_of(console, count))
                crowd = Clients(console, entered.headers["set-cookie"].partition(";")[0], clients)
                crowd.start()
                time.sleep(2)
            from_s = time.monotonic() - began_s
            cpu0 = soak.cpu_s(console.process.pid) if watched else 0.0
            time.sleep(seconds)
            to_s = time.monotonic() - began_s
            if watched:
                share = (soak.cpu_s(console.process.pid) - cpu0) / seconds
                crowd.done.set()
                crowd.join()
                assert min(crowd.messages, default=9) >= seconds, (
                    f"a client heard too little: {sorted(crowd.messages)[:5]}"
                )
                said = (
                    f"{clients} clients, each {min(crowd.messages)} to {max(crowd.messages)} messages,"
                    f" {crowd.bytes / 1e6 / seconds:.1f} MB/s in all; pages at {look()};"
                    f" the console took {share:.0%} of a core"
                )
        late = within(folder / "run", from_s, to_s)
    finally:
        shutil.rmtree(folder)
    return late, said


def link_of(console: ConsoleProcess, count: int) -> str:
    """A link for the clients: the printed one, or where a page used it, that of another start."""
    if not count:
        return console.link
    console.kill()
    console.start()  # The pages come back by themselves.
    return console.link


def within(run: Path, from_s: float, to_s: float) -> list[float]:
    """Lateness of the samples that were sent in a stretch of the running phase."""
    lines = (run / "history.jsonl").read_text().splitlines()
    running = next(json.loads(one)["at_ns"] for one in lines if '"phase":"running"' in one)
    low, high = running + from_s * 1e9, running + to_s * 1e9
    samples = run / "segments" / "samples.jsonl"
    kept = []
    for line in samples.read_text().splitlines():
        try:
            if low <= json.loads(line)["sent_ns"] <= high:
                kept.append(line)
        except ValueError:
            continue  # The run was ended in the middle of a line.
    samples.write_text("\n".join(kept))
    late, missed, _ = soak.lateness_s(samples)
    print(f"    {len(late)} samples, {missed} slots missed", flush=True)
    return late


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.bench.watching")
    asked.add_argument("seconds", nargs="?", type=float, default=60.0)
    asked.add_argument("--rounds", type=int, default=2)
    asked.add_argument("--clients", type=int, default=CLIENTS)
    asked.add_argument("--pages", type=int, default=PAGES)
    options = asked.parse_args()
    if options.pages and why_not():
        print(why_not())
        return 1
    found: dict[str, list[float]] = {"alone": [], "watched": []}
    for number in range(options.rounds):
        for name in ("alone", "watched"):
            who = (options.clients, options.pages) if name == "watched" else (0, 0)
            late, said = measured(options.seconds, *who)
            found[name] += late
            print(f"  round {number + 1}, {name}: p99 {late[int(len(late) * 0.99)] * 1000:.2f} ms, worst {late[-1] * 1000:.1f} ms"
                  f" (load {os.getloadavg()[0]:.1f}); {said}", flush=True)  # fmt: skip
    p99 = {name: sorted(late)[int(len(late) * 0.99)] for name, late in found.items()}
    median = {name: sorted(late)[len(late) // 2] for name, late in found.items()}
    print(
        f"{PROBES} probes at {soak.HZ} Hz, {os.cpu_count()} cores, {options.rounds} rounds of {options.seconds:g} s"
    )
    for name in found:
        print(f"  {name:8} lateness median {median[name] * 1000:.2f} ms, p99 {p99[name] * 1000:.2f} ms")
    print(f"  watched against alone: {p99['watched'] / p99['alone']:.2f} times the p99")
    ok = soak.verdict("watched: lateness p99", f"{p99['watched'] * 1000:.2f} ms", f"{JITTER_MAX_S * 1000:g} ms",
                      p99["watched"] <= JITTER_MAX_S)  # fmt: skip
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
