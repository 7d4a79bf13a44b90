"""The arrival gate: an open loop for unmodified Locust files. Runs inside the load host.

Locust's users are a closed loop: when the target stalls, they wait, and nobody arrives. Here users
are only a pool. A scheduler releases one task for each intended arrival, whatever the target does;
latency counts from the intended time, so nothing is omitted. When no user is free the pool grows to
its limit; beyond it arrivals wait in a queue, and when that is full they are dropped and counted.

The lag of the generator is kept apart from the waiting for a user that hangs in the target: it is how
late the scheduler woke and the user began, and the wait for users that had still to be made.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event
from gevent.hub import Waiter

from gameday.plan.pacing import Pace, steady

QUEUE_MAX = 10_000
_NAP_MAX_S = 3600.0


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


class Gate:
    """Where users wait for their next arrival; its pace may change at any instant."""

    def __init__(self, buckets: Any, arrivals: Arrivals, pool: Any) -> None:
        """Make it.

        Args:
            buckets: Told of every arrival.
            arrivals: When they are due.
            pool: Its `is_full` and `need(free, queued)` decide who else may come.
        """
        self._buckets = buckets
        self._arrivals = arrivals
        self._pool = pool
        self._idle: list[Waiter[float]] = []
        self._queue = buckets.waiting.queue
        self._changed = Event()
        gevent.spawn(self._run)

    def follow(self, pace: Pace, place: float = 1.0) -> None:
        """Release arrivals at this pace from now on; `place` as in `Arrivals.follow`."""
        now_s = time.perf_counter()
        self._release_until(now_s)
        self._arrivals.follow(pace, now_s, place)
        self._changed.set()

    def stop(self) -> None:
        """Release no more, and forget those who wait for a user."""
        self.follow(steady(0.0))
        for _ in range(len(self._queue)):
            self._buckets.dropped()
        self._queue.clear()

    def wait(self) -> None:
        """Park the user that runs until the next arrival is its own."""
        who = gevent.getcurrent()
        waiting = self._buckets.waiting.arrivals
        waiting.pop(who, None)  # The one before may have been a task without any request.
        if self._queue:
            intended_s = self._queue.popleft()
            lag_s = 0.0 if self._pool.is_full else time.perf_counter() - intended_s
        else:
            intended_s = self._park()
            lag_s = time.perf_counter() - intended_s
        waiting[who] = intended_s
        self._buckets.released(intended_s, lag_s)

    def _park(self) -> float:
        waiter: Waiter[float] = Waiter()
        self._idle.append(waiter)
        try:
            intended_s: float = waiter.get()
        except BaseException:
            if waiter in self._idle:
                self._idle.remove(waiter)
            else:
                self._buckets.dropped()  # It was killed in the instant between its release and its start.
            raise
        return intended_s

    def _run(self) -> None:
        while True:
            due_s = self._release_until(time.perf_counter())
            self._changed.clear()
            # A change of pace wakes the scheduler, so that it acts at once.
            self._changed.wait(min(max(due_s - time.perf_counter(), 0.0), _NAP_MAX_S))

    def _release_until(self, now_s: float) -> float:
        """Release what is due, and return when the next one is."""
        arrivals = self._arrivals
        due_s = arrivals.due_s()
        while due_s <= now_s:
            self._release(due_s)
            arrivals.advance()
            due_s = arrivals.due_s()
        return due_s

    def _release(self, intended_s: float) -> None:
        self._buckets.intended()
        if self._idle:
            # The last to park goes first, which keeps connections warm. Only the hub may switch it.
            gevent.get_hub().loop.run_callback(self._idle.pop().switch, intended_s)
        elif len(self._queue) < QUEUE_MAX:
            self._queue.append(intended_s)
        else:
            self._buckets.dropped()
        self._pool.need(len(self._idle), len(self._queue))
