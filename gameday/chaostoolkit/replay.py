"""Play the rollbacks of an experiment without `chaos`: each in a process of its own, with a deadline.

Chaos Toolkit counts a program's exit 1 and an HTTP 500 as success; a rollback that says so took nothing
back. One that fails or hangs does not stop the next.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
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


class Player:
    """Plays rollbacks. The next one's process is always there already: importing takes its time."""

    def __init__(self, left: Left) -> None:
        """Start the first process, where there is a rollback.

        Args:
            left: The rollbacks, with the configuration and secrets that they take.
        """
        self._left = left
        self._ahead = _spawn(left.project) if left.rollbacks else None

    def play(self, *, timeout_s: float, wait: Wait) -> Played:
        """Play every rollback in its order.

        Args:
            timeout_s: The longest that one may take.
            wait: Waits until something is so, at most for some seconds; sampling goes on meanwhile.
        """
        said, failed = [], []
        for number, activity in enumerate(self._left.rollbacks, start=1):
            process = self._ahead or _spawn(self._left.project)
            self._ahead = _spawn(self._left.project) if number < len(self._left.rollbacks) else None
            name = str(activity.get("name") or "rollback")
            error = self._one(process, activity, timeout_s, wait)
            said.append(one_line(f"rollback {name}: {error or 'done'}"))
            if error:
                failed.append(f"{name}: {error}")
        if not said:
            return Played(ok=False, detail="the experiment has no rollbacks", said=())
        detail = "; ".join(failed) or f"rollbacks played: {len(said)}; Chaos Toolkit reads none of them back"
        return Played(ok=not failed, detail=one_line(detail), said=tuple(said))

    def close(self) -> None:
        """End the process that is not needed any more."""
        if self._ahead is not None:
            kill_all(self._ahead.pid)
            self._ahead.wait()
            self._ahead = None

    def _one(
        self, process: subprocess.Popen[bytes], activity: dict[str, Any], timeout_s: float, wait: Wait
    ) -> str:
        """Play one and return why it failed; nothing when it did not."""
        given = {
            "activity": activity,
            "configuration": self._left.configuration,
            "secrets": self._left.secrets,
        }
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):  # It died; its exit code says so.
            process.stdin.write(json.dumps(given, default=str).encode())
            process.stdin.close()
        os.set_blocking(process.stdout.fileno(), False)
        ended = wait(lambda: process.poll() is not None, timeout_s)
        if not ended:  # Else what it started is to stay: the service that it brought back, perhaps.
            kill_all(process.pid)
        process.wait()
        answer = process.stdout.read() or b""
        process.stdout.close()
        if not ended:
            return f"it did not end within {timeout_s:g} s"
        try:
            return str(json.loads(answer)["error"])
        except (ValueError, KeyError, TypeError):
            return f"it ended with {process.returncode} and no answer"


def _spawn(project: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "gameday.chaostoolkit.rollback"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=project,
        start_new_session=True,
    )
