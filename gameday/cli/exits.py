"""Exit codes, first that applies. A shell, a pipeline and a pager rely on them."""

from __future__ import annotations

from typing import Any

DEFECT, PERSON, USAGE, REFUSED, FAIL, UNKNOWN, PASS = 70, 5, 2, 3, 1, 4, 0


def exit_code(*, verdict: str, outcome: str, stuck: bool, failed_over: bool, interrupted: bool) -> int:
    """Return the exit code of a run.

    Args:
        verdict: pass, fail, unknown or not_tested.
        outcome: completed, halted, crashed or refused.
        stuck: An undo did not work; a person is needed.
        failed_over: The run ended failed over, with fail-back not done.
        interrupted: A person ended it.
    """
    if stuck or failed_over:
        return PERSON
    if outcome == "refused":
        return REFUSED
    if verdict == "fail":
        return FAIL
    if interrupted or outcome == "crashed" or verdict in ("unknown", "not_tested"):
        return UNKNOWN
    return PASS


def code_of(document: dict[str, Any]) -> int:
    """Return the exit code that a run's findings call for."""
    return exit_code(
        verdict=document["verdict"],
        outcome=document["outcome"],
        stuck=bool(document["stuck"]),
        failed_over=document["failed_over"],
        interrupted=str(document["halted_by"] or "").startswith("operator"),
    )
