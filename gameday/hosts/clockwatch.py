"""Watch the wall clock while a run goes on: a step of it is an event, and so is its bound at each phase.

Durations come from the monotonic clock and do not depend on it; the times in UTC do. Reading the bound
asks another process, so a thread of its own does it and posts what it found.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gameday.history.events import Phase
from gameday.hosts.clock import RunClock, boot_ns
from gameday.hosts.clockbound import read_clock
from gameday.hosts.inbox import Inbox

LOOK_EVERY_S = 1.0
STEP_NS = 50_000_000


def wall_minus_boot_ns() -> int:
    """Return how far the wall clock is from the monotonic one."""
    return time.time_ns() - boot_ns()


class ClockWatch:
    """Posts a `ClockRead` when it begins, when asked, and when the wall clock has stepped."""

    def __init__(
        self,
        clock: RunClock,
        inbox: Inbox,
        *,
        offset: Callable[[], int] = wall_minus_boot_ns,
        every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._clock = clock
        self._inbox = inbox
        self._offset = offset
        self._every_s = every_s
        self._asked = threading.Event()
        self._stopped = False
        self._phase: Phase | None = None
        self._thread = threading.Thread(target=self._watch, name="clock-watch", daemon=True)

    def start(self) -> None:
        """Begin watching."""
        self._asked.set()
        self._thread.start()

    def ask(self) -> None:
        """Have the clock read now. Does not wait."""
        self._asked.set()

    def in_phase(self, phase: Phase) -> None:
        """Have the clock read whenever a phase is new: each has the wall clock's bound. Does not wait."""
        if phase is not self._phase:
            self._phase = phase
            self.ask()

    def stop(self) -> None:
        """Stop watching. What is being read is not posted any more."""
        self._stopped = True
        self._asked.set()

    def _watch(self) -> None:
        before_ns = self._offset()
        while not self._stopped:
            is_asked = self._asked.wait(self._every_s)
            self._asked.clear()
            now_ns = self._offset()
            if not is_asked and abs(now_ns - before_ns) < STEP_NS:
                continue
            before_ns = now_ns
            event = read_clock()
            if not self._stopped:
                self._inbox.put((self._clock.now_ns(), event))
