"""The load before, during and after the fault, side by side, each request name on its own.

It sets no limit, so it cannot fail. It passes where the load was there to see on the side before and on the
side during, for at least half of each; otherwise it is unknown. How many requests that makes does not decide:
a service that is back in half a second leaves few, and those are all there were. What so few can tell, their
intervals say, and under `REQUESTS_MIN` on a side it is said in words as well.

    numbers   SIDE_from_ns, _until_ns, _offered_per_1000s
              [NAME: ]SIDE_requests, _failed, _rate_per_1000s, _failed_ppm[_min|_max],
              _p50_us[_min|_max], _p95_us…, _p99_us…                 SIDE: before, during, after
              [NAME: ]during_less_before_failed_ppm[_min|_max], …    likewise after_less_before

`_min` and `_max` are the ends of a 95 % interval (`gameday.checkers.confidence`), null where the sample
does not bound it. Requests count where they ended; arrivals that were dropped, since every user hung in
the target, are failed ones, and have no name. Latencies are those of good answers. A side is cut into
blocks of 100 ms, or longer, so that there are at most 512. Histories that hold no request names have
no such finding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gameday.checkers.confidence import (
    Estimate,
    design_effect,
    difference,
    index_at,
    percentile_of,
    share_of,
)
from gameday.checkers.findings import Finding, Verdict
from gameday.checkers.sides import SLICE_NS, Side, Sides, sides_of
from gameday.checkers.view import View
from gameday.history.histogram import merge
from gameday.history.loadevents import Latency, LoadBucket

REQUESTS_MIN = 30
SAME = 0.9  # Poisson arrivals, and stretches of a second, are uneven by themselves.
NAMES_MAX = 20
BLOCKS_MAX = 512
OTHERS, NAMELESS = "(all others)", "(no name)"
PERCENTILES = (("p50", 500_000), ("p95", 950_000), ("p99", 990_000))


@dataclass(frozen=True, slots=True)
class Measured:
    """What one request name (or all of a load) did on one side. Percentiles in µs, of good answers."""

    requests: int
    failed: int
    rate_per_1000s: int
    failed_share: Estimate | None
    percentiles: tuple[tuple[str, Estimate | None], ...]
    latency: dict[int, int]
    covered_ns: int  # For how long there was load at all.


@dataclass(frozen=True, slots=True)
class Row:
    """One request name, or all of a load (`name` empty), on each side."""

    name: str
    before: Measured
    during: Measured
    after: Measured


@dataclass(frozen=True, slots=True)
class Comparison:
    """One load over the three sides: first all of it, then each name, the busiest first."""

    load: str
    sides: Sides
    rows: tuple[Row, ...]
    offered_per_1000s: tuple[int, int, int]
    is_open: bool  # Its rate was asked for: where it differs, so did what was asked.

    @property
    def uneven(self) -> str:
        """Say in words that before and during the fault not the same load was asked for; empty if it was."""
        before, during = (value / 1000 for value in self.offered_per_1000s[:2])
        if not self.is_open or min(before, during) >= SAME * max(before, during):
            return ""
        return f"{before:.4g}/s were offered before and {during:.4g}/s during: a difference may be the rate's"


@dataclass(slots=True)
class _Block:
    good: int = 0
    bad: int = 0
    latency: dict[int, int] = field(default_factory=dict)

    def add(self, good: int, bad: int, latency: Latency) -> None:
        self.good += good
        self.bad += bad
        counts = self.latency
        for index, count in latency:
            counts[index] = counts.get(index, 0) + count


@dataclass(slots=True)
class _Heap:
    """One side's blocks, by name; and how much of it was measured at all."""

    side: Side
    block_ns: int
    names: dict[str, dict[int, _Block]] = field(default_factory=dict)
    slices: set[int] = field(default_factory=set)
    intended: int = 0

    @property
    def covered_ns(self) -> int:
        return len(self.slices) * SLICE_NS

    @property
    def offered_per_1000s(self) -> int:
        return self.intended * 10**12 // self.covered_ns if self.slices else 0

    def add(self, bucket: LoadBucket, kept: set[str]) -> None:
        self.intended += bucket.intended
        at_ns = bucket.start_ns - self.side.start_ns
        number = at_ns // self.block_ns
        self.slices.add((at_ns + SLICE_NS // 2) // SLICE_NS)
        # A named latency is counted with its name alone, and summed up in the end.
        unnamed = () if bucket.endpoints else bucket.latency
        self._block("", number).add(bucket.good, bucket.bad + bucket.dropped, unnamed)
        for name, good, bad, latency in bucket.endpoints:
            self._block((name or NAMELESS) if name in kept else OTHERS, number).add(good, bad, latency)

    def _block(self, name: str, number: int) -> _Block:
        blocks = self.names.setdefault(name, {})
        found = blocks.get(number)
        if found is None:
            found = blocks[number] = _Block()
        return found

    def _all(self) -> dict[int, _Block]:
        mine = self.names.get("", {})
        return {
            number: _Block(
                block.good,
                block.bad,
                merge(found[number].latency.items() for found in self.names.values() if number in found),
            )
            for number, block in mine.items()
        }

    def measured(self, name: str) -> Measured:
        found = self.names.get(name, {}) if name else self._all()
        last = (self.side.end_ns - self.side.start_ns - 1) // self.block_ns
        blocks = [found.get(number, _Block()) for number in range(last + 1)]
        good, bad = sum(b.good for b in blocks), sum(b.bad for b in blocks)
        latency = merge(b.latency.items() for b in blocks)
        covered_ns = self.covered_ns
        effect = design_effect([(b.bad, b.good + b.bad) for b in blocks])
        return Measured(
            requests=good + bad,
            failed=bad,
            rate_per_1000s=(good + bad) * 10**12 // covered_ns if covered_ns else 0,
            failed_share=share_of(bad, good + bad, effect),
            percentiles=tuple((name, _percentile(blocks, latency, ppm)) for name, ppm in PERCENTILES),
            latency=latency,
            covered_ns=covered_ns,
        )


def _percentile(blocks: list[_Block], latency: dict[int, int], ratio_ppm: int) -> Estimate | None:
    if not latency:
        return None
    edge = index_at(latency, ratio_ppm)
    within = [
        (sum(count for index, count in b.latency.items() if index <= edge), sum(b.latency.values()))
        for b in blocks
    ]
    return percentile_of(latency, ratio_ppm, design_effect(within))


def compare(view: View, load: str, sides: Sides | None) -> Comparison | None:
    """Return one load over the three sides; None without those, or without names of requests."""
    mine = [b for b in view.trace.load if b.load == load]
    if sides is None or not any(b.endpoints for b in mine):
        return None
    before, during, after = heaps = [_Heap(side, _block_ns(side)) for side in sides]
    placed = [(heap, [b for b in mine if heap.side.holds(b.start_ns)]) for heap in heaps]
    kept = _busiest(b for _, inside in placed for b in inside)
    wanted = set(kept)
    for heap, inside in placed:
        for bucket in inside:
            heap.add(bucket, wanted)
    names = ["", *(name or NAMELESS for name in kept)]
    names += [OTHERS] if any(OTHERS in heap.names for heap in heaps) else []
    rows = tuple(Row(name, *(heap.measured(name) for heap in heaps)) for name in names)
    offered = before.offered_per_1000s, during.offered_per_1000s, after.offered_per_1000s
    return Comparison(load, sides, rows, offered, _is_open(view, load))


def _is_open(view: View, name: str) -> bool:
    load = next((load for load in view.plan.load if load.name == name), None)
    if load is None or load.shape:
        return False
    return load.rate_per_1000s is not None or any(s.rate_per_1000s is not None for s in load.stages)


def _busiest(buckets: Iterable[LoadBucket]) -> list[str]:
    """Return the names of requests, those made most often first; of too many the rest is left out."""
    counts: dict[str, int] = {}
    for bucket in buckets:
        for name, good, bad, _ in bucket.endpoints:
            counts[name] = counts.get(name, 0) + good + bad
    return sorted(counts, key=lambda name: (-counts[name], name))[:NAMES_MAX]


def _block_ns(side: Side) -> int:
    slices = max((side.end_ns - side.start_ns) // SLICE_NS, 1)
    return SLICE_NS * -(-slices // BLOCKS_MAX)


def check_comparison(view: View) -> tuple[Finding, ...]:
    """Return, for each load that has names of requests, how it did before, during and after the fault."""
    sides = sides_of(view) if any(bucket.endpoints for bucket in view.trace.load) else None
    found = (compare(view, load.name, sides) for load in view.plan.load)
    return tuple(_finding(comparison) for comparison in found if comparison is not None)


def name_of(load: str) -> str:
    """Return the name of the finding on a load."""
    return f"load {load}: before and during the fault"


def sides_in(finding: Finding) -> Sides | None:
    """Return the sides that a finding on a load tells of; None where it tells of none."""
    numbers = dict(finding.numbers)
    found = []
    for name in ("before", "during", "after"):
        start_ns, end_ns = numbers.get(f"{name}_from_ns"), numbers.get(f"{name}_until_ns")
        if not isinstance(start_ns, int) or not isinstance(end_ns, int):
            return None
        found.append(Side(name, start_ns, end_ns))
    return found[0], found[1], found[2]


def _finding(comparison: Comparison) -> Finding:
    whole = comparison.rows[0]
    seen = ((comparison.sides[0], whole.before), (comparison.sides[1], whole.during))
    blind = [side.name for side, measured in seen if not _is_seen(side, measured)]
    verdict, limit = Verdict.UNKNOWN if blind else Verdict.PASS, "load before and during"
    why = "it informs, and no limit is set: a difference whose interval excludes zero is one"
    if blind:
        why = f"there was no load for more than half of the time {' and '.join(blind)}: nobody can tell"
    elif min(measured.requests for _, measured in seen) < REQUESTS_MIN:
        few = f"{whole.before.requests} requests before, {whole.during.requests} during the fault"
        why = f"it informs, and no limit is set; so few can tell little: {few}"
    if comparison.uneven:
        why = f"{why}; {comparison.uneven}"
    numbers = tuple(_numbers(comparison))
    return Finding(name_of(comparison.load), verdict, _observed(whole), limit, "", why, (), None, numbers)


def _is_seen(side: Side, measured: Measured) -> bool:
    """Tell whether load was there for half of a side; a slice more or less is no matter."""
    return 2 * (measured.covered_ns + SLICE_NS) >= side.end_ns - side.start_ns


def _observed(row: Row) -> str:
    share = difference(row.during.failed_share, row.before.failed_share)
    words = [] if share is None else [f"failed {_signed(share, 100, 'points')}"]
    delay = difference(dict(row.during.percentiles)["p99"], dict(row.before.percentiles)["p99"])
    words += [] if delay is None else [f"good p99 {_signed(delay, 1e-3, 'ms')}"]
    return ", ".join(words) or "no difference can be told"


def _signed(found: Estimate, scale: float, unit: str) -> str:
    low, high = (None if end is None else f"{end * scale:+.1f}" for end in (found.low, found.high))
    ends = f"{low} to {high}"
    if low is None or high is None:
        ends = (
            f"at least {low}" if low is not None else f"at most {high}" if high is not None else "not bounded"
        )
    return f"{found.value * scale:+.1f} {unit} ({ends})"


Number = tuple[str, int | str | None]


def _numbers(comparison: Comparison) -> Iterable[Number]:
    for side in comparison.sides:
        yield f"{side.name}_from_ns", side.start_ns
        yield f"{side.name}_until_ns", side.end_ns
    for side, offered in zip(comparison.sides, comparison.offered_per_1000s, strict=True):
        yield f"{side.name}_offered_per_1000s", offered
    for row in comparison.rows:
        prefix = f"{row.name}: " if row.name else ""
        for when, measured in (("before", row.before), ("during", row.during), ("after", row.after)):
            yield f"{prefix}{when}_requests", measured.requests
            yield f"{prefix}{when}_failed", measured.failed
            yield f"{prefix}{when}_rate_per_1000s", measured.rate_per_1000s
            yield from _ends(f"{prefix}{when}_failed_ppm", measured.failed_share, 1e6)
            for name, found in measured.percentiles:
                yield from _ends(f"{prefix}{when}_{name}_us", found, 1)
        for when, measured in (("during", row.during), ("after", row.after)):
            key = f"{prefix}{when}_less_before"
            yield from _ends(
                f"{key}_failed_ppm", difference(measured.failed_share, row.before.failed_share), 1e6
            )
            for (name, found), (_, earlier) in zip(measured.percentiles, row.before.percentiles, strict=True):
                yield from _ends(f"{key}_{name}_us", difference(found, earlier), 1)


def _ends(key: str, found: Estimate | None, scale: float) -> Iterable[Number]:
    if found is None:
        return
    for suffix, value in (("", found.value), ("_min", found.low), ("_max", found.high)):
        yield f"{key}{suffix}", None if value is None else round(value * scale)
