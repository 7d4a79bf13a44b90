"""From a history to a few hundred points a person can look at. One pass; cost linear in the samples."""

from __future__ import annotations

from dataclasses import dataclass

from gameday.history.events import LoadBucket, Reading, Sample
from gameday.history.histogram import merge, percentile_us
from gameday.history.record import Trace

COLUMNS = 400


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """Load in one column: requests a second, and latency in milliseconds (None without a success)."""

    at_ns: int
    offered: float
    good: float
    bad: float
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Strip:
    """One probe's samples by column: the worst reading of each (`bad` over `unreadable` over `good`)."""

    probe: str
    columns: tuple[str, ...]
    counts: tuple[tuple[str, int], ...]


def span_ns(trace: Trace) -> int:
    """Return how long the run lasted; at least a second."""
    return max(max((record.at_ns for record in trace.records), default=0), 1_000_000_000)


def load_points(buckets: tuple[LoadBucket, ...], end_ns: int) -> list[LoadPoint]:
    """Return the load in at most `COLUMNS` columns of at least 100 ms."""
    width_ns = max(end_ns // COLUMNS, 100_000_000)
    columns: dict[int, list[LoadBucket]] = {}
    for bucket in buckets:
        columns.setdefault(max(bucket.start_ns, 0) // width_ns, []).append(bucket)
    points = []
    for number in sorted(columns):
        part = columns[number]
        latency = merge(bucket.latency for bucket in part)
        scale = 1e9 / width_ns
        points.append(
            LoadPoint(
                at_ns=number * width_ns + width_ns // 2,
                offered=sum(b.intended for b in part) * scale,
                good=sum(b.good for b in part) * scale,
                bad=sum(b.bad + b.dropped for b in part) * scale,
                p50_ms=_ms(percentile_us(latency, 500_000)),
                p99_ms=_ms(percentile_us(latency, 990_000)),
            )
        )
    return points


def _ms(latency_us: float | None) -> float | None:
    return None if latency_us is None else latency_us / 1000


def strips(samples: tuple[Sample, ...], probes: list[str], end_ns: int) -> list[Strip]:
    """Return one strip for each probe."""
    width_ns = max(end_ns // COLUMNS, 1)
    order = {"": 0, str(Reading.GOOD): 1, str(Reading.UNREADABLE): 2, str(Reading.BAD): 3}
    grid = {name: [""] * (COLUMNS + 1) for name in probes}
    counts: dict[str, dict[str, int]] = {name: {} for name in probes}
    for sample in samples:
        if sample.probe not in grid:
            continue
        reading = str(sample.reading)
        counts[sample.probe][reading] = counts[sample.probe].get(reading, 0) + 1
        column = min(max(sample.sent_ns, 0) // width_ns, COLUMNS)
        if order[reading] > order[grid[sample.probe][column]]:
            grid[sample.probe][column] = reading
    return [Strip(name, tuple(grid[name]), tuple(sorted(counts[name].items()))) for name in probes]
