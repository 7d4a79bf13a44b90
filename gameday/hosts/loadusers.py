"""What happens to the user classes of an unmodified Locust file: the gate, and an ear for who dies.

Nothing that a file does may end in silence: a first user that cannot start, a task that calls
`sys.exit`, users that die one after another. Each is said in one line, with its place in the file.
"""

from __future__ import annotations

import os
import traceback
from typing import Any

import gevent

ON_START = "(on_start)"
SAID_MAX = 5


class Users:
    """Prepares user classes, and knows how their users fare."""

    def __init__(self, buckets: Any, pool: Any, gate: Any, profile: str) -> None:
        """Make it; `gate` is None in a closed loop."""
        self._buckets = buckets
        self._pool = pool
        self._gate = gate
        self._profile = profile
        self._has_users = False
        self._said: set[str] = set()

    def prepare(self, classes: Any) -> str:
        """Put the gate in front of the tasks of all users; return what stands against it."""
        from locust import TaskSet, User  # noqa: PLC0415 - after Locust's patching
        from locust.user.users import DefaultTaskSet  # type: ignore[attr-defined] # noqa: PLC0415

        own = [cls for cls in classes if cls.run is not User.run]
        if own and self._gate is not None:
            return f"{own[0].__name__} has a run() of its own, which no rate can be put on: give it `users`"
        for cls in {next(c for c in cls.__mro__ if "run" in vars(c)) for cls in (User, *own)}:
            cls.run = self._guarded(cls.run)
        if self._gate is not None:
            TaskSet.wait = _gated(self._gate)  # type: ignore[method-assign] # A task set may have a wait_time too.
        # A user's own task set runs when its on_start has ended.
        default: Any = DefaultTaskSet
        default.run = self._first(default.run)
        return ""

    def _guarded(self, ran: Any) -> Any:
        def run(user: Any) -> None:
            try:
                ran(user)
            except (Exception, SystemExit) as error:
                began = getattr(user, "_gameday_began", False)
                if isinstance(error, SystemExit):
                    where = "a task" if began else "on_start"
                    self.give_up(f"{where} called sys.exit({error.code!r})", error)
                elif not began:
                    self._not_started(error)
                raise

        return run

    def _first(self, ran: Any) -> Any:
        def run(tasks: Any) -> None:
            tasks.user._gameday_began = self._has_users = True
            cls = type(tasks.user)
            self._pool.parked += 1
            gevent.getcurrent().rawlink(lambda _: self._left(cls))
            if self._gate is not None:
                self._gate.idle.come(cls)
                tasks.wait()  # No burst when users appear: each waits for an arrival of its own.
            ran(tasks)

        return run

    def _left(self, cls: Any) -> None:
        self._pool.parked -= 1
        if self._gate is not None:
            self._gate.idle.leave(cls)

    def _not_started(self, error: Exception) -> None:
        if not self._has_users:  # Later ones may fail because the target does.
            self.give_up(f"its first user failed in on_start: {type(error).__name__}: {error}", error)
        self._buckets.failed("on-start", ON_START)
        reason = place_of(f"{type(error).__name__}: {error}", error.__traceback__, self._profile)
        if self._gate is None and reason not in self._said and len(self._said) < SAID_MAX:
            self._said.add(reason)  # A closed loop without them is a smaller load.
            self._buckets.say({"state": "short", "detail": f"a user ended in on_start: {reason}"})

    def on_error(self, user_instance: Any, **_: Any) -> None:
        """Count a task that raised (Locust's `user_error` event)."""
        from locust import User  # noqa: PLC0415 - see above

        if not isinstance(user_instance, User):  # A user in on_start is counted there.
            self._buckets.failed("exception")

    def give_up(self, reason: str, error: BaseException) -> None:
        """Say why there can be no load, and end."""
        self._buckets.flush()
        self._buckets.say({"failed": place_of(reason, error.__traceback__, self._profile)})
        os._exit(3)


def _gated(gate: Any) -> Any:
    """Return a `TaskSet.wait` that waits for the next arrival instead of the file's own think time."""
    from locust.exception import StopUser  # noqa: PLC0415 - see above
    from locust.user.task import (  # noqa: PLC0415
        LOCUST_STATE_RUNNING,
        LOCUST_STATE_STOPPING,
        LOCUST_STATE_WAITING,
    )

    def wait(tasks: Any) -> None:
        user = tasks.user
        if user._state == LOCUST_STATE_STOPPING:
            raise StopUser
        user._state = LOCUST_STATE_WAITING
        gate.wait(type(user))
        if user._state == LOCUST_STATE_STOPPING:
            raise StopUser
        user._state = LOCUST_STATE_RUNNING

    return wait


def place_of(reason: str, trace: Any, profile: str) -> str:
    """Return a reason in one line, with the line of the file that it comes from."""
    lines = [frame.lineno for frame in traceback.extract_tb(trace) if frame.filename == profile]
    place = f"line {lines[-1]}: " if lines else ""
    return f"{place}{' '.join(reason.split())}"[:500]
