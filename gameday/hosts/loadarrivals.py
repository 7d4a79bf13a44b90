"""When arrivals are due: a pace, turned into instants, evenly or at random."""

from __future__ import annotations

import random
from collections.abc import Callable

from gameday.plan.pacing import Pace, steady


class Arrivals:
    """When the next one is due, under a pace that may change at any instant.

    Constant: where the sum of the pace passes 1, 2, 3, …; of N generators each takes its own place in
    between, so together they are even. Poisson: where it passes the sums of seeded exponential gaps,
    and independent streams at a part of the rate add up to one at the rate.
    """

    def __init__(self, *, poisson: bool, seed: str) -> None:
        draw = random.Random(seed)  # noqa: S311 - arrivals, and they must repeat
        self._gap: Callable[[], float] = (lambda: draw.expovariate(1.0)) if poisson else (lambda: 1.0)
        self._next = self._gap()
        self._has_begun = poisson
        self._pace, self._began_s = steady(0.0), 0.0

    def follow(self, pace: Pace, now_s: float, place: float = 1.0) -> None:
        """Follow another pace from `now_s` on; what has passed of a gap is not lost.

        `place` in (0, 1]: where between two arrivals of all generators a constant stream has its own.
        """
        if not self._has_begun:
            self._next, self._has_begun = place, True
        self._next = max(self._next - self._pace.count(now_s - self._began_s), 1e-9)
        self._pace, self._began_s = pace, now_s

    def due_s(self) -> float:
        """Return when the next one is due."""
        return self._began_s + self._pace.time_of(self._next)

    def advance(self) -> None:
        """Go on to the one after it."""
        self._next += self._gap()
