"""The exact commands by which a person takes back what is stuck, with this run's own values in them."""

from __future__ import annotations

from pathlib import Path

from gameday.errors import GameDayError
from gameday.history.events import TargetsResolved
from gameday.history.read import read_records
from gameday.plan.bind import bind
from gameday.plan.stored import read_plan


def by_hand(run_dir: Path, steps: list[str]) -> list[tuple[str, str]]:
    """Return (name of the fault, command) for each of the steps for which one is known.

    A run that cannot be read has none: what is said about it must not fail for that.
    """
    try:
        plan = read_plan(run_dir)
        events = [record.event for record in read_records(run_dir).records]
        found = next((event for event in events if isinstance(event, TargetsResolved)), None)
        plan = bind(plan, dict(found.values)) if found is not None else plan
    except (GameDayError, OSError):
        return []
    return [
        (step.name, step.manual_command) for step in plan.steps if step.id in steps and step.manual_command
    ]
