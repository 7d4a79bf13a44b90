"""Look at plans without touching anything: validate, plan, schema, init."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from gameday.cli import exits
from gameday.cli.words import plan_words
from gameday.errors import PlanError, UsageError
from gameday.plan.load import load_plan
from gameday.plan.schema import json_schema
from gameday.plan.stored import plan_digest

_PARTS = ("experiments", "loadprofiles", "runbooks")


def carry_out(asked: argparse.Namespace) -> int:
    """Carry out one of this module's commands."""
    match asked.command:
        case "validate":
            return _validate(asked)
        case "plan":
            return _plan(asked)
        case "schema":
            print(json.dumps(json_schema(), indent=1))
            return exits.PASS
        case _:
            return _init(Path(asked.dir))


def _validate(asked: argparse.Namespace) -> int:
    rows, code = [], exits.PASS
    for name in asked.plans:
        try:
            plan = load_plan(Path(name))
        except PlanError as error:
            code = exits.USAGE
            rows += [
                {"file": p.file, "line": p.line, "column": p.column, "level": "error", "message": p.message}
                for p in error.problems
            ]
            if asked.format == "text":
                print(error, file=sys.stderr)
            continue
        rows += [
            {"file": name, "line": 1, "column": 1, "level": "warning", "message": w} for w in plan.warnings
        ]
        if asked.format == "text":
            for warning in plan.warnings:
                print(f"{name}: warning: {warning}")
            print(f"{name}: sound, {len(plan.steps)} steps, digest {plan_digest(plan)[:12]}")
    if asked.format == "json":
        print(json.dumps(rows, indent=1))
    return code


def _plan(asked: argparse.Namespace) -> int:
    plan = load_plan(Path(asked.plan))
    if asked.json:
        from gameday.canonical import to_json  # noqa: PLC0415 - only for this option

        print(json.dumps({"digest": plan_digest(plan), "plan": to_json(plan)}, indent=1, ensure_ascii=False))
    else:
        print("\n".join(plan_words(plan)))
    return exits.PASS


def _init(folder: Path) -> int:
    source = templates()
    for part in _PARTS:
        if (folder / part).exists():
            raise UsageError(
                f"{folder / part}: is there already; nothing was written", todo="Name another folder."
            )
    folder.mkdir(parents=True, exist_ok=True)
    for part in _PARTS:
        shutil.copytree(source / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".gitignore").write_text(".gameday/\nruns/\nregister/\n", encoding="utf-8")
    print(f"made {folder}: {', '.join(_PARTS)}. Now try `gameday drill` in it.")
    return exits.PASS


def templates() -> Path:
    """Return where the example drills are: beside the package, or in the checkout it is run from.

    Raises:
        UsageError: This installation has none.
    """
    package = Path(__file__).resolve().parents[1]
    for place in (package / "templates", package.parent):
        if (place / "experiments").is_dir():
            return place
    raise UsageError("this installation brings no example drills", todo="Install gameday again.")
