"""What must hold at a rate, and what one window of load counted: the input of every judgement.

A service level is a share of requests that may be spoilt. For availability a request is spoilt when it
failed or was never started; for a latency percentile pXX it is spoilt when it failed, was never started,
or took longer than the limit, and XX % must not be: a failure is not a fast answer. So the true limit of a
system is the rate at which, in its steady state, the spoilt share is exactly `1 - XX %`.

    Slice   sum of the load buckets of all generators over one second (`coalesce`); histogram indices are
            those of gameday.history.histogram, (exponent << 7) + fraction of microseconds
    Goal    the service levels, how sure one must be, and how long a trial may take

Whole numbers throughout: shares in ppm, times in ns, rates in requests per 1000 s.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache

Counts = tuple[tuple[int, int], ...]
SECOND_NS = 1_000_000_000
PPM = 1_000_000


def required_per_1000s(peak_per_1000s: int, headroom_ppm: int) -> int:
    """Return the rate that must hold: forecast peak x (1 + headroom), rounded up."""
    return -(-peak_per_1000s * (PPM + headroom_ppm) // PPM)


@dataclass(frozen=True, slots=True)
class Level:
    """One service level: a share of the requests that succeed, below `below_us` if given."""

    name: str
    objective_ppm: int
    below_us: int | None = None

    @property
    def allowed_ppm(self) -> int:
        """The share of requests that may be spoilt."""
        return PPM - self.objective_ppm


@dataclass(frozen=True, slots=True)
class Goal:
    """What a rate must hold to be proven, and when that may be said.

    A trial is looked at when its judged time (after the warm-up) reaches `duration_min_ns`, then half as
    much again, and so on to `duration_max_ns`; there it ends, decided or not. `confidence_ppm` bounds both
    errors of the whole: saying `holds` of a rate that does not, and `fails` of one that does. `trials`: how
    many trials share that error (1 for a sign-off at one rate; a search sets its own). `users_max`: the
    generators' pool of users, all together; 0 when it is not known.
    """

    levels: tuple[Level, ...]
    confidence_ppm: int = 950_000
    duration_min_ns: int = 60 * SECOND_NS
    duration_max_ns: int = 300 * SECOND_NS
    warm_up_ns: int = 10 * SECOND_NS
    requests_min: int = 0
    trials: int = 1
    users_max: int = 0

    def shared_by(self, trials: int) -> Goal:
        """Return the goal whose confidence is that of `trials` trials together."""
        return replace(self, trials=trials)


@dataclass(frozen=True, slots=True)
class Slice:
    """What happened in the `length_ns` from `start_ns` on: sums over every generator of a load.

    `waiting`, `ages` are pictures of the end: requests without an answer, and how old they were then.
    `latency` counts successes from their intended time. `busy_ppm`: the busiest generator's core.
    """

    start_ns: int
    length_ns: int
    intended: int
    started: int
    late: int
    dropped: int
    good: int
    bad: int
    latency: Counts = ()
    waiting: int = 0
    ages: Counts = ()
    busy_ppm: int = 0
    lag_ns: int = 0

    @property
    def end_ns(self) -> int:
        """Where the next slice may begin."""
        return self.start_ns + self.length_ns


def coalesce(slices: Iterable[Slice], length_ns: int = SECOND_NS) -> tuple[Slice, ...]:
    """Return slices of `length_ns` from the first one's start on, each the sum of what began in it.

    Slices of the same start are several generators of one load: their pictures add up too. Gaps become
    slices in which nothing was counted, so that missing data is not good data.
    """
    parts = sorted(slices, key=lambda s: s.start_ns)
    if not parts:
        return ()
    origin_ns = parts[0].start_ns
    groups: dict[int, list[Slice]] = {}
    for part in parts:
        groups.setdefault((part.start_ns - origin_ns) // length_ns, []).append(part)
    return tuple(
        _sum(groups.get(i, []), origin_ns + i * length_ns, length_ns) for i in range(max(groups) + 1)
    )


def _sum(parts: list[Slice], start_ns: int, length_ns: int) -> Slice:
    last = [p for p in parts if p.start_ns == parts[-1].start_ns]
    busy: dict[int, list[int]] = {}
    for p in parts:
        busy.setdefault(p.start_ns, []).append(p.busy_ppm)
    return Slice(
        start_ns=start_ns,
        length_ns=length_ns,
        intended=sum(p.intended for p in parts),
        started=sum(p.started for p in parts),
        late=sum(p.late for p in parts),
        dropped=sum(p.dropped for p in parts),
        good=sum(p.good for p in parts),
        bad=sum(p.bad for p in parts),
        latency=add(p.latency for p in parts),
        waiting=sum(p.waiting for p in last),
        ages=add(p.ages for p in last),
        busy_ppm=sum(max(b) for b in busy.values()) // len(busy) if busy else 0,
        lag_ns=max((p.lag_ns for p in parts), default=0),
    )


def add(parts: Iterable[Counts]) -> Counts:
    """Return the sum of histograms, by rising index."""
    total: dict[int, int] = {}
    for part in parts:
        for index, count in part:
            total[index] = total.get(index, 0) + count
    return tuple(sorted(total.items()))


def index_of(latency_us: int) -> int:
    """Return the bucket of a latency, as gameday.history.histogram numbers them."""
    mantissa, exponent = math.frexp(max(latency_us, 1))
    return (exponent << 7) + int((mantissa - 0.5) * 256)


def edges_us(index: int) -> tuple[float, float]:
    """Return the lower and upper edge of bucket `index`, in microseconds."""
    exponent, fraction = index >> 7, index & 127
    return math.ldexp(0.5 + fraction / 256, exponent), math.ldexp(0.5 + (fraction + 1) / 256, exponent)


def over(counts: Iterable[tuple[int, int]], limit_us: int) -> tuple[int, int]:
    """Return how many were surely over `limit_us`, and how many may have been (its own bucket's too)."""
    edge = index_of(limit_us)
    surely = at_most = 0
    for index, count in counts:
        if index > edge:
            surely += count
        if index >= edge:
            at_most += count
    return surely, at_most


def percentile_us(counts: Mapping[int, int] | Counts, ratio_ppm: int) -> int | None:
    """Return the latency that `ratio_ppm` of the counted stay below (an upper edge); None when empty."""
    pairs = sorted(counts.items() if isinstance(counts, Mapping) else counts)
    total = sum(count for _, count in pairs)
    if not total:
        return None
    rank = max(1, -(-total * ratio_ppm // PPM))
    seen = 0
    for index, count in pairs:
        seen += count
        if seen >= rank:
            return math.ceil(edges_us(index)[1])
    raise AssertionError("ranks end before the counts do")


def mean_us(counts: Counts) -> float:
    """Return the mean of a histogram by its buckets' middles; 0 when it is empty."""
    total = sum(count for _, count in counts)
    return math.fsum(_middle_us(index) * count for index, count in counts) / total if total else 0.0


@cache
def _middle_us(index: int) -> float:
    return sum(edges_us(index)) / 2
