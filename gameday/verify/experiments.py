"""What the Chaos Toolkit experiments of a plan came to, by their own status in the records."""

from __future__ import annotations

import json
from typing import Any

from .others import Other
from .run import PLAN, Run
from .strictjson import get, maybe

EXPERIMENT = "experiment"  # The kind of a plan that is one, and the type of a provider that carries one out.
_VERDICTS = {"completed": "pass", "failed": "fail"}


def is_experiment(run: Run) -> bool:
    """Tell whether the plan is one experiment: it has a hypothesis of its own, and no steady state."""
    return run.plan.get("kind") == EXPERIMENT


def experiments(run: Run) -> list[Other]:
    """Return for each experiment whether it completed without deviating."""
    return [_one(run, step) for step in run.steps if _carries_out(step)]


def _carries_out(step: dict[str, Any]) -> bool:
    do = maybe(step, "do", dict, PLAN)
    try:
        provider = json.loads(get(do, "provider", str, PLAN)) if do else None
    except (ValueError, RecursionError):
        return False
    return isinstance(provider, dict) and provider.get("type") == EXPERIMENT


def _one(run: Run, step: dict[str, Any]) -> Other:
    mine = [
        r for r in run.history.all("ExperimentEnded", "ActivityEnded") if r.data.get("step") == step["id"]
    ]
    ended = next((r.data for r in mine if r.kind == "ExperimentEnded"), None)
    activities = [r.data for r in mine if r.kind == "ActivityEnded"]
    if ended is not None:
        status = get(ended, "status", str, "ExperimentEnded")
        deviated = get(ended, "deviated", bool, "ExperimentEnded")
        verdict = "fail" if deviated else _VERDICTS.get(status, "unknown")
    else:
        verdict = "unknown" if step["id"] in run.started else "not_tested"
    numbers = {
        "activities": sum(a.get("name") != "hypothesis" for a in activities),
        "activities_failed": sum(a.get("status") == "failed" for a in activities),
    }
    return Other(f"experiment: {get(step, 'name', str, PLAN)}", verdict, numbers)
