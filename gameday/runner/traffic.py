"""What sends requests of its own in a run: its loads, armed one by one, and the ledger's writer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from gameday.history.redact import Redactor
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import Inbox
from gameday.hosts.ledger import LedgerWriter
from gameday.hosts.load import LoadHost
from gameday.plan.model import Plan

ARM_S = 30.0


def armed_loads(
    plan: Plan, *, project: Path, folder: Path, clock: RunClock, inbox: Inbox, stack: ExitStack
) -> Iterator[tuple[str, LoadHost]]:
    """Arm each load and return it with its name; `stack` ends them.

    Raises:
        Refused: One of them cannot be armed.
    """
    for load in plan.load:
        where = folder / "hosts" / f"load-{load.name}"
        host = LoadHost(load, project=project, folder=where, clock=clock, inbox=inbox)
        stack.callback(host.close)
        host.arm(ARM_S)
        yield load.name, host


def ledger_writer(
    plan: Plan, folder: Path, clock: RunClock, inbox: Inbox, redact: Redactor
) -> LedgerWriter | None:
    """Return the writer of the plan's ledger; None where it has none."""
    if plan.ledger is None:
        return None
    path = folder / "segments" / "ledger.jsonl"
    return LedgerWriter(plan.ledger, run=folder.name, path=path, clock=clock, inbox=inbox, redact=redact)
