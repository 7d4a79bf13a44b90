"""The exact commands by which a person takes back what is stuck, with this run's own values in them."""

from __future__ import annotations

from gameday.history.events import TargetsResolved
from gameday.history.record import Trace
from gameday.plan.bind import fill
from gameday.plan.model import Plan


def commands(plan: Plan, trace: Trace) -> dict[str, str]:
    """Return the command of each step that has one, by the step's id.

    Args:
        plan: The plan, as it lies in the run folder.
        trace: The history, which knows what was found at arming. A value that it lacks stays as written.
    """
    found = trace.first(TargetsResolved)
    values = dict(found.values) if found is not None else {}
    return {step.id: fill(step.manual_command, values) for step in plan.steps if step.manual_command}
