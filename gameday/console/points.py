"""What a chart of a run is drawn from: one row a second, fewer rows when the run is long.

Rows are made from samples and load buckets in whatever order they come, and hold counts, so that a
late joiner's rows are those of somebody who was there. Beyond `POINTS_MAX` rows two neighbours become
one; a latency is then the higher of the two, because a chart may hide a dip but never a peak.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gameday.history.events import Reading, Sample
from gameday.history.histogram import merge, percentile_us
from gameday.history.loadevents import LoadBucket
from gameday.plan.model import NS

POINTS_MAX = 1800
OPEN_ROWS = 10  # What is older than this gets no more latencies: its percentiles are fixed.
Row = list[object]


@dataclass(slots=True)
class Point:
    """What happened in one row; `latency` while it may still grow, percentiles in ms from then on."""

    offered: int = 0
    achieved: int = 0
    good: int = 0
    failed: int = 0
    latency: dict[int, int] = field(default_factory=dict)
    p50_ms: float | None = None
    p99_ms: float | None = None
    readings: dict[str, list[int]] = field(default_factory=dict)

    def fix(self) -> None:
        """Turn the counted latencies into percentiles."""
        if self.latency:
            self.p50_ms = _higher(self.p50_ms, _ms(self.latency, 500_000))
            self.p99_ms = _higher(self.p99_ms, _ms(self.latency, 990_000))
            self.latency = {}

    def join(self, other: Point) -> None:
        """Take in the next row."""
        self.fix()
        other.fix()
        self.offered += other.offered
        self.achieved += other.achieved
        self.good += other.good
        self.failed += other.failed
        self.p50_ms = _higher(self.p50_ms, other.p50_ms)
        self.p99_ms = _higher(self.p99_ms, other.p99_ms)
        for probe, counts in other.readings.items():
            mine = self.readings.setdefault(probe, [0, 0, 0])
            for place, number in enumerate(counts):
                mine[place] += number


@dataclass(slots=True)
class Points:
    """The rows of one run. `generation` counts how often they were thinned."""

    step_s: int = 1
    generation: int = 0
    rows: dict[int, Point] = field(default_factory=dict)
    _changed: set[int] = field(default_factory=set)
    _newest: int = 0

    def sample(self, sample: Sample) -> None:
        """Count one reading of a probe."""
        point = self._at(sample.ended_ns)
        counts = point.readings.setdefault(sample.probe, [0, 0, 0])
        counts[_PLACE[sample.reading]] += 1

    def bucket(self, bucket: LoadBucket) -> None:
        """Count one slice of a load."""
        point = self._at(bucket.start_ns)
        point.offered += bucket.intended
        point.achieved += bucket.started
        point.good += bucket.good
        point.failed += bucket.bad + bucket.dropped
        if bucket.latency:
            point.latency = merge((point.latency.items(), bucket.latency))

    def every(self, probes: tuple[str, ...]) -> list[Row]:
        """Return every row: [second, offered/s, achieved/s, good/s, failed/s, p50, p99, readings]."""
        return [self._row(number, probes) for number in sorted(self.rows)]

    def changed(self, probes: tuple[str, ...]) -> list[Row]:
        """Return the rows that changed since the last call."""
        numbers = sorted(self._changed)
        self._changed.clear()
        return [self._row(number, probes) for number in numbers if number in self.rows]

    def _row(self, number: int, probes: tuple[str, ...]) -> Row:
        point, step = self.rows[number], self.step_s
        p50, p99 = point.p50_ms, point.p99_ms
        if point.latency:
            p50 = _higher(p50, _ms(point.latency, 500_000))
            p99 = _higher(p99, _ms(point.latency, 990_000))
        rates = [
            round(count / step, 1) for count in (point.offered, point.achieved, point.good, point.failed)
        ]
        return [number * step, *rates, p50, p99, [point.readings.get(name, [0, 0, 0]) for name in probes]]

    def _at(self, at_ns: int) -> Point:
        number = max(at_ns, 0) // (self.step_s * NS)
        point = self.rows.get(number)
        if point is None:
            point = self.rows[number] = Point()
            if number > self._newest:
                self._newest = number
                self._fix_old()
            if len(self.rows) > POINTS_MAX:
                self._thin()
                return self._at(at_ns)
        self._changed.add(number)
        return point

    def _fix_old(self) -> None:
        for number in range(self._newest - OPEN_ROWS - 2, self._newest - OPEN_ROWS + 1):
            if number in self.rows:
                self.rows[number].fix()

    def _thin(self) -> None:
        joined: dict[int, Point] = {}
        for number in sorted(self.rows):
            if number // 2 in joined:
                joined[number // 2].join(self.rows[number])
            else:
                self.rows[number].fix()
                joined[number // 2] = self.rows[number]
        self.rows, self.step_s, self._newest = joined, self.step_s * 2, self._newest // 2
        self.generation += 1
        self._changed.clear()


_PLACE = {Reading.GOOD: 0, Reading.BAD: 1, Reading.UNREADABLE: 2}


def _ms(counts: dict[int, int], ppm: int) -> float | None:
    found = percentile_us(counts, ppm)
    return None if found is None else round(found / 1000, 1)


def _higher(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
