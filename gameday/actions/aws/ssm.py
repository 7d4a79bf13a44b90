"""Systems Manager automation documents as steps of a runbook. An undo stops what still runs of one.

What a document has done stays done: a document that can take it back is a step of its own.

Source: AWS Systems Manager API Reference, StartAutomationExecution, StopAutomationExecution.
"""

from __future__ import annotations

import uuid
from typing import Any

from gameday.actions.aws.prior import Place, place
from gameday.actions.aws.session import Aws, wait_until
from gameday.actions.http import ActionError

__all__ = ["is_automation_owed", "run_automation", "stop_automation"]
OVER = (
    "Success",
    "Failed",
    "TimedOut",
    "Cancelled",
    "CompletedWithSuccess",
    "CompletedWithFailure",
    "Exited",
)
WELL = ("Success", "CompletedWithSuccess")
TAG = "gameday"


def run_automation(
    account: str,
    region: str,
    document: str,
    parameters: dict[str, list[str]] | None = None,
    version: str = "",
    within_s: float = 900.0,
    profile: str = "",
) -> dict[str, str]:
    """Run an automation document to its end, and say how each of its steps went.

    Raises:
        ActionError: Refused, it did not succeed, or it is not over in time.
    """
    aws = Aws(account, region, profile)
    where, token = _place(aws, document), str(uuid.uuid4())
    with where.changing({"token": token}) as known:
        given: dict[str, Any] = {"DocumentVersion": version} if version else {}
        if parameters:
            given["Parameters"] = {
                key: [str(v) for v in (value if isinstance(value, list) else [value])]
                for key, value in parameters.items()
            }
        tags = [{"Key": TAG, "Value": token}]
        name = aws.write(
            "ssm", "StartAutomationExecution", DocumentName=document, ClientToken=token, Tags=tags, **given
        )["AutomationExecutionId"]
        known["id"] = name
    last = _wait_over(aws, name, within_s)
    if last["AutomationExecutionStatus"] not in WELL:
        raise ActionError(f"automation {_log(last)}")
    return aws.says(f"automation {_log(last)}")


def stop_automation(
    account: str, region: str, document: str, within_s: float = 120.0, profile: str = ""
) -> dict[str, str]:
    """Stop the automation that a step of ours started, where it still runs.

    Raises:
        ActionError: Refused, or it is not over in time.
    """
    aws = Aws(account, region, profile)
    where = _place(aws, document)
    name = _ours(aws, document)
    said = "no automation was started"
    if name:
        if _execution(aws, name)["AutomationExecutionStatus"] not in OVER:
            aws.write("ssm", "StopAutomationExecution", AutomationExecutionId=name, Type="Cancel")
        said = f"automation {_log(_wait_over(aws, name, within_s))}"
    where.undone()
    return aws.says(said)


def is_automation_owed(account: str, region: str, document: str, profile: str = "") -> bool:
    """Tell whether an automation of ours was started and not yet settled by its undo, or runs."""
    aws = Aws(account, region, profile)
    aws.read("ssm", "DescribeDocument", Name=document)
    return bool(_ours(aws, document))


def _place(aws: Aws, document: str) -> Place:
    return place("ssm", aws.account, aws.region, document)


def _ours(aws: Aws, document: str) -> str:
    known = _place(aws, document).owed()
    if not known or "id" in known:
        return str(known.get("id", ""))
    filters = [{"Key": "TagKey", "Values": [TAG]}, {"Key": "DocumentNamePrefix", "Values": [document]}]
    found = aws.all("ssm", "DescribeAutomationExecutions", "AutomationExecutionMetadataList", Filters=filters)
    for one in found:
        name = str(one["AutomationExecutionId"])
        if one["AutomationExecutionStatus"] not in OVER and _has_tag(aws, name, known["token"]):
            return name
    return ""


def _has_tag(aws: Aws, name: str, token: str) -> bool:
    """Tell whether an automation carries our own token: others of gameday may run beside it."""
    found = aws.read("ssm", "ListTagsForResource", ResourceType="Automation", ResourceId=name)
    return {"Key": TAG, "Value": token} in found["TagList"]


def _execution(aws: Aws, name: str) -> dict[str, Any]:
    found = aws.read("ssm", "GetAutomationExecution", AutomationExecutionId=name)
    return dict(found["AutomationExecution"])


def _wait_over(aws: Aws, name: str, within_s: float) -> dict[str, Any]:
    last: dict[str, Any] = {}

    def is_over() -> bool:
        nonlocal last
        last = _execution(aws, name)
        return last["AutomationExecutionStatus"] in OVER

    wait_until(is_over, within_s, f"automation {name} was not over")
    return last


def _log(execution: dict[str, Any]) -> str:
    words = [f"{execution['AutomationExecutionId']} {execution['AutomationExecutionStatus']}"]
    words += [f"{s['StepName']}: {s['StepStatus']}" for s in execution.get("StepExecutions") or ()]
    if execution.get("FailureMessage"):
        words.append(str(execution["FailureMessage"])[:120])
    return "; ".join(words)
