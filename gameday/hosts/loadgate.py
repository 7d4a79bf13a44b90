"""The arrival gate: an open loop for unmodified Locust files. Runs inside the load host.

Locust's users are a closed loop: when the target stalls, they wait, and nobody arrives. Here users
are only a pool. A scheduler releases one task for each intended arrival, whatever the target does;
latency counts from the intended time, so nothing is omitted. When no user is free the pool grows to
its limit; beyond it arrivals wait in a queue, and when that is full they are dropped and counted.

The lag of the generator is kept apart from the waiting for a user that hangs in the target: it is how
late the scheduler woke and the user began, and the wait for users that had still to be made.
"""

from __future__ import annotations

import time
from typing import Any

import gevent
from gevent.event import Event
from gevent.hub import Waiter

from gameday.hosts.loadarrivals import Arrivals
from gameday.plan.pacing import Pace, steady

QUEUE_MAX = 10_000
_NAP_MAX_S = 3600.0
_CREDIT_MAX = 100.0


class Idle:
    """The users that wait, by class. Classes take turns in proportion to how many users each has.

    Of a class the last to park goes first, which keeps connections warm; without turns, the class whose
    user parked last would have all arrivals.
    """

    def __init__(self) -> None:
        self._parked: dict[Any, list[Waiter[float]]] = {}
        self._users: dict[Any, int] = {}
        self._credit: dict[Any, float] = {}
        self.count = 0

    def come(self, cls: Any) -> None:
        """One more user of this class takes part."""
        self._users[cls] = self._users.get(cls, 0) + 1
        self._parked.setdefault(cls, [])
        self._credit.setdefault(cls, 0.0)

    def leave(self, cls: Any) -> None:
        """One user less."""
        self._users[cls] -= 1

    def park(self, cls: Any, waiter: Waiter[float]) -> None:
        """This user waits."""
        self._parked[cls].append(waiter)
        self.count += 1

    def withdraw(self, cls: Any, waiter: Waiter[float]) -> bool:
        """Tell whether a user waited that is no more."""
        if waiter not in self._parked[cls]:
            return False
        self._parked[cls].remove(waiter)
        self.count -= 1
        return True

    def pop(self) -> Waiter[float]:
        """Return the next to go. There must be one."""
        self.count -= 1
        if len(self._parked) == 1:
            return next(iter(self._parked.values())).pop()
        total = sum(self._users.values()) or 1
        credit = self._credit
        for cls, users in self._users.items():
            # A class that could not go when it was its turn catches up, but not for ever.
            credit[cls] = min(credit[cls] + users / total, _CREDIT_MAX)
        best = max((cls for cls, parked in self._parked.items() if parked), key=credit.__getitem__)
        credit[best] -= 1.0
        return self._parked[best].pop()


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
        self.idle = Idle()
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

    def wait(self, cls: Any) -> None:
        """Park the user of class `cls` that runs until the next arrival is its own."""
        who = gevent.getcurrent()
        waiting = self._buckets.waiting.arrivals
        waiting.pop(who, None)  # The one before may have been a task without any request.
        if self._queue:
            intended_s = self._queue.popleft()
            lag_s = 0.0 if self._pool.is_full else time.perf_counter() - intended_s
        else:
            intended_s = self._park(cls)
            lag_s = time.perf_counter() - intended_s
        waiting[who] = intended_s
        self._buckets.released(intended_s, lag_s)

    def _park(self, cls: Any) -> float:
        waiter: Waiter[float] = Waiter()
        self.idle.park(cls, waiter)
        try:
            intended_s: float = waiter.get()
        except BaseException:
            if not self.idle.withdraw(cls, waiter):
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
        if self.idle.count:
            # Only the hub may switch it.
            gevent.get_hub().loop.run_callback(self.idle.pop().switch, intended_s)
        elif len(self._queue) < QUEUE_MAX:
            self._queue.append(intended_s)
        else:
            self._buckets.dropped()
        self._pool.need(self.idle.count, len(self._queue))
