"""Look at plans without touching anything: validate, plan, schema, init."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from gameday.cli import exits
from gameday.cli.asked import writing
from gameday.cli.experimentoptions import options_of
from gameday.errors import PlanError, UsageError
from gameday.plan.load import find_project, load_plan
from gameday.plan.model import Plan
from gameday.plan.stored import plan_digest

_PARTS = ("experiments", "loadprofiles", "runbooks")
_IGNORED = (".gameday/", "runs/", "register/")


def carry_out(asked: argparse.Namespace) -> int:
    """Carry out one of this module's commands."""
    match asked.command:
        case "validate":
            return _validate(asked)
        case "plan":
            return _plan(asked)
        case "schema":
            from gameday.plan.schema import json_schema  # noqa: PLC0415 - only for this command

            print(json.dumps(json_schema(), indent=1))
            return exits.PASS
        case _:
            with writing(Path(asked.dir)):
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
    from gameday.plan.permit import judge  # noqa: PLC0415 - `validate` must not wait for the policy's schema
    from gameday.plan.policy import policy_digest  # noqa: PLC0415 - as above
    from gameday.plan.policyfile import find_policy  # noqa: PLC0415 - as above

    path = Path(asked.plan)
    project = find_project(path)
    policy, now = find_policy(project, asked.policy), datetime.now(UTC)
    plan = load_plan(path, options=options_of(asked), policy=policy)
    if asked.iam:
        from gameday.plan.awsneeds import least_policy  # noqa: PLC0415 - only for this option

        print(json.dumps(least_policy(plan), indent=1))
        return exits.PASS
    if asked.rbac is not None:
        return _rbac(plan, asked.rbac)
    permit = judge(policy, plan, now)
    if asked.json:
        from gameday.canonical import to_json  # noqa: PLC0415 - only for this option

        shown = {
            "digest": plan_digest(plan),
            "plan": to_json(plan),
            "policy": {"file": policy.file, "digest": policy_digest(policy), **to_json(permit)},
        }
        print(json.dumps(shown, indent=1, ensure_ascii=False))
        return exits.PASS
    from gameday.cli.words import plan_words, policy_words  # noqa: PLC0415 - not for JSON
    from gameday.runner.generators import generators  # noqa: PLC0415 - heavy, and not for JSON
    from gameday.runner.preflight import at_home  # noqa: PLC0415

    print("\n".join([*plan_words(plan), *policy_words(policy, permit, now)]))
    print("Preflight, as far as it needs no target")
    checks = (*at_home(plan, project, policy, now), *generators(plan))
    print("\n".join(f"  {check}" for check in checks))
    return exits.PASS


def _rbac(plan: Plan, account: str) -> int:
    """Print the roles as one JSON List, which `kubectl apply -f -` takes."""
    from gameday.plan.rbac import manifests, unknown  # noqa: PLC0415 - only for this option

    namespace, _, name = account.partition("/")
    if not name:
        raise UsageError(
            f"--rbac {account!r}: expected NAMESPACE/ACCOUNT", todo="Say `--rbac drills/gameday`."
        )
    for action in unknown(plan):
        print(f"{action}: what it needs is not known here: add it by hand", file=sys.stderr)
    print(
        json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests(plan, name, namespace)}, indent=1)
    )
    return exits.PASS


def _init(folder: Path) -> int:
    from gameday.plan.policyfile import POLICY_FILE  # noqa: PLC0415 - as above

    source = templates()
    for part in _PARTS:
        if (folder / part).exists():
            raise UsageError(
                f"{folder / part}: is there already; nothing was written", todo="Name another folder."
            )
    folder.mkdir(parents=True, exist_ok=True)
    for part in _PARTS:
        shutil.copytree(source / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    if not (folder / POLICY_FILE).exists():
        shutil.copy(source / POLICY_FILE, folder / POLICY_FILE)
    ignored = folder / ".gitignore"
    if ignored.exists() or ignored.is_symlink():
        print(f"{ignored} is there already and stays as it is: add {', '.join(_IGNORED)} to it.")
    else:
        ignored.write_text("".join(f"{line}\n" for line in _IGNORED), encoding="utf-8")
    print(f"made {folder}: {', '.join(_PARTS)}, {POLICY_FILE}. Now try `gameday drill` in it.")
    return exits.PASS


def templates() -> Path:
    """Return where the example drills are: in the checkout, or among the data files of the installation.

    Raises:
        UsageError: This installation has none.
    """
    checkout = Path(__file__).resolve().parents[2]
    for place in (checkout, *_installed()):
        if (place / "experiments").is_dir():
            return place
    raise UsageError("this installation brings no example drills", todo="Install gameday again.")


def _installed() -> Iterator[Path]:
    with suppress(PackageNotFoundError):
        for file in files("gameday") or ():
            if file.parts[-2:] == ("gameday", "policy.yaml"):
                yield Path(str(file.locate())).resolve().parent
