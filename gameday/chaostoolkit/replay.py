"""Play the rollbacks of an experiment without `chaos`: each in a process of its own, with a deadline.

Chaos Toolkit counts a program's exit 1 and an HTTP 500 as success; a rollback that says so took nothing
back. One that fails or hangs does not stop the next.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gameday.hosts.processes import kill_all
from gameday.hosts.words import one_line

Wait = Callable[[Callable[[], bool], float], bool]


class Left(Protocol):
    """What must be known to undo after `chaos`: the rollbacks, and what they are given."""

    @property
    def rollbacks(self) -> tuple[dict[str, Any], ...]:
        """The experiment's rollbacks, in their order."""

    @property
    def configuration(self) -> dict[str, Any]:
        """What their names mean."""

    @property
    def secrets(self) -> dict[str, Any]:
        """By group; they go through a pipe, and never to a file."""

    @property
    def project(self) -> Path:
        """Where `chaos` was started."""


@dataclass(frozen=True, slots=True)
class Played:
    """Whether every rollback did its work, and what is to be said of each."""

    ok: bool
    detail: str
    said: tuple[str, ...]


def play(left: Left, *, timeout_s: float, wait: Wait) -> Played:
    """Play every rollback in its order.

    Args:
        left: The rollbacks, with the configuration and secrets that they take.
        timeout_s: The longest that one may take.
        wait: Waits until something is so, at most for some seconds; sampling goes on meanwhile.
    """
    said, failed = [], []
    for activity in left.rollbacks:
        name = str(activity.get("name") or "rollback")
        error = _one(activity, left, timeout_s, wait)
        said.append(f"rollback {name}: {error or 'done'}")
        if error:
            failed.append(f"{name}: {error}")
    if not left.rollbacks:
        return Played(ok=False, detail="the experiment has no rollbacks", said=())
    detail = "; ".join(failed) or f"rollbacks played: {len(said)}; Chaos Toolkit reads none of them back"
    return Played(ok=not failed, detail=one_line(detail), said=tuple(map(one_line, said)))


def _one(activity: dict[str, Any], left: Left, timeout_s: float, wait: Wait) -> str:
    """Play one and return why it failed; nothing when it did not."""
    given = {"activity": activity, "configuration": left.configuration, "secrets": left.secrets}
    process = subprocess.Popen(
        [sys.executable, "-m", "gameday.chaostoolkit.rollback"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=left.project,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(given, default=str).encode())
        process.stdin.close()
    except OSError:
        pass  # It died; its exit code says so.
    os.set_blocking(process.stdout.fileno(), False)
    until_s = time.monotonic() + timeout_s
    ended = wait(lambda: process.poll() is not None, timeout_s)
    kill_all(process.pid)
    process.wait(max(until_s - time.monotonic(), 1.0))
    answer = process.stdout.read() or b""
    process.stdout.close()
    if not ended:
        return f"it did not end within {timeout_s:g} s"
    try:
        return str(json.loads(answer)["error"])
    except (ValueError, KeyError, TypeError):
        return f"it ended with {process.returncode} and no answer"
