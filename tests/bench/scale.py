"""Scale: what a history of a million samples costs to judge, to render, and to write.

    python -m tests.bench.scale [N ...]      10 000, 100 000 and 1 000 000 samples by default

Each step is a process of its own, as a person starts it: `gameday check`, `gameday report`. Peak memory
and processor time are what the kernel counted for it; limits are held against the latter, which on a
machine that does nothing else is the time that passes. Writing is measured at 1 000 samples a second.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from gameday.history.codec import Roots, encode_item, encode_record, genesis, line_digest
from gameday.history.events import (
    Outcome,
    Reading,
    RunEnded,
    RunStarted,
    Sample,
    SegmentSealed,
)
from gameday.history.loadevents import LoadBucket
from gameday.history.record import Record
from gameday.history.store import HistoryWriter
from gameday.plan.model import NS
from gameday.plan.stored import plan_digest, write_plan
from tests.drills import ROOT
from tests.evidence.synthetic import BACK_NS, END_NS, FAULT_NS, MS, Story, completed, make_plan, utc

CHECK_S, CHECK_MIB, REPORT_S, REPORT_MIB, CORE = 20.0, 500.0, 10.0, 3.0, 0.05
PROBES = 10
SIZES = (10_000, 100_000, 1_000_000)


def make_run(folder: Path, samples: int) -> Path:
    """Write a run folder of so many samples, of ten probes, over as long as that takes at 100 a second."""
    stretch = max(samples // 2800, 1)  # The drill of 28 s, drawn out.
    plan = make_plan()
    names = ["place-order", *(f"probe-{n}" for n in range(1, PROBES))]
    first = plan.probes[0]
    probes = tuple(replace(first, name=name, writes=not n) for n, name in enumerate(names))
    plan = replace(plan, probes=(*probes, plan.probes[1]), stop_conditions=plan.stop_conditions[:1])
    story = completed(plan)
    folder.mkdir(parents=True)
    (folder / "segments").mkdir()
    write_plan(folder, plan)
    every = END_NS * stretch * PROBES // samples
    lines: dict[str, list[bytes]] = {"samples": [], "load": [], "ledger": []}
    for number in range(samples):
        probe, sent = names[number % PROBES], number * every // PROBES
        is_bad = probe == names[0] and FAULT_NS * stretch <= sent < BACK_NS * stretch
        reading, detail = (Reading.BAD, "HTTP 503") if is_bad else (Reading.GOOD, "")
        sample = Sample(probe, sent, sent + 3 * MS + number % 1000 * 1000, reading, detail)
        lines["samples"].append(encode_item(sample))
    for number in range(min(END_NS * stretch // (100 * MS), samples // 10)):
        kind = story.load[number % len(story.load)]
        named = (("POST /orders", kind.good, kind.bad, kind.latency), ("GET /orders", 0, 0, ()))
        lines["load"].append(encode_item(replace(kind, start_ns=number * 100 * MS, endpoints=named)))
    for entry in story.ledger:
        lines["ledger"].append(encode_item(replace(entry, at_ns=entry.at_ns * stretch)))
    _write_chain(folder, story, plan_digest(plan), lines, stretch)
    return folder


def _write_chain(
    folder: Path, story: Story, digest: str, lines: dict[str, list[bytes]], stretch: int
) -> None:
    """Write the records, with a seal for every second's worth of lines."""
    records = sorted(((at * stretch, event) for at, event in story.records), key=lambda pair: pair[0])
    records[0] = (records[0][0], replace(records[0][1], plan_sha256=digest))
    ended = records.pop()
    for stream, items in lines.items():
        (folder / "segments" / f"{stream}.jsonl").write_bytes(b"".join(items))
        at, step = 0, max(len(items) // (28 * stretch), 1)
        for start in range(0, len(items), step):
            piece = b"".join(items[start : start + step])
            seal = SegmentSealed(stream, at, at + len(piece), hashlib.sha256(piece).hexdigest())
            records.append((ended[0] - 1, seal))
            at += len(piece)
    records.append(ended)
    prev, out = genesis(Roots(digest)), []
    for seq, (at_ns, event) in enumerate(records, start=1):
        out.append(encode_record(Record(seq, at_ns, utc(at_ns), "runner", event), prev))
        prev = line_digest(out[-1])
    (folder / "history.jsonl").write_bytes(b"\n".join(out) + b"\n")


def timed(run_dir: Path, command: str) -> tuple[float, float, float]:
    """Run a command on a run folder; return its processor seconds, seconds and peak memory in MiB."""
    before = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "gameday", command, str(run_dir)],
        cwd=run_dir.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in (0, 1, 4), process.returncode
    return usage.ru_utime + usage.ru_stime, time.monotonic() - before, usage.ru_maxrss / 1024


def writing_share(seconds: int = 10, rate: int = 1000) -> float:
    """Return the share of one core that keeping and sealing so many samples a second takes."""
    with tempfile.TemporaryDirectory() as name:
        history = HistoryWriter(Path(name), Roots("0" * 64))
        before, began = time.process_time(), time.monotonic()
        for second in range(seconds * 2):
            for number in range(rate // 2):
                at = second * NS // 2 + number * 1000
                history.keep(Sample("place-order", at, at + 3 * MS, Reading.GOOD))
            history.seal(second * NS // 2, utc(second * NS // 2))
            time.sleep(max(began + (second + 1) / 2 - time.monotonic(), 0))
        history.close()
        return (time.process_time() - before) / (time.monotonic() - began)


def main() -> int:
    sizes = [int(word) for word in sys.argv[1:]] or list(SIZES)
    good = True
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        for size in sizes:
            run_dir = make_run(Path(name) / str(size), size)
            report_s, report_wall_s, report_mem = timed(run_dir, "report")
            check_s, check_wall_s, check_mem = timed(run_dir, "check")
            html = (run_dir / "report.html").stat().st_size / (1 << 20)
            print(
                f"{size:9} samples: check {check_s:5.1f} s ({check_wall_s:.1f} s passed,"
                f" {check_s / size * 1e6:.1f} us each), peak {check_mem:4.0f} MiB; report {report_s:5.1f} s"
                f" ({report_wall_s:.1f} s passed), peak {report_mem:4.0f} MiB, {html:.2f} MiB",
                flush=True,
            )
            good &= check_s <= CHECK_S and check_mem <= CHECK_MIB
            good &= report_s <= REPORT_S and html <= REPORT_MIB
    share = writing_share()
    print(f"writing 1 000 samples a second: {100 * share:.1f} % of one core")
    return 0 if good and share <= CORE else 1


if __name__ == "__main__":
    sys.exit(main())
