"""Whether service levels held over a stretch of time, from samples and load buckets alone."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

from gameday.checkers.view import View
from gameday.history.events import LoadBucket, Phase, Reading
from gameday.history.histogram import PERCENTILE_PPM, upper_us
from gameday.plan.model import PPM, Objective, Slo


class Levels:
    """Answers questions about windows in logarithmic time, so that every sample may begin one."""

    def __init__(self, view: View, objective: Objective) -> None:
        self._objective = objective
        self._stabilise_ns = view.plan.steady_state.stabilise_ns
        wanted = view.plan.steady_state.slos
        self._slos = [slo for slo in view.plan.slos if slo.name in wanted]
        self._probes = {
            slo.probe: _Counts([s for s in view.trace.samples if s.probe == slo.probe])
            for slo in self._slos
            if slo.probe is not None
        }
        buckets = sorted(view.trace.load, key=lambda bucket: bucket.start_ns)
        self._starts = [bucket.start_ns for bucket in buckets]
        self._good = [0, *accumulate(b.good for b in buckets)]
        self._valid = [0, *accumulate(b.good + b.bad + b.dropped for b in buckets)]
        self._latencies = {slo.name: _Latencies(buckets, slo) for slo in self._slos if slo.probe is None}
        self._baseline_rate = self._rate(view.phase_at(Phase.BASELINE), view.phase_at(Phase.RUNNING))

    def held_from(self, start_ns: int, until_ns: int) -> bool | None:
        """Tell whether all levels held over the stabilisation window from `start_ns`.

        None when a level was not measured in it, and none that was measured was missed.
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
        needed = self._baseline_rate * self._objective.minimum_capacity_ppm / PPM
        # Counting arrivals in a window is uncertain by one at each end.
        slack = 2e9 / self._stabilise_ns
        return rate is not None and rate + slack >= needed

    def _is_met(self, slo: Slo, start_ns: int, end_ns: int) -> bool | None:
        if slo.probe is not None:
            good, valid = self._probes[slo.probe].between(start_ns, end_ns)
            return good * PPM >= valid * slo.objective_ppm if valid else None
        low, high = self._between(start_ns, end_ns)
        good, valid = self._good[high] - self._good[low], self._valid[high] - self._valid[low]
        if not valid:
            return None
        if good * PPM < valid * slo.objective_ppm:
            return False
        return self._latencies[slo.name].is_met(low, high)

    def _between(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        return bisect_left(self._starts, start_ns), bisect_left(self._starts, end_ns)

    def _rate(self, start_ns: int | None, end_ns: int | None) -> float | None:
        """Return good requests a second; None where there is no load to speak of."""
        if start_ns is None or end_ns is None or not self._starts or end_ns <= start_ns:
            return None
        low, high = self._between(start_ns, end_ns)
        return (self._good[high] - self._good[low]) * 1e9 / (end_ns - start_ns)


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


class _Counts:
    """Good and valid samples before any instant."""

    def __init__(self, samples: list) -> None:  # type: ignore[type-arg]
        readable = sorted(
            (s for s in samples if s.reading is not Reading.UNREADABLE), key=lambda s: s.sent_ns
        )
        self._sent = [s.sent_ns for s in readable]
        self._good = [0, *accumulate(int(s.reading is Reading.GOOD) for s in readable)]

    def between(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        low, high = bisect_left(self._sent, start_ns), bisect_left(self._sent, end_ns)
        return self._good[high] - self._good[low], high - low
