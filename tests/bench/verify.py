"""How fast a bundle is verified: 10 000, 100 000 and 1 000 000 samples, each with load, ledger and tokens.

    python -m tests.bench.verify [SAMPLES …]

For each: the time of digests and chain alone, and of all five lines in a process of its own, with its
memory. Goals: a million samples in 30 s; digests and chain at 60 MB/s; cost linear in the samples.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from gameday.history.events import LedgerEntry, LedgerMark, Reading, Sample
from gameday.history.loadevents import LoadBucket
from gameday.plan.model import NS, Probe, ProbeKind
from gameday.verify import chain
from gameday.verify.folder import Folder
from gameday.verify.trust import read_trust
from gameday.verify.verify import Bundle
from tests.evidence import synthetic
from tests.verify.made import Maker, World

MS = 1_000_000
PROBES = 20
GOAL_S, GOAL_MB_S = 30.0, 60.0
PROGRAM = """
import resource, sys, time
from gameday.verify.__main__ import main
began = time.perf_counter()
code = main([sys.argv[1], "--trust", sys.argv[2]])
took_s = time.perf_counter() - began
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"= {code} {took_s:.3f} {peak_mb:.0f}")
"""


def story_of(samples: int):
    """The synthetic drill with twenty probes and a hold that lasts until there are so many samples."""
    story = synthetic.completed()
    more_ns = max(samples * 100 * MS // PROBES - 24_500 * MS, 0)
    after_ns = 13 * NS
    others = tuple(Probe(f"p{n}", ProbeKind.HTTP, "{}", 100 * MS, 400 * MS) for n in range(PROBES - 2))
    story.plan = replace(story.plan, probes=(*story.plan.probes, *others))
    later = lambda at_ns: at_ns + more_ns if at_ns > after_ns else at_ns  # noqa: E731
    story.records = [(later(at), event) for at, event in story.records]
    mine = [s for s in story.samples if s.probe == "place-order"]
    story.samples = [replace(s, sent_ns=later(s.sent_ns), ended_ns=later(s.ended_ns)) for s in mine]
    filler = range(after_ns, after_ns + more_ns, 100 * MS)
    story.samples += [Sample("place-order", at, at + 5 * MS, Reading.GOOD) for at in filler]
    end_ns = 27 * NS + more_ns
    for probe in ("payments-untouched", *(p.name for p in others)):
        story.samples += [
            Sample(probe, at, at + 4 * MS, Reading.GOOD) for at in range(2510 * MS, end_ns, 100 * MS)
        ]
    story.samples.sort(key=lambda s: s.ended_ns)
    bucket = story.load[0]
    story.load = [replace(b, start_ns=later(b.start_ns)) for b in story.load]
    story.load += [replace(bucket, start_ns=at) for at in filler]
    story.load.sort(key=lambda b: b.start_ns)
    first, last = (
        [e for e in story.ledger if e.at_ns <= after_ns],
        [e for e in story.ledger if e.at_ns > after_ns],
    )
    sha = "0" * 64
    numbers = range(10_000, 10_000 + len(filler))
    written = [
        LedgerEntry(n, mark, at + wait, sha)
        for n, at in zip(numbers, filler, strict=True)
        for mark, wait in ((LedgerMark.INTENT, 0), (LedgerMark.ACKED, 4 * MS))
    ]
    found = [LedgerEntry(n, LedgerMark.PRESENT, end_ns, sha, "end") for n in numbers]
    story.ledger = [*first, *written, *(replace(e, at_ns=later(e.at_ns)) for e in last), *found]
    return story


class Large(Maker):
    """A slice of each stream a second, as the runner seals them."""

    with_tokens = by_ssh_keygen = True

    def segments(self):
        found = {}
        seconds = max(record.at_ns for record in self.trace().records) // NS
        for name, parts in super().segments().items():
            lines = b"".join(parts).splitlines(keepends=True)
            each = -(-len(lines) // seconds)
            found[name] = [b"".join(lines[n : n + each]) for n in range(0, len(lines), each)]
        return found

    def events(self):
        if not hasattr(self, "kept"):
            found = super().events()
            last_ns = max(at for at, *_ in found)
            seals = [(at, "slice", {}) for at in range(2 * NS, last_ns, NS)]
            self.kept = sorted([row for row in found if row[1] != "slice"] + seals, key=lambda row: row[0])
        return self.kept

    def seal_slice(self, at_ns, stream):
        if self.slices[stream]:
            super().seal_slice(at_ns, stream)

    def utc(self, at_ns):
        """The wall clock now: to make a large bundle takes minutes, and tokens are of the moment."""
        return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def chain_alone(bundle: Path, trust) -> tuple[float, float]:
    """Return the seconds of digests and chain (nothing taken apart), and the megabytes."""
    kept, chain._Slices._hand_on = chain._Slices._hand_on, lambda *_: None
    try:
        with Folder(bundle) as folder:
            made = Bundle(folder, trust)
            began = time.perf_counter()
            made.integrity()
            took_s = time.perf_counter() - began
            assert made.report.integrity.verdict == "pass", made.report.integrity.why
            return took_s, sum(size for size, _ in folder.digests.values()) / 1e6
    finally:
        chain._Slices._hand_on = kept


def main(counts: list[int]) -> int:
    """Print a row for each count; 1 when a goal is missed."""
    folder = Path(tempfile.mkdtemp(prefix="gameday-bench-"))
    world = World(folder)
    trust = world.trust / "trust.yaml"
    print(
        f"{'samples':>10} {'MB':>7} {'digests and chain':>20} {'five lines':>11} {'µs/sample':>10} {'MB peak':>8}"
    )
    missed, cost = [], []
    for count in counts:
        bundle = Large(world, story_of(count)).make().write(folder / "bundle")
        chain_s, size_mb = min(chain_alone(bundle, read_trust(trust)) for _ in range(3))
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(bundle), str(trust)],
            capture_output=True,
            text=True,
            check=True,
        )
        code, took_s, peak_mb = done.stdout.splitlines()[-1].removeprefix("= ").split()
        each_us = float(took_s) * 1e6 / count
        print(
            f"{count:>10} {size_mb:>7.1f} {chain_s:>8.2f} s {size_mb / chain_s:>4.0f} MB/s {float(took_s):>9.2f} s "
            f"{each_us:>10.1f} {peak_mb:>8}",
            flush=True,
        )
        if code != "0":
            print(done.stdout)
            missed.append(f"{count}: exit {code}")
        cost.append(each_us)
        if count >= 1_000_000 and float(took_s) > GOAL_S:
            missed.append(f"{took_s} s for {count} samples, the goal is {GOAL_S} s")
        if size_mb > 10 and size_mb / chain_s < GOAL_MB_S:
            missed.append(f"{size_mb / chain_s:.0f} MB/s, the goal is {GOAL_MB_S}")
    print(f"cost of a sample, last to first: {cost[-1] / cost[0]:.2f} times")
    print("\n".join(["missed:", *missed]) if missed else "all goals met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main([int(word) for word in sys.argv[1:]] or [10_000, 100_000, 1_000_000]))
