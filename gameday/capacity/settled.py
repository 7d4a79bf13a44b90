"""Which part of a trial is warm-up: a stated rule, the same for every trial.

The first `warm_up_ns` are cut always. After that, in steps of a twentieth of the trial up to half of it, as
long as the first twentieth of what is left, or its first quarter, is slower than its second half is (mean
latencies in twenty batches, on a logarithmic scale; by more than 5 %, and by more than Student's
t at 1 % for the spread of the second half). What still gets faster then has not settled, and no failure is
concluded from it. What gets slower is not warm-up: it is what the rate does to the system, and it counts.

Source: Geweke 1992 (first part against last part), with fixed steps as MSER-5 has them (White 1997). MSER's
own choice, the cut with the smallest standard error, prefers calm stretches and would favour `holds`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gameday.capacity.distributions import t_quantile
from gameday.capacity.goal import Slice, mean_us

SLOWER_MIN = math.log(1.05)
ALPHA = 0.01
BATCHES = 20


def settled(slices: Sequence[Slice], warm_up_ns: int) -> tuple[int, bool]:
    """Return how many slices to cut, and whether the rest has settled."""
    if not slices:
        return 0, False
    start_ns = slices[0].start_ns
    fixed = sum(1 for s in slices if s.start_ns - start_ns < warm_up_ns)
    means = [(sum(c for _, c in s.latency), mean_us(s.latency)) for s in slices]
    length = len(slices) - fixed
    for step in range(BATCHES // 2 + 1):
        cut = fixed + length * step // BATCHES
        if not _improving(means[cut:]):
            return cut, True
    return fixed + length // 2, False


def _improving(means: Sequence[tuple[int, float]]) -> bool:
    batches = []
    for i in range(BATCHES):
        part = means[i * len(means) // BATCHES : (i + 1) * len(means) // BATCHES]
        count = sum(n for n, _ in part)
        if count:
            batches.append(math.log(max(math.fsum(n * m for n, m in part) / count, 1.0)))
    if len(batches) < BATCHES:
        return False  # Too short to tell, or silent: both are dealt with elsewhere.
    quarter, late = batches[: BATCHES // 4], batches[BATCHES // 2 :]
    unit = math.sqrt(_variance(late)) * t_quantile(1 - ALPHA, len(late) - 1)
    return any(
        _mean(part) - _mean(late) > max(SLOWER_MIN, unit * math.sqrt(1 / len(part) + 1 / len(late)))
        for part in (batches[:1], quarter)
    )


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _variance(values: Sequence[float]) -> float:
    middle = _mean(values)
    return math.fsum((v - middle) ** 2 for v in values) / (len(values) - 1)
