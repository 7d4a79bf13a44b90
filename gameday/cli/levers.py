"""The safety levers from the command line: engage, release, status."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gameday.cli import exits
from gameday.cli.asked import operator, project_here
from gameday.errors import LeverUnreadable, UsageError
from gameday.runner.lever import AnyLever, Lever, ObjectLever, project_lever, shared_levers


def lever(asked: argparse.Namespace) -> int:
    """Engage, release or show the levers: this project's, and with --shared those of its policy.

    Raises:
        UsageError: Something is missing on the command line, or there is no project here.
        Refused: A lever cannot be written.
    """
    project = project_here()
    levers: list[Lever | ObjectLever] = [project_lever(project)]
    if asked.shared:
        levers = [item for item in _named(project, asked) if isinstance(item, Lever | ObjectLever)]
        if not levers:
            raise UsageError(
                "lever: the policy names no shared lever that is a file or an S3 object",
                todo="Name one under `levers:`; a lever behind a URL is engaged by whoever serves it.",
            )
    if asked.do == "status":
        return _status(project, asked)
    by = operator(asked)
    if asked.do == "engage":
        if not asked.reason:
            raise UsageError("lever engage: --reason is missing", todo="Say why; it is shown to everybody.")
        for item in levers:
            item.engage(by=by, reason=asked.reason)
        print(f"the safety lever is engaged: running drills halt, new ones are refused: {_files(levers)}")
        return exits.PASS
    were = [item.release(by=by) for item in levers]
    was = "is released" if any(were) else "was not engaged"
    print(f"the safety lever {was}: {_files(levers)}")
    return exits.PASS


def _files(levers: list[Lever | ObjectLever]) -> str:
    """Name the files, so that nobody trusts a lever that no drill reads."""
    return ", ".join(item.name for item in levers)


def _named(project: Path, asked: argparse.Namespace) -> tuple[AnyLever, ...]:
    from gameday.plan.policyfile import find_policy  # noqa: PLC0415 - to engage must be quick

    return shared_levers(find_policy(project, asked.policy))


def _status(project: Path, asked: argparse.Namespace) -> int:
    """Say how each lever stands. The first that is engaged, or cannot be read, decides."""
    rows = []
    for item in (project_lever(project), *_named(project, asked)):
        try:
            reason, readable = item.read(), True
        except LeverUnreadable as error:
            reason, readable = f"{error}; nothing starts", False
        rows.append({"lever": item.name, "engaged": bool(reason), "readable": readable, "reason": reason})
    engaged = [row for row in rows if row["engaged"]]
    if asked.json:
        reason = str(engaged[0]["reason"]) if engaged else ""
        print(json.dumps({"engaged": bool(engaged), "reason": reason, "levers": rows}))
        return exits.PASS
    for row in engaged or rows[:1]:
        said = f"the safety lever is {row['reason'] or 'released'} ({row['lever']})"
        print(said if row["readable"] else row["reason"])
    return exits.PASS
