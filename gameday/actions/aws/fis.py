"""Fault Injection Service: experiments started, watched, and stopped on a halt, with their log.

FIS has its own durations and its own stop conditions: an experiment ends by itself whoever is dead by
then. It is found again by its tag, so that one whose start was never answered is stopped all the same.

Source: AWS FIS API Reference, StartExperiment, StopExperiment, GetExperiment.
"""

from __future__ import annotations

import uuid
from typing import Any

from gameday.actions.aws.prior import Place, place
from gameday.actions.aws.session import Aws, wait_until
from gameday.actions.http import ActionError

__all__ = ["is_running", "start_experiment", "stop_experiment", "wait_experiment"]
TAG = "gameday"
LIVE = ("pending", "initiating", "running")
WITHIN_S = 3600.0


def start_experiment(account: str, region: str, template: str, profile: str = "") -> dict[str, str]:
    """Start an experiment from a template; `wait_experiment` watches it, the undo stops it.

    Raises:
        ActionError: Refused, or there is no such template.
    """
    aws = Aws(account, region, profile)
    aws.read("fis", "GetExperimentTemplate", id=template)
    where, token = _place(aws, template), str(uuid.uuid4())
    with where.changing({"token": token}) as known:
        made = aws.write(
            "fis", "StartExperiment", clientToken=token, experimentTemplateId=template, tags={TAG: token}
        )["experiment"]
        known["id"] = made["id"]
    return aws.says(f"experiment {_log(made)}")


def wait_experiment(
    account: str, region: str, template: str, within_s: float = WITHIN_S, profile: str = ""
) -> dict[str, str]:
    """Wait until the experiment that a step of ours started has completed, and say how each action went.

    Raises:
        ActionError: It was stopped or failed, there is none, or it is not over in time.
    """
    aws = Aws(account, region, profile)
    found = _ours(aws, template)
    if not found:
        raise ActionError(f"no step has started an experiment from template {template}")
    last = found

    def is_over() -> bool:
        nonlocal last
        last = _experiment(aws, found["id"])
        return last["state"]["status"] not in (*LIVE, "stopping")

    wait_until(is_over, within_s, f"experiment {found['id']} was not over")
    if last["state"]["status"] != "completed":
        raise ActionError(f"experiment {_log(last)}")
    return aws.says(f"experiment {_log(last)}")


def stop_experiment(
    account: str, region: str, template: str, within_s: float = 120.0, profile: str = ""
) -> dict[str, str]:
    """Stop the experiment that a step of ours started, and say how far it came. Harmless when it is over.

    Raises:
        ActionError: Refused, or it is not over in time.
    """
    aws = Aws(account, region, profile)
    where, found = _place(aws, template), _ours(aws, template)
    if found and found["state"]["status"] in LIVE:
        aws.write("fis", "StopExperiment", id=found["id"])
    if found:
        name = found["id"]
        wait_until(
            lambda: _experiment(aws, name)["state"]["status"] not in (*LIVE, "stopping"), within_s,
            f"experiment {name} was not over",
        )  # fmt: skip
        found = _experiment(aws, name)
    where.undone()
    return aws.says(f"experiment {_log(found)}" if found else "no experiment was started")


def is_running(account: str, region: str, template: str, profile: str = "") -> bool:
    """Tell whether the experiment that a step of ours started runs, or is still stopping."""
    aws = Aws(account, region, profile)
    aws.read("fis", "GetExperimentTemplate", id=template)
    found = _ours(aws, template)
    return bool(found) and found["state"]["status"] in (*LIVE, "stopping")


def _place(aws: Aws, template: str) -> Place:
    return place("fis", aws.account, aws.region, template)


def _ours(aws: Aws, template: str) -> dict[str, Any]:
    """Return the experiment that a step of ours started; looked for by its tag when its id never came."""
    known = _place(aws, template).owed()
    if not known:
        return {}
    if "id" in known:
        return _experiment(aws, known["id"])
    found = aws.all("fis", "ListExperiments", "experiments")
    for one in found:
        if (one.get("tags") or {}).get(TAG) == known["token"]:
            return _experiment(aws, one["id"])
    return {}


def _experiment(aws: Aws, name: str) -> dict[str, Any]:
    return dict(aws.read("fis", "GetExperiment", id=name)["experiment"])


def _log(experiment: dict[str, Any]) -> str:
    """Return state, reason, and state of each action on one line."""
    state = experiment["state"]
    words = [f"{experiment['id']} {state['status']}"]
    if state.get("reason") and state["status"] != "completed":
        words.append(str(state["reason"])[:80])
    for name, action in sorted((experiment.get("actions") or {}).items()):
        words.append(f"{name}: {(action.get('state') or {}).get('status', 'unknown')}")
    return "; ".join(words)
