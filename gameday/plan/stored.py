"""The plan as it lies in a run folder: canonical JSON, whose SHA-256 is the plan's digest."""

from __future__ import annotations

import json
import os
from pathlib import Path

from gameday.canonical import canonical, digest, from_json, to_json
from gameday.errors import RecordError
from gameday.plan.model import Plan

PLAN_FILE = "plan.json"


def plan_digest(plan: Plan) -> str:
    """Return the SHA-256 of the plan's canonical JSON, as lower-case hex."""
    return digest(to_json(plan))


def write_plan(run_dir: Path, plan: Plan) -> None:
    """Write `plan.json` into a run folder that has none yet, and make sure it is on disk."""
    fd = os.open(run_dir / PLAN_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(canonical(to_json(plan)) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_plan(run_dir: Path) -> Plan:
    """Return the plan of a run folder.

    Raises:
        RecordError: There is none, or it is not a plan.
    """
    path = run_dir / PLAN_FILE
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise RecordError(
            f"{path}: {error.strerror}", todo="`gameday runs` lists the runs of this project."
        ) from error
    except ValueError as error:
        raise RecordError(f"{path}: not JSON: {error}") from error
    return from_json(Plan, data, path.name)
