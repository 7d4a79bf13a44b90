"""Whether the service levels held over a stretch of time, at no less than the minimum capacity.

A level that was not measured did not hold: at least half of the samples (or load buckets) due must be
there. Good throughput is compared with that of the baseline; the time that counts is that of the buckets.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from .segments import BUCKET_NS, GOOD, PERCENTILES_PPM, PPM, UNREADABLE, Level, Loads, Samples
from .strictjson import get, maybe, rows, texts


def load_levels(plan: dict[str, Any]) -> list[Level]:
    """Return the plan's levels over the load, for which latencies are counted while they are read."""
    found = []
    for slo in rows(plan, "slos", "plan.json"):
        if maybe(slo, "probe", str, "plan.json") is None:
            below_ns = maybe(slo, "below_ns", int, "plan.json")
            share = PERCENTILES_PPM.get(maybe(slo, "load_stat", str, "plan.json") or "")
            found.append(
                Level(
                    get(slo, "name", str, "plan.json"), share if below_ns is not None else None, below_ns or 0
                )
            )
    return found


class Levels:
    """Answers for any window in logarithmic time, because every good sample may begin one."""

    def __init__(
        self, plan: dict[str, Any], samples: Samples, loads: Loads, baseline: tuple[int | None, int | None]
    ) -> None:
        steady = get(plan, "steady_state", dict, "plan.json")
        wanted = texts(steady, "slos", "plan.json")
        self._stabilise_ns = get(steady, "stabilise_ns", int, "plan.json")
        self._slos = [slo for slo in rows(plan, "slos", "plan.json") if slo.get("name") in wanted]
        every = {
            p.get("name"): get(p, "every_ns", int, "plan.json") for p in rows(plan, "probes", "plan.json")
        }
        self._probes = {
            slo["probe"]: _Counts(samples, slo["probe"], every.get(slo["probe"], 1))
            for slo in self._slos
            if maybe(slo, "probe", str, "plan.json") is not None
        }
        order = sorted(range(len(loads.start)), key=loads.start.__getitem__)
        self._starts = [loads.start[n] for n in order]
        self._sources: dict[int, list[int]] = {}
        for n in order:
            self._sources.setdefault(loads.source[n], []).append(loads.start[n])
        self._good, self._valid, self._counted = (
            _sums(column, order) for column in (loads.good, loads.valid, loads.counted)
        )
        self._below = {name: _sums(column, order) for name, column in loads.below.items()}
        self._shares = {level.name: level.share_ppm for level in loads.levels}
        self._baseline = self._rate(*baseline)

    def held(self, start_ns: int, until_ns: int, capacity_ppm: int) -> bool | None:
        """Tell whether all levels held from `start_ns` on; None when that was not measured."""
        end_ns = start_ns + self._stabilise_ns
        if end_ns > until_ns:
            return None
        met = [self._met(slo, start_ns, end_ns) for slo in self._slos]
        if False in met or None in met:
            return False if False in met else None
        if self._baseline is None:
            return True
        rate = self._rate(start_ns, end_ns)
        if rate is None:
            return None
        # How many arrivals fall into a window is uncertain by one at each end.
        return rate + 2e9 / self._stabilise_ns >= self._baseline * capacity_ppm / PPM

    def _met(self, slo: dict[str, Any], start_ns: int, end_ns: int) -> bool | None:
        objective_ppm = get(slo, "objective_ppm", int, "plan.json")
        if slo.get("probe") is not None:
            return self._probes[slo["probe"]].met(start_ns, end_ns, objective_ppm)
        low, high = bisect_left(self._starts, start_ns), bisect_left(self._starts, end_ns)
        good, valid = self._good[high] - self._good[low], self._valid[high] - self._valid[low]
        if not valid or not self._covered_ns(start_ns, end_ns):
            return None
        if good * PPM < valid * objective_ppm:
            return False
        share_ppm = self._shares[slo["name"]]
        if share_ppm is None:
            return True
        total, below = (sums[high] - sums[low] for sums in (self._counted, self._below[slo["name"]]))
        return total > 0 and below >= max(1, -(-total * share_ppm // PPM))

    def _rate(self, start_ns: int | None, end_ns: int | None) -> float | None:
        """Return good answers a second of the buckets there are; None where there are too few."""
        if start_ns is None or end_ns is None or not (covered_ns := self._covered_ns(start_ns, end_ns)):
            return None
        low, high = bisect_left(self._starts, start_ns), bisect_left(self._starts, end_ns)
        return (self._good[high] - self._good[low]) * 1e9 / covered_ns

    def _covered_ns(self, start_ns: int, end_ns: int) -> int:
        """Return the time of the buckets in a window; 0 where that is less than half of it.

        Generators run side by side: the one with the most buckets tells how much of the window is there.
        """
        count = max(
            (bisect_left(s, end_ns) - bisect_left(s, start_ns) for s in self._sources.values()), default=0
        )
        return count * BUCKET_NS if 2 * count * BUCKET_NS >= end_ns - start_ns else 0


def _sums(column: Sequence[int], order: list[int]) -> list[int]:
    return list(accumulate((column[n] for n in order), initial=0))


class _Counts:
    """Good and readable samples of one probe before any instant."""

    def __init__(self, samples: Samples, probe: str, every_ns: int) -> None:
        sent, _, reading = samples.of(probe).by_sending()
        self._every_ns = every_ns
        self._sent = [s for s, r in zip(sent, reading, strict=True) if r != UNREADABLE]
        self._good = list(accumulate((r == GOOD for r in reading if r != UNREADABLE), initial=0))

    def met(self, start_ns: int, end_ns: int, objective_ppm: int) -> bool | None:
        low, high = bisect_left(self._sent, start_ns), bisect_left(self._sent, end_ns)
        good, read = self._good[high] - self._good[low], high - low
        if read and good * PPM < read * objective_ppm:
            return False
        return True if read and 2 * read >= (end_ns - start_ns) // self._every_ns else None
