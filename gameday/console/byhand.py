"""What is stuck in a run, and the command by which a person takes it back."""

from __future__ import annotations

from pathlib import Path

from gameday.errors import GameDayError
from gameday.evidence.byhand import commands
from gameday.history.read import read_records
from gameday.plan.stored import read_plan


def by_hand(run_dir: Path, steps: list[str]) -> list[tuple[str, str]]:
    """Return (name of the fault, command) for each of the steps for which one is known.

    A run that cannot be read has none: what is said about it must not fail for that.
    """
    try:
        plan = read_plan(run_dir)
        known = commands(plan, read_records(run_dir))
    except (GameDayError, OSError):
        return []
    return [(step.name, known[step.id]) for step in plan.steps if step.id in steps and step.id in known]
