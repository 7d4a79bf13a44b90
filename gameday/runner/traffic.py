"""What sends requests of its own in a run: its loads, armed one by one, and the ledger's writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from gameday.history.redact import Redactor
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import Inbox
from gameday.hosts.ledgers import Ledgers
from gameday.hosts.loadcrew import LoadCrew
from gameday.plan.model import Plan

ARM_S = 30.0


def armed_loads(
    plan: Plan, *, project: Path, folder: Path, clock: RunClock, inbox: Inbox, stack: ExitStack
) -> Iterator[tuple[str, LoadCrew]]:
    """Arm each load and return it with its name; `stack` ends them.

    Raises:
        Refused: One of them cannot be armed.
    """
    for load in plan.load:
        where = folder / "hosts" / f"load-{load.name}"
        crew = LoadCrew(load, project=project, folder=where, clock=clock, inbox=inbox)
        stack.callback(crew.close)
        crew.arm(ARM_S)
        yield load.name, crew


def armed_ledgers(
    plan: Plan,
    project: Path,
    folder: Path,
    clock: RunClock,
    inbox: Inbox,
    redact: Redactor,
    stack: ExitStack,
    started: Callable[[str, str, int], None],
) -> Ledgers | None:
    """Return the writers of the plan's ledgers, their stores ready; None where it has none.

    `started` is told name, role and pid of each process that was started for them.

    Raises:
        Refused: A store is not ready; nothing was written.
    """
    if not plan.ledgers:
        return None
    ledgers = Ledgers(plan.ledgers, folder=folder, project=project, clock=clock, inbox=inbox, redact=redact)
    stack.callback(ledgers.stop)
    for name, pid in ledgers.pids():
        started(name, "ledger", pid)
    return ledgers
