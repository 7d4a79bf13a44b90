"""From a history to a few hundred points a person can look at.

A run may leave a million samples; a figure has some hundred columns. Everything here passes once
over what it is given, and what it returns is bounded by the number of columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from gameday.history.events import Phase, PhaseChanged, Reading, Sample
from gameday.history.histogram import percentile_us
from gameday.history.loadevents import LoadBucket
from gameday.history.record import Trace
from gameday.plan.model import NS

COLUMNS = 400
SLOT_NS = 100_000_000
_SENT = attrgetter("sent_ns")
_WEIGHT = {Reading.GOOD: 0, Reading.UNREADABLE: 1, Reading.BAD: 2}


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the run that a figure shows."""

    start_ns: int
    end_ns: int

    @property
    def span_ns(self) -> int:
        """Its length; never zero."""
        return max(self.end_ns - self.start_ns, 1)


@dataclass(frozen=True, slots=True)
class LoadPoint:
    """All loads in one column: requests a second, and latency in ms (None without a success)."""

    at_ns: int
    offered: float
    achieved: float
    good: float
    bad: float
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time in which every reading was alike."""

    start_ns: int
    end_ns: int
    reading: Reading


@dataclass(slots=True)
class Tally:
    """How one probe was read over a run. `gap_ns` is the longest time without a readable sample."""

    good: int = 0
    bad: int = 0
    unreadable: int = 0
    gap_ns: int = 0
    last_ns: int | None = None
    since_baseline: int = 0


@dataclass(slots=True)
class _Column:
    intended: int = 0
    started: int = 0
    good: int = 0
    bad: int = 0


def whole_run(trace: Trace) -> Window:
    """Return the window of the whole run: from its begin to the last thing that was written down."""
    last_ns = max((record.at_ns for record in trace.records), default=0)
    last_ns = max(last_ns, max((bucket.start_ns for bucket in trace.load[-50:]), default=0))
    return Window(0, max(last_ns, max((s.ended_ns for s in trace.samples[-50:]), default=0), NS))


def load_points(buckets: Iterable[LoadBucket], window: Window, columns: int = COLUMNS) -> list[LoadPoint]:
    """Return the load in at most `columns` columns of at least 200 ms, those with nothing left out.

    Buckets are 100 ms long and begin a little early or late, so they are counted into slots by the
    nearest multiple of 100 ms: a column never holds one bucket too many.
    """
    inside = [b for b in buckets if window.start_ns <= b.start_ns < window.end_ns]
    if not inside:
        return []
    first_ns = inside[0].start_ns
    per_column = max(-(-window.span_ns // (SLOT_NS * columns)), 2 if window.span_ns > 8 * NS else 1)
    found: dict[int, _Column] = {}
    latencies: dict[int, dict[int, int]] = {}
    slots: dict[int, set[int]] = {}
    for bucket in inside:
        slot = (bucket.start_ns - first_ns + SLOT_NS // 2) // SLOT_NS
        number = slot // per_column
        slots.setdefault(number, set()).add(slot)
        column = found.setdefault(number, _Column())
        column.intended += bucket.intended
        column.started += bucket.started
        column.good += bucket.good
        column.bad += bucket.bad + bucket.dropped
        counts = latencies.setdefault(number, {})
        for index, times in bucket.latency:
            counts[index] = counts.get(index, 0) + times
    width_ns = per_column * SLOT_NS
    return [
        _point(first_ns + n * width_ns + width_ns // 2, found[n], latencies[n], len(slots[n]) * SLOT_NS)
        for n in sorted(found)
    ]


def _point(at_ns: int, column: _Column, latency: dict[int, int], covered_ns: int) -> LoadPoint:
    scale = NS / covered_ns
    return LoadPoint(
        at_ns=at_ns,
        offered=column.intended * scale,
        achieved=column.started * scale,
        good=column.good * scale,
        bad=column.bad * scale,
        p50_ms=_ms(percentile_us(latency, 500_000)),
        p99_ms=_ms(percentile_us(latency, 990_000)),
    )


def _ms(latency_us: float | None) -> float | None:
    return None if latency_us is None else latency_us / 1000


def stretches(readings: Iterable[Sample], every_ns: int, window: Window) -> list[Stretch]:
    """Return what was read, worst reading of each column first, equal neighbours joined.

    A column is at least two periods wide, so an empty one is a gap in the observation and no jitter.
    """
    width_ns = max(window.span_ns // COLUMNS, 2 * every_ns, 1)
    start_ns, end_ns = window.start_ns, window.end_ns
    columns: dict[int, Reading] = {}
    first_ns: dict[int, int] = {}
    for item in sorted(readings, key=_SENT):
        sent_ns = item.sent_ns
        if not start_ns <= sent_ns <= end_ns:
            continue
        number = (sent_ns - start_ns) // width_ns
        before = columns.get(number)
        if before is None:
            columns[number], first_ns[number] = item.reading, sent_ns
        elif before is not item.reading and _WEIGHT[item.reading] > _WEIGHT[before]:
            columns[number] = item.reading
    return _joined(columns, first_ns, width_ns, window)


def _joined(
    columns: dict[int, Reading], first_ns: dict[int, int], width_ns: int, window: Window
) -> list[Stretch]:
    joined: list[Stretch] = []
    for number in sorted(columns):
        begin_ns = window.start_ns + number * width_ns
        end_ns = min(begin_ns + width_ns, window.end_ns)
        last = joined[-1] if joined else None
        if last is not None and last.end_ns == begin_ns and last.reading is columns[number]:
            joined[-1] = Stretch(last.start_ns, end_ns, last.reading)
        else:
            start_ns = begin_ns if last is not None and last.end_ns == begin_ns else first_ns[number]
            joined.append(Stretch(start_ns, end_ns, columns[number]))
    return joined


def tally(readings: Iterable[Sample], baseline_ns: int | None) -> Tally:
    """Count one probe's readings, and find the longest stretch without a readable one.

    Args:
        readings: The samples, in the order they were sent.
        baseline_ns: When observation began, if it did.
    """
    good = bad = unreadable = since_baseline = gap_ns = 0
    last_ns: int | None = None
    for item in readings:
        if item.reading is Reading.UNREADABLE:
            unreadable += 1
            continue
        if item.reading is Reading.GOOD:
            good += 1
        else:
            bad += 1
        sent_ns = item.sent_ns
        if last_ns is not None and sent_ns - last_ns > gap_ns:
            gap_ns = sent_ns - last_ns
        last_ns = sent_ns
        if baseline_ns is not None and sent_ns >= baseline_ns:
            since_baseline += 1
    return Tally(good, bad, unreadable, gap_ns, last_ns, since_baseline)


def baseline_begin(trace: Trace) -> int | None:
    """Return when observation began."""
    return next(
        (
            record.at_ns
            for record in trace.records
            if isinstance(record.event, PhaseChanged) and record.event.phase is Phase.BASELINE
        ),
        None,
    )
