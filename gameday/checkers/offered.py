"""How much load the plan asked for, over time: what the generators say they offered is held against it.

A generator that is dead intends nothing, so a sum over those that live hides what is missing. What was
asked stands in the history: the rate of each `LoadAsked`, or the plan's stages from the start on, until
the next one. All in whole numbers: a rate is arrivals in 1000 s, so rate times nanoseconds is arrivals
times 10^12.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isqrt

from gameday.history.loadevents import LoadAsked, LoadBucket
from gameday.plan.model import Load, Stage

_ARRIVAL = 10**12
_LAG_NS = 100_000_000  # A command may take a slice until it is carried out.
BUCKET_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """Arrivals that were asked for, and how far from it an honest generator may be."""

    arrivals: int
    slack: int


def asked_of(
    load: Load, asks: Iterable[tuple[int, LoadAsked]], buckets: Iterable[LoadBucket]
) -> Asked | None:
    """Return how many arrivals were asked of a load; None of users, whose number no plan can know.

    Args:
        load: The plan's load.
        asks: When what was asked, of this load alone, in the order of the history.
        buckets: What it did. Where nothing stopped it (the runner died), it was asked until the last one.
    """
    last_ns = max((bucket.start_ns + BUCKET_NS for bucket in buckets), default=0)
    found = list(asks)
    if not found or found[0][1].ask != "start":
        return None
    ends = [*(at_ns for at_ns, _ in found[1:]), last_ns]
    double = slack_ns = 0
    for (at_ns, ask), end_ns in zip(found, ends, strict=True):
        if ask.ask == "stop":
            break
        part, highest = _part(load, ask, max(end_ns - at_ns, 0))
        if part is None:
            return None
        double += part
        slack_ns += highest * _LAG_NS
    arrivals = double // (2 * _ARRIVAL)
    slack = slack_ns // _ARRIVAL + 1
    if load.arrivals == "poisson":
        slack += 4 * isqrt(arrivals)  # Four standard deviations of the number of arrivals.
    return Asked(arrivals, slack)


def _part(load: Load, ask: LoadAsked, span_ns: int) -> tuple[int | None, int]:
    """Return twice the arrivals (times 10^12) of one ask over `span_ns`, and its highest rate."""
    if ask.users is not None:
        return None, 0
    if ask.rate_per_1000s is not None:
        return 2 * ask.rate_per_1000s * span_ns, ask.rate_per_1000s
    if not load.stages or any(stage.users is not None for stage in load.stages):
        return None, 0
    return _area(load.stages, span_ns), max(stage.rate_per_1000s or 0 for stage in load.stages)


def _area(stages: tuple[Stage, ...], span_ns: int) -> int:
    """Return twice the area under straight lines from 0, the last level of which lasts."""
    area, level = 0, 0
    for stage in stages:
        goal = stage.rate_per_1000s or 0
        if stage.over_ns:
            part_ns = min(stage.over_ns, span_ns)
            area += part_ns * (2 * level + (goal - level) * part_ns // stage.over_ns)
            span_ns -= part_ns
            if not span_ns:
                return area
        level = goal
    return area + 2 * level * span_ns
