"""The folder of one run: made once, never reused, found again by path, id or `latest`.

runs/<plan>/<utc>-<id>/   plan.json  history.jsonl  segments/  hosts/  findings.json  report.html
"""

from __future__ import annotations

import os
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path

from gameday.errors import Refused, UsageError
from gameday.plan.model import Plan

RUNS = "runs"


def make_run_folder(project: Path, plan: Plan, run_dir: Path | None) -> Path:
    """Make a new, empty run folder and return it.

    Raises:
        UsageError: `run_dir` is given and is there already.
        Refused: The folder cannot be made.
    """
    name = re.sub(r"[^a-z0-9]+", "-", Path(plan.source).stem.lower()).strip("-") or "drill"
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = run_dir or project / RUNS / name / f"{stamp}-{secrets.token_hex(3)}"
    if path.exists():
        raise UsageError(f"--run-dir {path}: is there already", todo="Name a folder that does not exist.")
    try:
        path.mkdir(parents=True, mode=0o700)
        (path / "hosts").mkdir()
        if run_dir is None:
            _point_latest(path)
    except OSError as error:
        raise Refused(f"the run folder {path} cannot be made: {error.strerror}") from error
    return path.resolve()


def _point_latest(path: Path) -> None:
    for link, to in ((path.parent / "latest", path.name), (path.parent.parent / "latest", None)):
        target = to or os.fspath(path.relative_to(link.parent))
        fresh = link.with_name(f".latest-{secrets.token_hex(3)}")
        fresh.symlink_to(target)
        fresh.replace(link)
