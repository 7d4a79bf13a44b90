"""Which function carries out which command."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from pathlib import Path
from typing import Any

from gameday.cli import exits
from gameday.cli.asked import operator, project_here, run_here
from gameday.cli.help_around import AROUND


def carry_out(asked: argparse.Namespace) -> int:
    """Carry out one parsed command and return its exit code.

    Raises:
        GameDayError: Something a person should know and mend.
    """
    match asked.command:
        case "validate" | "plan" | "schema" | "init" | "new" | "brief" | "notify" | "runbook" | "writeup":
            return _prepare(asked)
        case "run" | "drill" | "recover":
            from gameday.cli import drills  # noqa: PLC0415

            return drills.carry_out(asked)
        case "seal" | "signoff" | "register":
            from gameday.cli import records  # noqa: PLC0415

            return records.carry_out(asked)
        case "doctor" | "actions":
            return _tell(asked)
        case "approve":
            from gameday.cli import people  # noqa: PLC0415

            return people.approve(asked)
        case "done" | "failed":
            from gameday.cli import people  # noqa: PLC0415

            return people.report(asked)
        case "export" | "finding" | "coverage" | "scorecard" | "readiness":
            from gameday.cli import evidence  # noqa: PLC0415

            return evidence.carry_out(asked)
        case "load":
            from gameday.cli.loads import load  # noqa: PLC0415

            return load(asked)
        case "halt" | "note" | "mark" | "lever" | "publish" | "console":
            return _operate(asked)
        case _:
            return _look(asked)


def _prepare(asked: argparse.Namespace) -> int:
    """Carry out what is done at a desk, before a drill or after it."""
    if asked.command in AROUND:
        from gameday.cli import around  # noqa: PLC0415 - each command pays only for itself

        return around.carry_out(asked)
    looks = gc.isenabled()
    gc.disable()  # What reading a plan makes stays: to look for cycles in it is a tenth of the time.
    try:
        from gameday.cli import plans  # noqa: PLC0415 - as above

        return plans.carry_out(asked)
    finally:
        if looks:
            gc.enable()


def _tell(asked: argparse.Namespace) -> int:
    if asked.command == "actions":
        from gameday.cli.actions import actions  # noqa: PLC0415 - each command pays only for itself

        return actions(asked)
    from gameday.cli.doctor import doctor  # noqa: PLC0415

    return doctor(as_json=asked.json)


def _operate(asked: argparse.Namespace) -> int:
    if asked.command == "lever":
        from gameday.cli.levers import lever  # noqa: PLC0415 - each command pays only for itself

        return lever(asked)
    if asked.command == "publish":
        from gameday.cli.publishing import publish  # noqa: PLC0415 - as above

        return publish(asked)
    if asked.command == "console":
        from gameday.cli.webconsole import console  # noqa: PLC0415 - as above

        return console(asked)
    from gameday.runner.control import ask  # noqa: PLC0415

    run_dir = run_here(asked.run)
    if asked.command == "halt":
        reply = ask(run_dir, "halt", by=operator(asked), text=asked.reason)
        how = f"put down {reply['file']}, which it obeys within a second" if "file" in reply else "asked it"
        print(f"halting {run_dir.name}: {how}; it undoes its faults and says so in its own terminal")
    elif asked.command == "mark":
        ask(run_dir, "note", by=operator(asked), mark=asked.mark)
        print(f"marked as {asked.mark} in {run_dir.name}")
    else:
        ask(run_dir, "note", by=operator(asked), text=asked.text)
        print(f"noted in {run_dir.name}")
    return exits.PASS


def _look(asked: argparse.Namespace) -> int:
    if asked.command == "runs":
        from gameday.runner.listing import list_runs  # noqa: PLC0415

        return _runs(list_runs(project_here()), as_json=asked.json)
    run_dir = run_here(asked.run)
    if asked.command == "report":
        from gameday.runner.conclude import REPORT, conclude  # noqa: PLC0415

        conclude(run_dir)
        print(run_dir / REPORT)
        return exits.PASS
    return _findings(run_dir, as_json=asked.json, is_check=asked.command == "check")


def _runs(runs: list[Any], *, as_json: bool) -> int:
    if as_json:
        rows = [
            {"path": str(r.path), "plan": r.plan, "started": r.started_utc, "outcome": r.outcome,
             "verdict": r.verdict}
            for r in runs
        ]  # fmt: skip
        print(json.dumps(rows, indent=1))
        return exits.PASS
    if not runs:
        print("no runs here yet: `gameday run PLAN` makes the first")
    for r in runs:
        print(f"{r.started_utc}  {r.plan:24} {r.outcome:10} {r.verdict:11} {r.name}")
    return exits.PASS


def _findings(run_dir: Path, *, as_json: bool, is_check: bool) -> int:
    """Recompute the findings of a run and show them; the exit code is that of the run.

    `check` also holds them against findings.json, and fails when that is not the same to the byte.
    """
    from gameday.checkers.document import as_document  # noqa: PLC0415
    from gameday.console.summary import summary_lines  # noqa: PLC0415
    from gameday.evidence.compared import differences  # noqa: PLC0415
    from gameday.history.read import read_records  # noqa: PLC0415
    from gameday.runner.conclude import conclude, recompute  # noqa: PLC0415
    from gameday.runner.listing import outcome_of  # noqa: PLC0415

    document = as_document(recompute(run_dir))
    outcome = outcome_of(read_records(run_dir))
    differing = differences(run_dir, document) if outcome != "running" else []
    if differing is None:
        conclude(run_dir)  # Nobody has written them down yet: its runner died.
    if outcome == "running":
        document["outcome"] = outcome
    if as_json:
        print(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        print("\n".join(summary_lines(document, run_dir, colour=sys.stdout.isatty())))
    if not is_check or outcome == "running":
        return exits.code_of(document)
    return _held_against(differing, exits.code_of(document))


def _held_against(differing: list[str] | None, code: int) -> int:
    """Say whether findings.json is what was recomputed; beside the document, which goes to the output."""
    said = "findings.json is the same, byte for byte"
    if differing is None:
        said = "findings.json was not there; it is now"
    elif differing:
        said = "findings.json is NOT what the history gives:\n  " + "\n  ".join(differing)
        said += "\n  `gameday report` writes it anew; ask first who changed it, or which version wrote it."
    print(said, file=sys.stderr)
    return exits.FAIL if differing else code
