"""Several undecided trials of one rate, judged together: what one could not decide, their sum may.

Each trial gives a share with an interval. Weighted by their requests (not by their precision, which is larger
for the calmer ones), the share of the sum has the bounds that are found from the distances of the trials' own
bounds, as independent errors add up.

Source: MOVER, Zou & Donner 2008; summed trial time, MLRsearch (RFC 9971).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gameday.capacity.judge import Judgement, LevelShare, Verdict


def together(judgements: Sequence[Judgement]) -> Verdict:
    """Return what undecided trials of the same rate and goal say together.

    Only trials count that were long enough, and undecided by their bounds alone.
    """
    used = [j for j in judgements if j.levels and _is_open(j)]
    if len(used) < 2:
        return Verdict.UNDECIDED
    bounds = [_pooled(same) for same in zip(*(j.levels for j in used), strict=True)]
    if any(low > allowed for low, _, allowed in bounds):
        return Verdict.FAILS
    return Verdict.HOLDS if all(high <= allowed for _, high, allowed in bounds) else Verdict.UNDECIDED


def _is_open(judgement: Judgement) -> bool:
    """Tell whether each reason is a level whose bounds lie on both sides of what is allowed."""
    straddling = [s for s in judgement.levels if s.low_ppm <= s.allowed_ppm < s.high_ppm]
    return len(straddling) == len(judgement.reasons) > 0


def _pooled(shares: Sequence[LevelShare]) -> tuple[float, float, int]:
    """Return the lower and upper bound of a level over several trials, and what is allowed, in ppm."""
    total = sum(s.requests for s in shares) or 1
    share = sum(s.requests * s.share_ppm for s in shares) / total
    down = math.hypot(*(s.requests * (s.share_ppm - s.low_ppm) / total for s in shares))
    up = math.hypot(*(s.requests * (s.high_ppm - s.share_ppm) / total for s in shares))
    return share - down, share + up, shares[0].allowed_ppm
