"""What each stop condition has measured: a meter a condition, fed by the samples of its subject only.

A sample costs its own meters a bounded amount (windows of at most fifty slots with running totals, a
row of at most a thousand instants) and the others one comparison. Between samples a meter stands
still: what it says of now is the last thing that was read, and its silence limit bounds how old that
may be.

A meter also keeps the two instants between which its limit was crossed: when the last sample that left
the limit kept was sent, and when the first sample that crossed it ended. For load, a bucket is the sample.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gameday.engine.unanswered import NONE_WAITING, Unanswered
from gameday.engine.windows import Gauge, Slot, slot_ns_of
from gameday.history.events import Reading, Sample
from gameday.history.histogram import PERCENTILE_PPM, merge, percentile_us, upper_us
from gameday.history.loadevents import Latency, LoadBucket
from gameday.plan.model import PPM, LimitKind, Plan, Slo, StopCondition

LOAD = ""  # The subject of a meter that is fed by load buckets.
_NONE: Mapping[int, int] = {}
TIME = "\0"  # The subject of a meter whose limit is watched by time alone: nothing feeds it.


@dataclass(frozen=True, slots=True)
class Window:
    """Counts of the last `length_ns`, to a fiftieth of it and never more; with 0, of all there was."""

    length_ns: int
    slots: tuple[Slot, ...] = ()
    good: int = 0
    bad: int = 0
    latency: Mapping[int, int] = field(default_factory=dict)

    @property
    def valid(self) -> int:
        """How many events the window counts."""
        return self.good + self.bad

    def add(self, now_ns: int, good: int, bad: int, latency: tuple[tuple[int, int], ...] = ()) -> Window:
        """Return the window after more events at `now_ns`."""
        if not self.length_ns:
            return replace(self, good=self.good + good, bad=self.bad + bad)
        slot_ns = slot_ns_of(self.length_ns)
        number = now_ns // slot_ns
        gone = tuple(slot for slot in self.slots if slot.number <= number - self.length_ns // slot_ns)
        kept = self.slots[len(gone) :]
        new = Slot(number, good, bad, latency)
        if kept and kept[-1].number >= number:
            last, kept = kept[-1], kept[:-1]
            both = tuple(merge((last.latency, latency)).items()) if latency else last.latency
            new = Slot(last.number, last.good + good, last.bad + bad, both)
        return Window(
            self.length_ns,
            (*kept, new),
            self.good + good - sum(slot.good for slot in gone),
            self.bad + bad - sum(slot.bad for slot in gone),
            _moved(self.latency, latency, gone),
        )


def _moved(
    counts: Mapping[int, int], more: tuple[tuple[int, int], ...], gone: tuple[Slot, ...]
) -> Mapping[int, int]:
    """Return a histogram after some counts came and those of old slots went."""
    if not more and not any(slot.latency for slot in gone):
        return counts
    total = dict(counts)
    for index, count in more:
        total[index] = total.get(index, 0) + count
    for slot in gone:
        for index, count in slot.latency:
            left = total[index] - count
            if left:
                total[index] = left
            else:
                del total[index]
    return total


@dataclass(frozen=True, slots=True)
class Meter:
    """One condition and what it has seen. `read_sent_ns` None: nothing was read yet."""

    condition: StopCondition
    kind: LimitKind
    subject: str
    slo: Slo | None = None
    windows: tuple[Window, ...] = ()
    unanswered: Unanswered = NONE_WAITING
    row: int = 0
    ends_ns: tuple[int, ...] = ()
    since_ns: int = 0
    read_sent_ns: int | None = None
    read_ended_ns: int = 0
    kept_ns: int = 0
    crossed_ns: int | None = None


def meters_of(plan: Plan) -> tuple[Meter, ...]:
    """Return an empty meter for each condition, in the order of the plan."""
    slos = {slo.name: slo for slo in plan.slos}
    return tuple(_meter(condition, slos.get(condition.slo or "")) for condition in plan.stop_conditions)


def _meter(condition: StopCondition, slo: Slo | None) -> Meter:
    probe = condition.probe or (slo.probe if slo is not None else None)
    windows: tuple[Window, ...] = ()
    kind = condition.kind
    match kind:
        case LimitKind.SILENCE | LimitKind.DURATION:
            probe = TIME
        case LimitKind.BURN:
            windows = (Window(condition.long_ns), Window(condition.short_ns))
        case LimitKind.BUDGET:
            windows = (Window(0),)
        case LimitKind.ROW | LimitKind.COUNT | LimitKind.SLO:
            pass
        case _:
            windows = (Window(condition.within_ns),)
    return Meter(condition, kind, probe or LOAD, slo, windows)


def emptied_meters(meters: tuple[Meter, ...]) -> tuple[Meter, ...]:
    """Return the meters with nothing in them."""
    return tuple(_meter(meter.condition, meter.slo) for meter in meters)


def begun_meters(meters: tuple[Meter, ...], now_ns: int) -> tuple[Meter, ...]:
    """Return the meters as the drill begins: totals count from now, what was crossed before does not."""
    return tuple(
        replace(
            meter,
            windows=tuple(w if w.length_ns else Window(0) for w in meter.windows),
            since_ns=now_ns,
            crossed_ns=None,
        )
        for meter in meters
    )


def metered_sample(
    meters: tuple[Meter, ...], sample: Sample, now_ns: int, gauges: tuple[Gauge, ...]
) -> tuple[Meter, ...]:
    """Return the meters after one more sample. `gauges` have taken it in already."""
    if not any(meter.subject == sample.probe for meter in meters):
        return meters
    return tuple(
        _judged(_counted(meter, sample), sample.sent_ns, sample.ended_ns, now_ns, gauges)
        if meter.subject == sample.probe and _is_for(meter.condition, sample)
        else meter
        for meter in meters
    )


def _is_for(condition: StopCondition, sample: Sample) -> bool:
    """An unreadable sample says nothing, except to a limit on unreadable samples."""
    return sample.reading is not Reading.UNREADABLE or condition.reading == "unreadable"


def _counted(meter: Meter, sample: Sample) -> Meter:
    condition, hit = meter.condition, sample.reading == meter.condition.reading
    match meter.kind:
        case LimitKind.ROW:
            return replace(meter, row=meter.row + 1 if hit else 0)
        case LimitKind.COUNT if hit:
            most = condition.count or 1
            return replace(meter, ends_ns=(*meter.ends_ns, sample.ended_ns)[-most:])
        case LimitKind.COUNT | LimitKind.SLO:
            return meter
        case _:
            windows = tuple(w.add(sample.ended_ns, int(not hit), int(hit)) for w in meter.windows)
            return replace(meter, windows=windows)


def metered_bucket(
    meters: tuple[Meter, ...], bucket: LoadBucket, now_ns: int, gauges: tuple[Gauge, ...]
) -> tuple[Meter, ...]:
    """Return the meters after one more load bucket. `gauges` have taken it in already."""
    if not any(meter.subject == LOAD for meter in meters):
        return meters
    return tuple(
        _loaded(meter, bucket, now_ns, gauges) if meter.subject == LOAD else meter for meter in meters
    )


def _loaded(meter: Meter, bucket: LoadBucket, now_ns: int, gauges: tuple[Gauge, ...]) -> Meter:
    good, bad, is_fresh = _events(meter, bucket)
    latency = bucket.latency if meter.kind is LimitKind.LATENCY else ()
    windows = tuple(w.add(now_ns, good, bad, latency) for w in meter.windows)
    meter = replace(meter, windows=windows)
    if meter.kind in (LimitKind.LATENCY, LimitKind.ANSWERED):
        meter = replace(meter, unanswered=meter.unanswered.after(bucket))
        is_fresh = is_fresh or bool(_waiting(meter))
    elif meter.kind is LimitKind.SLO:
        is_fresh = is_fresh or any(gauge.overdue() for gauge in gauges if gauge.slo == meter.slo)
    # A bucket in which nothing happened is no reading: a stalled target must not look read.
    return _judged(meter, bucket.start_ns, now_ns, now_ns, gauges) if is_fresh else meter


def _waiting(meter: Meter) -> Latency:
    """Return the requests without an answer that count by their age alone.

    For a latency: those that are slower than the limit already. For the answered share: those older
    than half of its window, whatever they will turn into.
    """
    condition = meter.condition
    return meter.unanswered.older(
        (condition.above_ns or 0) + 1 if condition.above_ns is not None else condition.within_ns // 2
    )


def overdue(meter: Meter) -> int:
    """Return how many requests count as unanswered."""
    return sum(count for _, count in _waiting(meter))


def _events(meter: Meter, bucket: LoadBucket) -> tuple[int, int, bool]:
    """Return the good and bad events of a bucket as this limit counts them, and whether it tells at all.

    Dropped arrivals are failed requests. For the budget of a latency SLO a request slower than the
    SLO's `below` is bad as well: each request is judged, as in the SRE Workbook.
    """
    if meter.kind is LimitKind.ACHIEVED:
        return bucket.started, max(bucket.intended - bucket.started, 0), bucket.intended > 0
    good, bad = bucket.good, bucket.bad + bucket.dropped
    if meter.kind in (LimitKind.BURN, LimitKind.BUDGET):
        below_ns = meter.slo.below_ns if meter.slo is not None else None
        if below_ns is not None:
            slow = sum(count for index, count in bucket.latency if upper_us(index) * 1000 >= below_ns)
            good, bad = good - slow, bad + slow
    return good, bad, good + bad > 0 or meter.kind is LimitKind.FAILED


def _judged(meter: Meter, sent_ns: int, ended_ns: int, now_ns: int, gauges: tuple[Gauge, ...]) -> Meter:
    """Return the meter after a reading: fresh, and crossed or not."""
    meter = replace(meter, read_sent_ns=sent_ns, read_ended_ns=ended_ns)
    crossed = _is_crossed(meter, now_ns, gauges)
    if crossed is None:
        return meter
    if not crossed:
        return replace(meter, kept_ns=max(meter.kept_ns, sent_ns), crossed_ns=None)
    return meter if meter.crossed_ns is not None else replace(meter, crossed_ns=ended_ns)


def _is_crossed(meter: Meter, now_ns: int, gauges: tuple[Gauge, ...]) -> bool | None:
    """Tell whether the limit is crossed now; None when nothing was measured."""
    condition = meter.condition
    match meter.kind:
        case LimitKind.ROW:
            return meter.row >= (condition.in_a_row or 1)
        case LimitKind.COUNT:
            most, ends_ns = condition.count or 1, meter.ends_ns
            return len(ends_ns) >= most and meter.read_ended_ns - ends_ns[0] <= condition.within_ns
        case LimitKind.SLO:
            bad_ppm = _bad_ppm(condition, gauges)
            return None if bad_ppm is None else bad_ppm > _limit_ppm(condition)
        case LimitKind.SHARE | LimitKind.ERRORS:
            window = meter.windows[0]
            return window.bad * PPM > _limit_ppm(condition) * window.valid if window.valid else None
        case LimitKind.ACHIEVED:
            window = meter.windows[0]
            return window.good * PPM < (condition.below_ppm or 0) * window.valid if window.valid else None
        case LimitKind.ANSWERED:
            answered, waiting = meter.windows[0].valid, overdue(meter)
            due = answered + waiting
            return answered * PPM < (condition.below_ppm or 0) * due if due else None
        case LimitKind.FAILED:
            return meter.windows[0].bad > (condition.failed_above or 0)
        case LimitKind.LATENCY:
            return _is_slow(meter)
        case LimitKind.BURN:
            burns = [burn_milli(window, meter.slo) for window in meter.windows]
            limit = condition.burn_above_milli or 0
            return None if None in burns else all(burn is not None and burn > limit for burn in burns)
        case _:
            return spent_ppm(meter, now_ns) > (condition.budget_above_ppm or 0)


def _bad_ppm(condition: StopCondition, gauges: tuple[Gauge, ...]) -> int | None:
    gauge = next((gauge for gauge in gauges if gauge.slo.name == condition.slo), None)
    return gauge.bad_ppm() if gauge is not None else None


def _limit_ppm(condition: StopCondition) -> int:
    return condition.bad_above_ppm if condition.bad_above_ppm is not None else PPM


def _is_slow(meter: Meter) -> bool | None:
    """Requests that all fail have no latency, which is no good latency."""
    latency_ns = percentile_ns(meter)
    if latency_ns is None:
        return True if meter.windows[0].valid else None
    return latency_ns > (meter.condition.above_ns or 0)


def percentile_ns(meter: Meter) -> int | None:
    """Return the percentile of a latency limit over its window; None without a successful request.

    A request that has waited longer than the limit is as slow as it is old, answered or not.
    """
    counts = merge((meter.windows[0].latency.items(), _waiting(meter)))
    found = percentile_us(counts, PERCENTILE_PPM[meter.condition.load or "p99"])
    return None if found is None else int(found * 1000)


def burn_milli(window: Window, slo: Slo | None) -> int | None:
    """Return how fast the error budget burns over a window, in thousandths; None without events.

    Source: Google SRE Workbook, ch. 5: bad share ÷ (1 - objective).
    """
    if not window.valid or slo is None:
        return None
    return window.bad * PPM * 1000 // (window.valid * _budget_ppm(slo))


def spent_ppm(meter: Meter, now_ns: int) -> int:
    """Return how much of the error budget of `budget_ns` the drill has spent so far.

    The bad share since the drill began, times how long that is, over the share and the time that the
    budget allows: burn rate times elapsed by budget window. Time that was not measured counts like the rest.

    Source: Google SRE Workbook, ch. 5, "Alert on burn rate": budget consumed.
    """
    window = meter.windows[0]
    if not window.valid or meter.slo is None:
        return 0
    elapsed_ns = max(now_ns - meter.since_ns, 0)
    allowed = window.valid * meter.condition.budget_ns * _budget_ppm(meter.slo)
    return window.bad * elapsed_ns * PPM * PPM // allowed


def _budget_ppm(slo: Slo) -> int:
    return max(PPM - slo.objective_ppm, 1)
