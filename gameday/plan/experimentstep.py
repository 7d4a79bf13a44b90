"""How to tell that a plan, or a step of it, is a Chaos Toolkit experiment. Light: hosts and views ask too."""

from __future__ import annotations

import json
from typing import Any

from gameday.plan.model import Activity, Plan

KIND = "experiment"
PROVIDER = "experiment"
JOURNAL = "journal.json"


def is_experiment(plan: Plan) -> bool:
    """Tell whether a plan is one experiment. No native plan can be of its kind."""
    return plan.kind == KIND


def experiment_in(activity: Activity | None) -> dict[str, Any] | None:
    """Return the provider of an activity that carries out an experiment; None of any other."""
    if activity is None or f'"type":"{PROVIDER}"' not in activity.provider:
        return None
    found = json.loads(activity.provider)
    return found if isinstance(found, dict) and found.get("type") == PROVIDER else None


def without_undo(plan: Plan) -> tuple[str, ...]:
    """Return the experiments of a plan that act, and whose actions nothing takes back."""
    found = []
    for step in plan.steps:
        provider = experiment_in(step.do)
        if provider is not None and provider["acts"] and step.undo is None:
            found.append(step.name)
    return tuple(found)
