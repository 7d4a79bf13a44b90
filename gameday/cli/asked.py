"""What every command may be asked: who asks, of which project, about which run."""

from __future__ import annotations

import argparse
import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gameday.errors import Refused, UsageError


def login() -> str:
    """Return the name of this process's user; its number where no name is known, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


def operator(asked: argparse.Namespace) -> str:
    """Return who asks, as claimed."""
    return asked.by or login()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says against writing `path` into one clear line.

    Raises:
        UsageError: It cannot be written.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or "; ".join(str(row[-1]) for row in error.args[0])  # shutil lists its rows
        raise UsageError(
            f"{error.filename or path}: cannot be written: {reason}", todo="Name a place that can be written."
        ) from error


def project_here() -> Path:
    """Return the project that the working folder is in.

    It is the nearest folder upwards with `experiments/`, as it is for a plan; where there is none, the
    nearest with `runs/`, because a plan outside a project makes its runs beside itself.

    Raises:
        UsageError: There is none: what was asked would reach no drill.
    """
    here = Path.cwd()
    for part in ("experiments", "runs"):
        for folder in (here, *here.parents):
            if (folder / part).is_dir():
                return folder
    raise UsageError(
        f"{here} is in no project: neither it nor a folder above it holds experiments/ or runs/",
        todo="Go to the project's folder, or name the run by its folder.",
    )


def run_here(asked: str | None) -> Path:
    """Return the folder of the run that a person means: a path, or one of the project they are in.

    Raises:
        UsageError: There is none, or the words fit several, or there is no project here.
    """
    from gameday.runner.listing import find_run, run_at  # noqa: PLC0415 - `--help` must not wait for it

    return run_at(asked) or find_run(project_here(), asked)


def ended_run(asked: str | None) -> Path:
    """Return the folder of the run that a person means, once it has ended.

    Raises:
        UsageError: There is none.
        Refused: It is still running: what it shows is not decided.
    """
    from gameday.history.read import read_records  # noqa: PLC0415 - `--help` must not wait for it
    from gameday.runner.listing import outcome_of  # noqa: PLC0415

    run_dir = run_here(asked)
    if outcome_of(read_records(run_dir)) == "running":
        raise Refused(f"run {run_dir.name} is still running", todo="Ask again when it has ended.")
    return run_dir
