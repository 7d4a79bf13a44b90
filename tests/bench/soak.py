"""Soak: does a runner that goes on for a long time stay as small, as light and as punctual as it began?

    python -m tests.bench.soak [HOURS] [--rate HZ]      in virtual time; 24 hours, one sample a second each
    python -m tests.bench.soak --real MINUTES           a real `gameday run`; 20 probes at 10 Hz

Virtual: the engine, the loop and the history as they are, on a clock that jumps; twenty probes, four
SLOs, stop conditions, one hold as long as the soak. Memory at the end against that after five minutes.

Real: the runner is watched from outside (/proc): its memory after a twelfth of the time against the end,
its processor time with all its probe threads, and from the samples how late each request left, against
the schedule (k x period from the most punctual one).
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gameday.engine.state import begin
from gameday.history.codec import Roots
from gameday.history.events import Armed, Reading, Sample
from gameday.history.store import HistoryWriter
from gameday.plan.load import load_plan
from gameday.plan.stored import plan_digest
from gameday.runner.crew import Crew
from gameday.runner.loop import Loop
from tests.drills import ROOT

PROBES, HZ = 20, 10
GROWTH_MAX, CPU_MAX, JITTER_MAX_S = 0.05, 0.25, 0.010
NS = 1_000_000_000

SERVER = """
import asyncio
ANSWERS = {b"/identity": b'{"environment": "lab"}'}
async def serve(reader, writer):
    try:
        head = await reader.readuntil(b"\\r\\n\\r\\n")
        body = ANSWERS.get(head.split(b" ", 2)[1], b"ok")
        writer.write(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def plan_text(url: str, hold: str, hz: float, probes: int = PROBES) -> str:
    period = f"{1000 / hz:g}ms"
    names = [f"p{n:02}" for n in range(probes)]
    slos = {f"s{n}": {"probe": names[n], "objective": "95%", "window": "10s"} for n in range(4)}
    return json.dumps(
        {
            "title": "soak",
            "kind": "game-day",
            "service": "bench",
            "target": {"environment": "lab", "identity": {"http": f"{url}/identity"}},
            "probes": {n: {"http": {"url": f"{url}/"}, "every": period, "timeout": "400ms"} for n in names},
            "slos": slos,
            "steady_state": {"slos": list(slos), "baseline": "1s", "stabilise": "1s"},
            "stop_conditions": [
                *({"slo": name, "bad": "above 50%", "for": "5s", "then": "halt"} for name in slos),
                *({"probe": name, "bad": "50 in a row", "then": "halt"} for name in names),
                {"silence": "30s", "then": "halt"},
            ],
            "blast_radius": {"max": "1", "duration": "2d"},
            "steps": [{"hold": hold}],
        }
    )


def rss_kib(pid: int | str = "self") -> int:
    """Resident memory of a process that is its own: shared pages of files left out."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon"))


def verdict(name: str, value: str, limit: str, ok: bool) -> bool:
    print(f"  {name:34}{value:>14}   limit {limit:10} {'met' if ok else 'NOT MET'}", flush=True)
    return ok


def growth(name: str, first: int, last: int) -> bool:
    share = last / first - 1
    return verdict(
        f"{name}, {first / 1024:.1f} -> {last / 1024:.1f} MiB",
        f"{share:+.1%}",
        f"{GROWTH_MAX:+.0%}",
        share <= GROWTH_MAX,
    )


# --- virtual ---------------------------------------------------------------------------------


class VirtualClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.at_ns = 0

    def now_ns(self) -> int:
        return self.at_ns


class NoHosts:
    def get(self, step: str, role: str) -> None:
        return None


def virtual(hours: float, hz: float) -> bool:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        path = folder / "soak.yaml"
        path.write_text(plan_text("http://127.0.0.1:1", f"{hours:g}h", hz))
        plan = load_plan(path, folder)
        history = HistoryWriter(folder, Roots(plan_digest(plan)))
        clock, inbox = VirtualClock(), queue.SimpleQueue()
        crew = Crew(plan, clock=clock, inbox=inbox, hosts=NoHosts())
        loop = Loop(begin(plan), history, crew, clock, inbox, "runner", beat=lambda: None)
        inbox.put((0, Armed(hosts=0)))
        loop.turn()
        period_ns, count, seen = int(NS / hz), 0, [(0, rss_kib())]
        drained_ns = 0
        while not loop.state.is_over:
            for number, probe in enumerate(plan.probes):
                sent_ns = clock.at_ns + number * period_ns // PROBES
                reading = Reading.BAD if count % 997 == 0 else Reading.GOOD
                inbox.put((sent_ns + 2_000_000, Sample(probe.name, sent_ns, sent_ns + 2_000_000, reading)))
                count += 1
            clock.at_ns += period_ns
            while not inbox.empty():
                loop.turn()
            if clock.at_ns - drained_ns >= NS:  # Virtual time may not outrun the real disk.
                drained_ns = clock.at_ns
                history._disk.write(history._fd, b"", sync=False, patience_s=60)
            if clock.at_ns >= seen[-1][0] + 300 * NS:  # Seldom: what the bench keeps is not the runner's.
                seen.append((clock.at_ns, rss_kib()))
                if len(seen) % 24 == 2:
                    print(f"  after {clock.at_ns / 3600e9:4.1f} h: {seen[-1][1] / 1024:.1f} MiB", flush=True)
        history.close()
        size = sum(file.stat().st_size for file in folder.rglob("*.jsonl"))
    assert loop.state.halted is None, loop.state.halted
    first = seen[min(1, len(seen) - 1)][1]
    took = time.monotonic() - began
    print(
        f"virtual: {clock.at_ns / 3600e9:.1f} h, {count} samples, {size / 1e6:.0f} MB of history, in {took:.0f} s"
    )
    print(
        f"  each sample took {took / count * 1e6:.0f} us; memory highest {max(k for _, k in seen) / 1024:.1f} MiB"
    )
    last = statistics.median(kib for _, kib in seen[-10:])
    return growth("memory after 5 simulated minutes", first, last)


# --- real ------------------------------------------------------------------------------------


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def lateness_s(samples: Path) -> tuple[list[float], int, int]:
    """How late each request left; how many slots were missed, and how many samples not good."""
    rows: dict[str, list[tuple[int, int]]] = {}
    missed = bad = 0
    for line in samples.read_text().splitlines():
        item = json.loads(line)
        bad += item["reading"] == "bad"
        slots = 1
        if item["reading"] == "unreadable":  # These slots were never begun: they count, and have no lateness.
            found = re.match(r"(\d+) samples were missed", item["detail"])
            slots = -int(found[1]) if found else -1
            missed -= slots
        rows.setdefault(item["probe"], []).append((item["sent_ns"], slots))
    late = []
    for row in rows.values():
        offsets, slot = [], 0
        for sent_ns, slots in sorted(row):
            if slots > 0:
                offsets.append(sent_ns - slot * NS // HZ)
            slot += abs(slots)
        punctual = min(offsets)
        late += [(offset - punctual) / 1e9 for offset in offsets]
    return sorted(late), missed, bad


def real(minutes: float) -> bool:
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE)
    url = f"http://127.0.0.1:{int(server.stdout.readline())}"
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    (folder / "experiments").mkdir()
    (folder / "experiments" / "soak.yaml").write_text(plan_text(url, f"{minutes * 60:g}s", HZ))
    command = [sys.executable, "-m", "gameday", "run", "experiments/soak.yaml", "--plain", "--run-dir", "run"]
    runner = subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        history = folder / "run" / "history.jsonl"
        while not history.exists() or b'"phase":"running"' not in history.read_bytes():
            assert runner.poll() is None, runner.communicate()[0]
            time.sleep(0.05)
        began, cpu0, seen = time.monotonic(), cpu_s(runner.pid), []
        server0, said_s = cpu_s(server.pid), 0.0
        while time.monotonic() - began < minutes * 60 - 1:
            assert runner.poll() is None, runner.communicate()[0]
            at_s = time.monotonic() - began
            seen.append((at_s, rss_kib(runner.pid)))
            if at_s >= said_s:
                said_s += 60
                share = (cpu_s(runner.pid) - cpu0) / max(at_s, 1)
                print(f"  after {at_s / 60:4.0f} min: {seen[-1][1] / 1024:.1f} MiB, {share:.1%} of a core, "
                      f"load {os.getloadavg()[0]:.1f}", flush=True)  # fmt: skip
            time.sleep(min(1.0, minutes))
        lasted = time.monotonic() - began
        share = (cpu_s(runner.pid) - cpu0) / lasted
        server_share = (cpu_s(server.pid) - server0) / lasted
        load = os.getloadavg()[0]
        out = runner.communicate(timeout=60 + minutes * 10)[0]
        late, missed, bad = lateness_s(folder / "run" / "segments" / "samples.jsonl")
    finally:
        runner.kill()
        server.kill()
        shutil.rmtree(folder)
    assert runner.returncode in (0, 4), out
    first = next((kib for at, kib in seen if at >= min(300, minutes * 5)), seen[-1][1])
    p99 = late[int(len(late) * 0.99)]
    print(f"real: {lasted / 60:.1f} min, {len(late)} samples of {PROBES} probes at {HZ} Hz, load {load:.1f}, "
          f"{os.cpu_count()} cores; the server took {server_share:.0%} of one")  # fmt: skip
    ok = growth("memory", first, statistics.median(kib for _, kib in seen[-10:]))
    ok &= verdict("processor, runner with its probes", f"{share:.1%}", f"{CPU_MAX:.0%}", share <= CPU_MAX)
    ok &= verdict("lateness p99", f"{p99 * 1000:.2f} ms", f"{JITTER_MAX_S * 1000:g} ms", p99 <= JITTER_MAX_S)
    print(f"  lateness median {late[len(late) // 2] * 1000:.2f} ms, worst {late[-1] * 1000:.2f} ms; "
          f"{missed} slots missed, {bad} samples bad")  # fmt: skip
    return ok


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.bench.soak")
    asked.add_argument("hours", nargs="?", type=float, default=24.0)
    asked.add_argument(
        "--rate", type=float, default=1.0, help="samples a second of each probe, in virtual time"
    )
    asked.add_argument("--real", type=float, nargs="?", const=60.0, metavar="MINUTES")
    options = asked.parse_args()
    ok = real(options.real) if options.real else virtual(options.hours, options.rate)
    print("all goals met" if ok else "NOT ALL GOALS MET")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
