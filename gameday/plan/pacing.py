"""The shape of a load as a pure function of time: its level at an instant, and what it adds up to.

A level is a rate (arrivals a second) or a number of users. A shape is a row of straight lines, the last
of which goes on for ever:

    level   │      ┌────  stages: {over: 0s, rate: 50} {over: 60s, rate: 50} {over: 30s, rate: 120}
            │     /       {over: 0s, rate: 120}
            │ ───/
            └──────────▶ seconds since the load began

The generator asks when arrival number n is due, a checker how many were due until t: both ask here.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from gameday.plan.model import Load, Stage

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Line:
    """From `begin_s` to `end_s` the level goes from `low` to `high`; `before` is the sum until then."""

    begin_s: float
    end_s: float
    low: float
    high: float
    before: float

    @property
    def slope(self) -> float:
        """How much the level changes in a second."""
        return 0.0 if math.isinf(self.end_s) else (self.high - self.low) / (self.end_s - self.begin_s)


@dataclass(frozen=True, slots=True)
class Pace:
    """Lines that follow one another without a gap from 0; the last one ends never and is flat."""

    lines: tuple[Line, ...]

    def level(self, at_s: float) -> float:
        """Return the level `at_s` seconds after the beginning; at a step, the level after it."""
        if at_s < 0:
            return 0.0
        line = self.lines[bisect_right(self.lines, at_s, key=lambda line: line.begin_s) - 1]
        return line.low + line.slope * (at_s - line.begin_s)

    def count(self, until_s: float) -> float:
        """Return how many arrivals are due in [0, until_s]: a real number, the integral of the rate."""
        if until_s <= 0:
            return 0.0
        line = self.lines[bisect_right(self.lines, until_s, key=lambda line: line.begin_s) - 1]
        for_s = until_s - line.begin_s
        return line.before + for_s * (line.low + line.slope * for_s / 2)

    def time_of(self, count: float) -> float:
        """Return when `count` (above 0) arrivals were due, in seconds; infinite when they never are."""
        # The first line by whose end they are: a line that adds nothing has the same sum as the next.
        lines = self.lines
        place = bisect_right(lines, count, key=lambda line: line.before) - 1
        while place > 0 and lines[place].before >= count:
            place -= 1
        line = lines[place]
        missing, low, slope = count - line.before, line.low, line.slope
        under = max(low * low + 2 * slope * missing, 0.0)
        divisor = low + math.sqrt(under)
        return line.begin_s + 2 * missing / divisor if divisor > 0 else math.inf


def steady(level: float) -> Pace:
    """Return one level for ever."""
    return Pace((Line(0.0, math.inf, level, level, 0.0),))


def staged(stages: Iterable[Stage], parts: int = 1) -> Pace:
    """Return the shape of `stages`, or of one of `parts` equal parts of it. It begins at 0."""
    lines: list[Line] = []
    at_s = level = total = 0.0
    for stage in stages:
        rate, users = stage.rate_per_1000s, stage.users
        goal = (rate / 1000 if rate is not None else float(users or 0)) / parts
        if stage.over_ns:
            end_s = at_s + stage.over_ns / NS
            lines.append(Line(at_s, end_s, level, goal, total))
            total += (level + goal) / 2 * (end_s - at_s)
            at_s = end_s
        level = goal
    lines.append(Line(at_s, math.inf, level, level, total))
    return Pace(tuple(lines))


def pace_of(load: Load, parts: int = 1) -> Pace | None:
    """Return the shape that a load begins with, or one part of it; None where its own file decides."""
    if load.shape:
        return None
    if load.stages:
        return staged(load.stages, parts)
    level = load.rate_per_1000s / 1000 if load.rate_per_1000s is not None else float(load.users or 0)
    return steady(level / parts)


def is_open(load: Load) -> bool:
    """Tell whether a load is an open loop: arrivals at a rate, whatever the target does."""
    return load.rate_per_1000s is not None or any(s.rate_per_1000s is not None for s in load.stages)
