"""What earlier runs of a project may have left in the world: undos that are owed, or stuck."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from gameday.errors import GameDayError
from gameday.history.events import StepStarted
from gameday.history.read import read_records
from gameday.history.store import HISTORY
from gameday.plan.stored import read_plan
from gameday.runner.folder import run_dirs
from gameday.runner.listing import outcome_of
from gameday.runner.takeover import fold

TAIL = 1 << 16


@dataclass(frozen=True, slots=True)
class Leftover:
    """A run that owes something, and what."""

    run: str
    reason: str


def leftovers(project: Path) -> tuple[Leftover, ...]:
    """Return the runs of a project that left something behind, or may have. A live run is none."""
    found = []
    for run_dir in run_dirs(project):
        reason = _owes(run_dir)
        if reason:
            found.append(Leftover(run_dir.relative_to(project).as_posix(), reason))
    return tuple(found)


def _owes(run_dir: Path) -> str:
    stuck = _stuck_at_end(run_dir / HISTORY)
    if stuck is not None:
        return f"ended with its undo stuck: {', '.join(stuck)}" if stuck else ""
    try:
        trace = read_records(run_dir)
        if not any(isinstance(record.event, StepStarted) for record in trace.records):
            return ""
        if outcome_of(trace) == "running":
            return ""
        state = fold(read_plan(run_dir), trace)
    except (GameDayError, AssertionError, KeyError) as error:
        return f"cannot be read ({error}), so nobody can tell what it left"
    names = [owed.step for owed in state.owed] + [undo.step for undo in state.undoing] + list(state.stuck)
    return f"crashed, and still owes the undo of {', '.join(dict.fromkeys(names))}" if names else ""


def _stuck_at_end(history: Path) -> tuple[str, ...] | None:
    """Return what was stuck when a run ended; None when it has not ended. Reads the last line alone."""
    try:
        with history.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - TAIL, 0))
            lines = file.read().split(b"\n")
        last = json.loads(lines[-2])
        if last["kind"] != "RunEnded":
            return None
        return tuple(str(name) for name in last["data"]["stuck"])
    except (OSError, ValueError, IndexError, KeyError, TypeError):
        return None
