"""Every error a person may see, and what each one is not.

GameDayError
├── UsageError            the command line itself is wrong; nothing was touched (exit 2)
├── PlanError             the plan cannot be run as written; nothing was touched (exit 2)
├── Refused               the plan is sound but must not run here and now; nothing was touched (exit 3)
│   ├── TargetAbsent      the target or its identity cannot be found
│   ├── LeverUnreadable   nobody can tell how a safety lever stands
│   └── NotAuthorised     the target is there, yet policy, environment or a person says no
├── RecordError           a record is not in canonical form, or not what it claims to be
│   └── HistoryError      a history cannot be written, or is not whole
├── HostLost              a host ended before it replied; its effect is indeterminate
└── NotMeasured           a checker lacks data; becomes the verdict `unknown`, never `fail`

The message holds the place, the value and what was expected; `diagnostics()` adds what to do next.
A traceback is for our own defects only (exit 70).
"""

from __future__ import annotations

from typing import NamedTuple


class GameDayError(Exception):
    """Anything gameday says to a person on purpose. Not a defect of gameday."""

    exit_code = 70

    def __init__(self, message: str, *, todo: str = "") -> None:
        super().__init__(message)
        self.todo = todo

    def diagnostics(self) -> str:
        """Return the message and, on a line of its own, the next thing to do."""
        return f"{self}\n  {self.todo}" if self.todo else str(self)


class UsageError(GameDayError):
    """The command line is wrong. Not `PlanError`: no plan was read."""

    exit_code = 2


class Problem(NamedTuple):
    """One thing wrong with a file: where it stands and what was expected there.

    No dataclass: `gameday --help` would wait for the module that makes them, and for all it imports.
    """

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class PlanError(GameDayError):
    """The plan cannot be run as written; every problem found is listed at once."""

    exit_code = 2

    def __init__(self, problems: tuple[Problem, ...], *, todo: str = "") -> None:
        super().__init__("\n".join(str(problem) for problem in problems), todo=todo)
        self.problems = problems


class Refused(GameDayError):
    """The run was refused before any effect. Not a finding: nothing was tested."""

    exit_code = 3


class TargetAbsent(Refused):
    """The target cannot be found or does not answer. Not `NotAuthorised`: nobody said no."""


class NotAuthorised(Refused):
    """Policy, environment or a person forbids this run. The target may be perfectly fine."""


class LeverUnreadable(Refused):
    """Nobody can tell how a safety lever stands. Not engaged, and not released either."""


class RecordError(GameDayError):
    """A record is not canonical or not of the shape it claims."""

    exit_code = 2


class HistoryError(RecordError):
    """A history cannot be written or read back whole. No record, no injection."""


class HostLost(GameDayError):
    """A host ended before it replied. Not a kill: nobody asked it to end."""


class NotMeasured(GameDayError):
    """There is no data to judge by. Silence is not health."""
