"""Whether service levels held over a stretch of time, from samples and load buckets alone."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from gameday.checkers.view import View
from gameday.history.events import Phase, Reading, Sample
from gameday.history.histogram import PERCENTILE_PPM, upper_us
from gameday.history.loadevents import LoadBucket
from gameday.plan.model import PPM, Objective, Slo

SLICE_NS = 100_000_000  # A load bucket's length.


class Levels:
    """Answers questions about windows in logarithmic time, so that every sample may begin one."""

    def __init__(self, view: View, objective: Objective) -> None:
        self._objective = objective
        self._stabilise_ns = view.plan.steady_state.stabilise_ns
        wanted = view.plan.steady_state.slos
        self._slos = [slo for slo in view.plan.slos if slo.name in wanted]
        self._probes = {
            slo.probe: _Counts(view.samples.get(slo.probe, ()), _period_ns(view, slo.probe))
            for slo in self._slos
            if slo.probe is not None
        }
        buckets = sorted(view.trace.load, key=lambda bucket: bucket.start_ns)
        self._starts = [bucket.start_ns for bucket in buckets]
        self._sources = _starts_by_source(buckets)
        self._good = [0, *accumulate(b.good for b in buckets)]
        self._valid = [0, *accumulate(b.good + b.bad + b.dropped for b in buckets)]
        self._latencies = {slo.name: _Latencies(buckets, slo) for slo in self._slos if slo.probe is None}
        self._baseline_rate = self._rate(view.phase_at(Phase.BASELINE), view.phase_at(Phase.RUNNING))

    def held_from(self, start_ns: int, until_ns: int) -> bool | None:
        """Tell whether all levels held over the stabilisation window from `start_ns`.

        None when a level was not measured in it, and none that was measured was missed. It was measured
        when at least half of the samples (or slices of load) due in the window are there: unmeasured
        time is not good time.
        """
        end_ns = start_ns + self._stabilise_ns
        if end_ns > until_ns:
            return None
        met = [self._is_met(slo, start_ns, end_ns) for slo in self._slos]
        if False in met or None in met:
            return False if False in met else None
        if self._baseline_rate is None:
            return True
        rate = self._rate(start_ns, end_ns)
        if rate is None:
            return None
        needed = self._baseline_rate * self._objective.minimum_capacity_ppm / PPM
        # Counting arrivals in a window is uncertain by one at each end.
        slack = 2e9 / self._stabilise_ns
        return rate + slack >= needed

    def capacity_ppm(self, start_ns: int) -> int | None:
        """Return the good throughput of the window from `start_ns` as a share of the baseline's."""
        rate = self._rate(start_ns, start_ns + self._stabilise_ns)
        return None if rate is None or not self._baseline_rate else round(rate / self._baseline_rate * PPM)

    def _is_met(self, slo: Slo, start_ns: int, end_ns: int) -> bool | None:
        if slo.probe is not None:
            counts = self._probes[slo.probe]
            good, valid = counts.between(start_ns, end_ns)
            if valid and good * PPM < valid * slo.objective_ppm:
                return False
            due = (end_ns - start_ns) // counts.every_ns
            return True if valid and 2 * valid >= due else None
        low, high = self._between(start_ns, end_ns)
        good, valid = self._good[high] - self._good[low], self._valid[high] - self._valid[low]
        if not valid or not self._is_covered(start_ns, end_ns):
            return None
        if good * PPM < valid * slo.objective_ppm:
            return False
        return self._latencies[slo.name].is_met(low, high)

    def _between(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        return bisect_left(self._starts, start_ns), bisect_left(self._starts, end_ns)

    def _rate(self, start_ns: int | None, end_ns: int | None) -> float | None:
        """Return good requests a second of the slices there are; None where fewer than half are.

        A window holds a slice more or less than its length, and load that is not generated any more was
        not answered badly: it is the slices' time that counts.
        """
        if start_ns is None or end_ns is None or not self._is_covered(start_ns, end_ns):
            return None
        low, high = self._between(start_ns, end_ns)
        return (self._good[high] - self._good[low]) * 1e9 / self._slices_ns(start_ns, end_ns)

    def _is_covered(self, start_ns: int, end_ns: int) -> bool:
        covered_ns = self._slices_ns(start_ns, end_ns)
        return covered_ns > 0 and 2 * covered_ns >= end_ns - start_ns

    def _slices_ns(self, start_ns: int, end_ns: int) -> int:
        """Return the time of the slices in a window: of the generator that has most, as they run together."""
        return SLICE_NS * max(
            (bisect_left(starts, end_ns) - bisect_left(starts, start_ns) for starts in self._sources),
            default=0,
        )


def _starts_by_source(buckets: list[LoadBucket]) -> list[array[int]]:
    """Return when the slices of each load and generator began, in order."""
    found: dict[tuple[str, int], array[int]] = {}
    for bucket in buckets:
        found.setdefault((bucket.load, bucket.generator), array("q")).append(bucket.start_ns)
    return list(found.values())


class _Latencies:
    """How many successes, up to each slice, stayed below a limit: a percentile is a share of those."""

    def __init__(self, buckets: list[LoadBucket], slo: Slo) -> None:
        self._ratio_ppm = PERCENTILE_PPM.get(slo.load_stat or "") if slo.below_ns is not None else None
        below_ns = slo.below_ns or 0
        self._all = [0, *accumulate(sum(count for _, count in b.latency) for b in buckets)]
        self._below = [
            0,
            *accumulate(
                sum(count for index, count in b.latency if upper_us(index) * 1000 < below_ns) for b in buckets
            ),
        ]

    def is_met(self, low: int, high: int) -> bool:
        """Tell whether the percentile of the slices [low, high) is below the limit, if there is one."""
        if self._ratio_ppm is None:
            return True
        total = self._all[high] - self._all[low]
        rank = max(1, -(-total * self._ratio_ppm // PPM))
        return total > 0 and self._below[high] - self._below[low] >= rank


def _period_ns(view: View, probe: str) -> int:
    return next((p.every_ns for p in view.plan.probes if p.name == probe), 1)


class _Counts:
    """Good and valid samples before any instant."""

    def __init__(self, samples: Sequence[Sample], every_ns: int) -> None:
        readable = [s for s in samples if s.reading is not Reading.UNREADABLE]
        self.every_ns = every_ns
        self._sent = array("q", (s.sent_ns for s in readable))
        self._good = array("q", accumulate((s.reading is Reading.GOOD for s in readable), initial=0))

    def between(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        low, high = bisect_left(self._sent, start_ns), bisect_left(self._sent, end_ns)
        return self._good[high] - self._good[low], high - low
