"""The users of a load: how many there are, who died, and how the pool of an open loop grows.

In an open loop users are a pool: a few are kept free, so that growth comes before the need; it comes in
small portions, since making a user costs time in which nothing else runs. Users who die as they start
(the target may be down) are made again, once a second, or the pool would never recover.
"""

from __future__ import annotations

import time
from typing import Any

PORTION = 10  # Making a user costs about 0.1 ms.
REVIVE_EVERY_S = 1.0
_AT_ONCE = 1_000_000  # A spawn rate that means: now. Locust spawns the portions of a second together.
_OVER = ("stopping", "stopped", "cleanup")


class Pool:
    """Users wanted and users there, of one Locust runner."""

    def __init__(self, runner: Any, users_max: int) -> None:
        self._runner = runner
        self.users_max = users_max
        self.wanted = 0
        self.parked = 0  # Users that ended their on_start and live.
        self._asked_s = 0.0

    @property
    def is_full(self) -> bool:
        """Tell whether nobody may come any more."""
        return self.wanted >= self.users_max

    def have(self, users: int) -> None:
        """Let there be so many users, now."""
        self.wanted = users
        self._asked_s = time.perf_counter()
        self._runner.start(users, spawn_rate=_AT_ONCE)

    def ready(self, rate: float) -> None:
        """Have enough users for a rate at which none of them hangs."""
        enough = min(max(PORTION, int(rate / 5), self.wanted), self.users_max)
        if enough != self.wanted:
            self.have(enough)

    def need(self, free: int, queued: int) -> None:
        """Grow when fewer are free, or about to be, than are needed and a tenth in reserve."""
        if free > self.wanted // 10 or self.wanted >= self.users_max:
            return
        coming = self.wanted - self.parked
        if queued + self.wanted // 10 + 1 > free + coming and self._is_settled():
            self.have(min(self.wanted + PORTION, self.users_max))

    def revive(self) -> None:
        """Make users again in place of those who died. Called now and then."""
        missing = self._runner.user_count < self.wanted
        if missing and time.perf_counter() - self._asked_s > REVIVE_EVERY_S and self._is_settled():
            self.have(self.wanted)

    def _is_settled(self) -> bool:
        spawning = self._runner.spawning_greenlet
        return (spawning is None or spawning.ready()) and self._runner.state not in _OVER
