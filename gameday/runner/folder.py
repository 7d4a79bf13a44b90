"""The folder of one run: made once, never reused, found again by path, id or `latest`.

runs/<plan>/<utc>-<id>/   plan.json  history.jsonl  segments/  hosts/  findings.json  report.html

A run that was put elsewhere (`--run-dir`) leaves a link of its name there, so that what it owes is found.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from gameday.errors import Refused, UsageError
from gameday.history.store import HISTORY
from gameday.plan.model import Plan

RUNS = "runs"
LATEST = "latest"


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
    path = path.resolve()
    if path not in {known.resolve() for known in _candidates(project)}:
        with suppress(OSError):  # A project that may only be read keeps no list of its runs.
            _link(project / RUNS / name, path)
    return path


def run_dirs(project: Path) -> tuple[Path, ...]:
    """Return each run folder of a project that holds a history, as it stands in runs/: a folder or a link.

    The `latest` links are passed over, and a run that can be reached twice is returned once.
    """
    found: dict[Path, Path] = {}
    for path in _candidates(project):
        if (path / HISTORY).is_file():
            found.setdefault(path.resolve(), path)
    return tuple(found.values())


def _candidates(project: Path) -> Iterator[Path]:
    runs = project / RUNS
    for path in (*sorted(runs.glob("*")), *sorted(runs.glob("*/*"))):
        if LATEST not in path.relative_to(runs).parts and path.is_dir():
            yield path


def _link(folder: Path, path: Path) -> None:
    """Leave a link to a run in `folder`; where its name is taken by another one, with a few letters more."""
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / path.name
    if link.is_symlink() and not link.exists():
        link.unlink()  # The run it led to is gone.
    if link.is_symlink() or link.exists() or link.name == LATEST:
        link = folder / f"{path.name}-{secrets.token_hex(3)}"
    link.symlink_to(path)


def _point_latest(path: Path) -> None:
    for link, to in ((path.parent / LATEST, path.name), (path.parent.parent / LATEST, None)):
        target = to or os.fspath(path.relative_to(link.parent))
        fresh = link.with_name(f".latest-{secrets.token_hex(3)}")
        fresh.symlink_to(target)
        fresh.replace(link)
