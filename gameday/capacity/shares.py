"""The spoilt share of a level, and bounds for it that know that requests near saturation are not independent.

When a queue forms, many requests in a row are late: a hundred of them tell as much as a few independent
ones. So the variance of the share is taken from batches of consecutive windows (a ratio estimator, since
windows hold different numbers of requests), enlarged by what neighbouring batches still have in common and
by Student's t. That variance says how many independent requests would tell as much (`effective`), and the
bounds are the exact binomial ones for that many. Nothing spoilt at all then gives the rule of three.

Source: batch means, Law & Kelton, Simulation Modeling and Analysis, ch. 9; Schmeiser 1982 on 10 to 30
batches; Clopper & Pearson 1934; effective sample size of clustered samples, Kish 1965.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gameday.capacity.distributions import beta_quantile, normal_quantile, t_quantile
from gameday.capacity.goal import PPM, Level, Slice, over

BATCHES = 20
BATCHES_MIN = 4
CLUSTER = (0.25, 10.0)


@dataclass(frozen=True, slots=True)
class Window:
    """One slice as a level sees it: requests settled in it, and how many were spoilt, surely and at most.

    A request that is still unanswered when it passes the limit is spoilt then, not when it ends.
    """

    start_ns: int
    requests: int
    spoilt: int
    spoilt_most: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share (of 1), how many independent requests it is worth, and over how many batches it was taken."""

    share: float
    requests: int
    effective: float
    batches: int
    at_limit: float

    def upper(self, alpha: float) -> float:
        """Return the bound that the true share is above with a probability of at most `alpha`."""
        n = self._worth(alpha)
        k = self.share * n
        return beta_quantile(1 - alpha, k + 1, max(n - k, 1e-9)) if n > k else 1.0

    def lower(self, alpha: float) -> float:
        """Return the bound that the true share is below with a probability of at most `alpha`."""
        n = self._worth(alpha)
        k = self.share * n
        return beta_quantile(alpha, k, n - k + 1) if k > 0 else 0.0

    def _worth(self, alpha: float) -> float:
        """A variance from few batches is itself uncertain: Student's t against the normal quantile."""
        if self.batches < BATCHES_MIN:
            return 1.0
        wider = t_quantile(1 - alpha, self.batches - 1) / normal_quantile(1 - alpha)
        return max(self.at_limit / wider**2, 1.0)


def windows_of(level: Level, slices: Sequence[Slice]) -> tuple[Window, ...]:
    """Return what each slice says about a level."""
    found = []
    overdue = overdue_most = 0
    for s in slices:
        if level.below_us is None:
            found.append(Window(s.start_ns, s.good + s.bad + s.dropped, s.bad + s.dropped, s.bad + s.dropped))
            continue
        slow, slow_most = over(s.latency, level.below_us)
        now, now_most = over(s.ages, level.below_us)
        # Those that were overdue before and ended in this slice were counted when they became so.
        newly, newly_most = slow + s.bad + now - overdue, slow_most + s.bad + now_most - overdue_most
        fast = s.good - slow_most
        requests = fast + max(newly_most, 0) + s.dropped
        found.append(
            Window(s.start_ns, requests, max(min(newly, newly_most), 0) + s.dropped, requests - fast)
        )
        # What left the picture before its end was counted will still end: it is not spoilt twice.
        overdue, overdue_most = now + max(-newly, 0), now_most + max(-newly_most, 0)
    return tuple(found)


def estimate(pairs: Sequence[tuple[int, int]], allowed: float, *, queued: bool) -> Estimate:
    """Return the share of (requests, spoilt) windows of equal length, in order."""
    requests = sum(n for n, _ in pairs)
    spoilt = sum(k for _, k in pairs)
    if not requests:
        return Estimate(1.0, 0, 0.0, 0, 0.0)
    share = spoilt / requests
    batches = _batches(pairs)
    count = len(batches)
    if share in {0.0, 1.0} or count < BATCHES_MIN:
        factor = CLUSTER[1] if queued and not share else 1.0
        return Estimate(share, requests, float(requests), count, requests / factor)
    residuals = [k - share * n for n, k in batches]
    variance = count / (count - 1) * math.fsum(r * r for r in residuals) / requests**2
    variance *= _inflation(residuals)
    independent = share * (1 - share) / requests
    cluster = max(variance / independent, 1.0)
    expected = cluster
    if queued:
        expected = max(cluster * min(max(allowed / share, CLUSTER[0]), CLUSTER[1]), 1.0)
    return Estimate(share, requests, requests / cluster, count, requests / expected)


def _batches(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sum neighbours into at most `BATCHES` batches of about equal length."""
    count = min(BATCHES, len(pairs))
    edges = [i * len(pairs) // count for i in range(count + 1)]
    found = [(sum(n for n, _ in pairs[a:b]), sum(k for _, k in pairs[a:b])) for a, b in pairwise(edges)]
    return [batch for batch in found if batch[0]]


def _inflation(residuals: Sequence[float]) -> float:
    """Return the factor (1 + r) / (1 - r) by which neighbours' correlation r enlarges the variance."""
    total = math.fsum(r * r for r in residuals)
    if not total:
        return 1.0
    lag = math.fsum(a * b for a, b in pairwise(residuals)) / total
    r = min(max(lag + 1 / len(residuals), 0.0), 0.8)  # The estimate from n batches is 1/n too small.
    return (1 + r) / (1 - r)


def ppm(share: float) -> int:
    """Return a share of 1 in whole ppm."""
    return round(share * PPM)
