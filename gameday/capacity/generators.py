"""Is the load itself to be believed? What speaks against it names itself, and nothing is concluded then.

A generator that is busy, late or short measures itself. Late or dropped arrivals are the target's doing only
where the generators were at leisure and all their users hung in the target. Little's law (throughput x
latency = requests under way) is checked wherever its three terms were counted for the same requests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gameday.capacity.goal import SECOND_NS, Goal, Slice, add, mean_us

BUSY_PPM = 900_000
BUSY_SLICES_MAX = 0.05
LATE_MAX = 0.02
OFFERED_OFF_MAX = 0.02
LITTLE_OFF_MAX = 0.25
BLIND_MAX = 0.02


@dataclass(frozen=True, slots=True)
class Load:
    """What the generators did in the judged part of a trial. `little` is None where it cannot be told."""

    intended: int
    started: int
    late: int
    dropped: int
    completed: int
    length_s: float
    mean_latency_us: float
    in_flight: float
    busy_ppm: int
    little: float | None
    little_off_max: float


def load_of(slices: Sequence[Slice]) -> Load:
    """Return the sums over the judged slices."""
    counts = add(s.latency for s in slices)
    length_s = sum(s.length_ns for s in slices) / SECOND_NS
    started, late = sum(s.started for s in slices), sum(s.late for s in slices)
    good, bad = sum(s.good for s in slices), sum(s.bad for s in slices)
    mean = mean_us(counts)
    in_flight = math.fsum(s.waiting for s in slices) / len(slices) if slices else 0.0
    expected = good / length_s * mean / 1e6 if length_s else 0.0
    same = (
        bad <= LATE_MAX * (good + bad) and late <= LATE_MAX * (started + late) and started + late > 0
    ) and abs(good + bad - started - late) <= 0.05 * (started + late)
    spread = _spread([s.waiting for s in slices])
    return Load(
        intended=sum(s.intended for s in slices),
        started=started,
        late=late,
        dropped=sum(s.dropped for s in slices),
        completed=good + bad,
        length_s=length_s,
        mean_latency_us=mean,
        in_flight=in_flight,
        busy_ppm=sum(s.busy_ppm for s in slices) // max(len(slices), 1),
        little=in_flight / expected if same and in_flight and expected else None,
        # `waiting` is a picture once a slice: its mean has an error of its own, and one request is one.
        little_off_max=max(LITTLE_OFF_MAX, (4 * spread + 2) / expected if expected else 0.0),
    )


def doubts(goal: Goal, slices: Sequence[Slice], load: Load, rate_per_1000s: int) -> tuple[str, ...]:
    """Return why the load is not to be believed; empty when it is."""
    count = max(len(slices), 1)
    busy = sum(1 for s in slices if s.busy_ppm > BUSY_PPM)
    full = goal.users_max and sum(1 for s in slices if s.waiting >= 0.95 * goal.users_max) > 0.05 * count
    delayed = load.late + load.dropped > LATE_MAX * max(load.intended, 1)
    found = []
    if busy > BUSY_SLICES_MAX * count:
        found.append(f"a generator was busy above {BUSY_PPM // 10_000} % of its core in {busy} of {count} s")
    elif delayed and not full:
        found.append(
            f"of {load.intended} arrivals {load.late} started more than 0.1 s late and {load.dropped} never, "
            "although not all users were waiting for the target: the generators did not get to run"
        )
    found += _too_few_users(goal, rate_per_1000s) if full else []
    found += _off(load, rate_per_1000s)
    blind = sum(1 for s in slices if not (s.intended or s.good or s.bad or s.waiting))
    if blind > BLIND_MAX * count:
        found.append(f"nothing was counted in {blind} of {count} s")
    if load.little is not None and not full and abs(load.little - 1) > load.little_off_max:
        found.append(
            f"Little's law: {load.in_flight:.1f} requests were under way, throughput x latency "
            f"says {load.in_flight / load.little:.1f}"
        )
    return tuple(found)


def _too_few_users(goal: Goal, rate_per_1000s: int) -> list[str]:
    """A pool that is full before the slowest limit is reached measures itself."""
    slowest_us = max((level.below_us or 0 for level in goal.levels), default=0)
    needed = math.ceil(2 * rate_per_1000s / 1000 * slowest_us / 1e6)
    if goal.users_max >= needed:
        return []
    return [f"all {goal.users_max} users were waiting; at this rate and limit at least {needed} are needed"]


def _off(load: Load, rate_per_1000s: int) -> list[str]:
    if not rate_per_1000s or not load.length_s:
        return []
    due = rate_per_1000s / 1000 * load.length_s
    if abs(load.intended - due) <= OFFERED_OFF_MAX * due + 4 * math.sqrt(due):
        return []
    return [f"{load.intended} arrivals were offered where {due:.0f} were asked for"]


def _spread(values: Sequence[int]) -> float:
    """Return the standard error of a mean."""
    if len(values) < 2:
        return 0.0
    middle = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((v - middle) ** 2 for v in values) / (len(values) - 1) / len(values))
