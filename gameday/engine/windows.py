"""Service levels over sliding windows: good share, error budget, burn rate.

A gauge keeps one SLO's recent past in slots of a fiftieth of its window (at least 100 ms), so that
adding a sample and reading the share cost a bounded amount however many samples arrive.
Unreadable samples are neither good nor bad: they are left out here and answered for elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gameday.engine.unanswered import NONE_WAITING, Unanswered
from gameday.errors import NotMeasured
from gameday.history.events import Reading, Sample
from gameday.history.histogram import PERCENTILE_PPM, merge, percentile_us
from gameday.history.loadevents import Latency, LoadBucket
from gameday.plan.model import PPM, Plan, Slo

_SLOT_MIN_NS = 100_000_000
_SLOTS = 50


@dataclass(frozen=True, slots=True)
class Slot:
    """What one slice of a window counted."""

    number: int
    good: int
    bad: int
    latency: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Gauge:
    """One SLO and the slots of its window, oldest first."""

    slo: Slo
    slot_ns: int
    slots: tuple[Slot, ...] = ()
    unanswered: Unanswered = NONE_WAITING

    def good(self) -> int:
        """Return how many events of the window were good."""
        return sum(slot.good for slot in self.slots)

    def valid(self) -> int:
        """Return how many events of the window count at all."""
        return sum(slot.good + slot.bad for slot in self.slots)

    def good_ppm(self) -> int | None:
        """Return the good share in parts per million; None when nothing was measured."""
        valid = self.valid()
        return self.good() * PPM // valid if valid else None

    def latency_ns(self) -> int | None:
        """Return the SLO's percentile over the window; None without a successful request.

        A request that has waited longer than the SLO allows is as slow as it is old, answered or not.
        """
        stat = PERCENTILE_PPM.get(self.slo.load_stat or "")
        if stat is None:
            return None
        found = percentile_us(merge((*(slot.latency for slot in self.slots), self.overdue())), stat)
        return None if found is None else int(found * 1000)

    def is_met(self) -> bool | None:
        """Tell whether the SLO holds over the window now; None when nothing was measured."""
        share = self.good_ppm()
        if share is None and not self.overdue():
            return None
        if self.slo.below_ns is not None:
            latency_ns = self.latency_ns()
            if latency_ns is None or latency_ns >= self.slo.below_ns:
                return False
        return share is None or share >= self.slo.objective_ppm

    def overdue(self) -> Latency:
        """Return the unanswered requests that miss the SLO by their age alone: (bucket, count)."""
        return () if self.slo.below_ns is None else self.unanswered.older(self.slo.below_ns)

    def bad_ppm(self) -> int | None:
        """Return the bad share of the window. A latency SLO that is missed counts as all bad."""
        if self.slo.below_ns is not None and self.is_met() is False:
            return PPM
        share = self.good_ppm()
        return None if share is None else PPM - share


def burn_rate(*, good: int, valid: int, objective_ppm: int) -> float:
    """Return how fast the error budget burns: 1.0 spends it exactly in its window.

    Args:
        good: Events that met the indicator, 0 <= good <= valid.
        valid: Events counted at all. Zero means nothing was measured.
        objective_ppm: The SLO objective in parts per million, below 1 000 000.

    Raises:
        NotMeasured: `valid` is 0. Silence is not health.

    Source: Google SRE Workbook, ch. 5, "Alerting on SLOs".
    """
    if not valid:
        raise NotMeasured("no valid event in the window")
    budget = max(PPM - objective_ppm, 1) / PPM
    return (valid - good) / valid / budget


def gauges_of(plan: Plan) -> tuple[Gauge, ...]:
    """Return an empty gauge for each SLO of the plan."""
    return tuple(Gauge(slo, slot_ns_of(slo.window_ns)) for slo in plan.slos)


def slot_ns_of(window_ns: int) -> int:
    """Return how long a slot of a window is: a fiftieth of it, at least 100 ms, never more than all."""
    return min(max(_SLOT_MIN_NS, window_ns // _SLOTS), max(window_ns, 1))


def add_sample(gauges: tuple[Gauge, ...], sample: Sample, now_ns: int) -> tuple[Gauge, ...]:
    """Return the gauges after one more sample of a probe."""
    if sample.reading is Reading.UNREADABLE or not any(g.slo.probe == sample.probe for g in gauges):
        return gauges
    good = int(sample.reading is Reading.GOOD)
    return tuple(
        _count(gauge, now_ns, good, 1 - good, ()) if gauge.slo.probe == sample.probe else gauge
        for gauge in gauges
    )


def add_bucket(gauges: tuple[Gauge, ...], bucket: LoadBucket, now_ns: int) -> tuple[Gauge, ...]:
    """Return the gauges after one more load bucket. Dropped arrivals are bad events."""
    return tuple(
        _count(_pictured(gauge, bucket), now_ns, bucket.good, bucket.bad + bucket.dropped, bucket.latency)
        if gauge.slo.load_stat is not None
        else gauge
        for gauge in gauges
    )


def emptied(gauges: tuple[Gauge, ...]) -> tuple[Gauge, ...]:
    """Return the gauges with nothing in them."""
    return tuple(replace(gauge, slots=(), unanswered=NONE_WAITING) for gauge in gauges)


def _pictured(gauge: Gauge, bucket: LoadBucket) -> Gauge:
    if gauge.slo.below_ns is None:
        return gauge
    unanswered = gauge.unanswered.after(bucket)
    return gauge if unanswered is gauge.unanswered else replace(gauge, unanswered=unanswered)


def _count(gauge: Gauge, now_ns: int, good: int, bad: int, latency: tuple[tuple[int, int], ...]) -> Gauge:
    number = now_ns // gauge.slot_ns
    oldest = number - gauge.slo.window_ns // gauge.slot_ns
    slots = gauge.slots
    if slots and slots[0].number <= oldest:
        slots = tuple(slot for slot in slots if slot.number > oldest)
    if slots and slots[-1].number >= number:
        last = slots[-1]
        counts = tuple(merge((last.latency, latency)).items()) if latency else last.latency
        last = Slot(last.number, last.good + good, last.bad + bad, counts)
        return replace(gauge, slots=(*slots[:-1], last))
    return replace(gauge, slots=(*slots, Slot(number, good, bad, latency)))
