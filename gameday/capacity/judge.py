"""Does a rate hold? One trial's slices in, one judgement out, as often as it is asked.

    judge(goal, slices, rate_per_1000s=…) -> Judgement

It may be asked after every slice; what it says only changes at the looks that `Goal` fixes, so asking
often costs no confidence. `final` tells that more slices would change nothing: end the trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gameday.capacity.goal import PPM, Goal, Slice


class Verdict(StrEnum):
    """What a trial says about its rate. Undecided is not holds."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class LevelShare:
    """The spoilt share of one service level: what was seen, and the interval its true value lies in.

    `worst_*` is the window (10 s) with the largest share; `effective` is how many independent requests
    would tell as much as these `requests` do.
    """

    name: str
    allowed_ppm: int
    share_ppm: int
    low_ppm: int
    high_ppm: int
    requests: int
    effective: int
    worst_ppm: int = 0
    worst_start_ns: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one trial proves about one rate. Times in ns, rates per 1000 s, shares in ppm.

    `reasons` say in words why it is undecided, or what failed; `generator` is why the load itself is not
    to be believed (then the verdict is undecided and `final`). `judged_ns` is without `cut_ns`, the warm-up.
    `in_flight_per_1000`: the mean number of requests under way, times 1000. `little_ppm`: throughput x
    latency against the requests under way, 1 000 000 when they agree, 0 when it could not be told.
    """

    verdict: Verdict
    final: bool
    rate_per_1000s: int
    achieved_per_1000s: int
    throughput_per_1000s: int
    requests: int
    judged_ns: int
    cut_ns: int
    look: int
    confidence_ppm: int
    levels: tuple[LevelShare, ...]
    reasons: tuple[str, ...]
    generator: tuple[str, ...]
    latency_us: tuple[tuple[str, int], ...] = ()
    mean_latency_us: int = 0
    in_flight_per_1000: int = 0
    little_ppm: int = 0
    late_ppm: int = 0
    dropped_ppm: int = 0
    busy_ppm: int = 0

    @property
    def margin_ppm(self) -> int:
        """How far the worst level is from its limit: under 0 is better than allowed, above is worse."""
        return max((s.share_ppm - s.allowed_ppm for s in self.levels), default=PPM)


def judge(goal: Goal, slices: Sequence[Slice], *, rate_per_1000s: int = 0) -> Judgement:
    """Return what the slices of one trial prove about its rate; `rate_per_1000s` is what was asked for."""
    n = sum(s.good + s.bad for s in slices)
    return Judgement(
        Verdict.UNDECIDED,
        False,
        rate_per_1000s,
        0,
        0,
        n,
        0,
        0,
        0,
        goal.confidence_ppm,
        (),
        ("too short",),
        (),
    )
