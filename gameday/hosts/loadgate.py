"""The arrival gate: an open loop for unmodified Locust files. Runs inside the load host.

Locust's users are a closed loop: when the target stalls, they wait, and nobody arrives. Here users
are only a pool. A scheduler releases one task for each intended arrival, whatever the target does;
latency counts from the intended time, so nothing is omitted. When no user is free the pool grows to
its limit; beyond it arrivals wait in a queue, and when that is full they are dropped and counted.
"""

from __future__ import annotations

import collections
import time
from typing import Any

import gevent
from gevent.event import Event
from gevent.hub import Waiter

LATE_S = 0.1
QUEUE_MAX = 10_000


class Gate:
    """Installed as `wait_time` of every user class; `rate` may change at any instant."""

    def __init__(self, buckets: Any) -> None:
        self._buckets = buckets
        self._idle: list[Waiter] = []
        self._queue: collections.deque[float] = collections.deque()
        self._rate = 0.0
        self._changed = Event()
        self.grow: Any = None
        gevent.spawn(self._run)

    def set_rate(self, rate: float) -> None:
        """Release `rate` arrivals a second from now on."""
        self._rate = rate
        self._changed.set()

    def wait(self, user: Any) -> float:
        """Park a user until the next arrival is its own. Returns 0: there is no more to wait."""
        user._gameday_intended_s = None
        if self._queue:
            intended_s = self._queue.popleft()
        else:
            waiter = Waiter()
            self._idle.append(waiter)
            try:
                intended_s = waiter.get()
            except BaseException:
                if waiter in self._idle:
                    self._idle.remove(waiter)
                raise
        self._buckets.released(intended_s)
        user._gameday_intended_s = intended_s
        return 0.0

    def _run(self) -> None:
        due_s = time.perf_counter()
        while True:
            if self._rate <= 0:
                self._changed.wait()
                self._changed.clear()
                due_s = time.perf_counter()
                continue
            now_s = time.perf_counter()
            while due_s <= now_s:
                self._release(due_s)
                due_s += 1.0 / self._rate
            self._changed.clear()
            # A change of rate wakes the scheduler, so that it acts at once.
            if self._changed.wait(max(due_s - time.perf_counter(), 0.0)):
                due_s = min(due_s, time.perf_counter() + (1.0 / self._rate if self._rate > 0 else 0.0))

    def _release(self, intended_s: float) -> None:
        self._buckets.intended()
        if self._idle:
            # The last to park goes first, which keeps connections warm. Only the hub may switch it.
            gevent.get_hub().loop.run_callback(self._idle.pop().switch, intended_s)
            return
        if len(self._queue) < QUEUE_MAX:
            self._queue.append(intended_s)
        else:
            self._buckets.dropped()
        if self.grow is not None:
            self.grow()
