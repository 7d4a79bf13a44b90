"""What the capacity room is asked, from a plan: the goal of its sign-off, and its search for the limit."""

from __future__ import annotations

from gameday.capacity.goal import Goal, Level
from gameday.capacity.search import Search
from gameday.plan.capacity import Capacity
from gameday.plan.model import Plan, Slo

_SHARE_PPM = {"p50": 500_000, "p90": 900_000, "p95": 950_000, "p99": 990_000, "p999": 999_000}


def levels_of(plan: Plan, found: Capacity) -> tuple[Level, ...]:
    """Return the service levels of a sign-off.

    An SLO with a percentile is two of them where it lets fewer requests fail than be slow: the share that
    is answered, and the share that is answered below its limit.
    """
    levels: list[Level] = []
    for slo in plan.slos:
        if slo.name in found.slos:
            levels += _levels(slo)
    return tuple(levels)


def _levels(slo: Slo) -> list[Level]:
    share_ppm = _SHARE_PPM.get(slo.load_stat or "")
    if slo.below_ns is None or share_ppm is None:
        return [Level(slo.name, slo.objective_ppm)]
    fast = Level(slo.name, share_ppm, slo.below_ns // 1000)
    answered = Level(f"{slo.name} (answered)", slo.objective_ppm)
    return [answered, fast] if slo.objective_ppm > share_ppm else [fast]


def goal_of(plan: Plan, found: Capacity) -> Goal:
    """Return what the rate that is signed for must hold."""
    load = next(load for load in plan.load if load.name == found.load)
    return Goal(
        levels=levels_of(plan, found),
        confidence_ppm=found.confidence_ppm,
        duration_min_ns=found.duration_ns,
        duration_max_ns=found.duration_max_ns,
        warm_up_ns=found.warm_up_ns,
        users_max=load.max_users,
    )


def search_of(plan: Plan, found: Capacity) -> Search | None:
    """Return the search as it begins; None where the plan asks for none."""
    wanted = found.search
    if wanted is None:
        return None
    whole = goal_of(plan, found)
    goal = Goal(
        levels=whole.levels,
        confidence_ppm=whole.confidence_ppm,
        duration_min_ns=wanted.each_ns,
        duration_max_ns=wanted.each_max_ns,
        warm_up_ns=whole.warm_up_ns,
        users_max=whole.users_max,
    )
    return Search(
        goal.shared_by(wanted.trials),
        found.tested_per_1000s,
        width_ppm=wanted.width_ppm,
        trials_max=wanted.trials + 1,  # The trial with N is known to it too.
        ceiling_per_1000s=wanted.ceiling_per_1000s,
    )
