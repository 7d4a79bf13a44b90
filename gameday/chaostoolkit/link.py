"""What runs of this inside `chaos`: it starts the companion, and tells it what happens.

chaoslib swallows whatever a control raises, except `InterruptExecution`; so that is raised whenever the
guard or the record is not to be had: without them nothing is injected. `chaos` can be interrupted by a
signal anywhere, also while it waits for an answer here; requests are numbered, and late answers dropped.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gameday.chaostoolkit import papers
from gameday.errors import GameDayError, Refused
from gameday.hosts.processes import MARKER
from gameday.procfs import start_ticks

ANSWER_S = 10.0
BEGIN_S = 60.0
END_S = 600.0
NO_COMPANION = "the companion of gameday does not answer: without guard and record nothing is injected"


@dataclass(slots=True)
class Link:
    """The one companion of this `chaos` process. `teller` is the control that tells it what happens."""

    teller: str
    process: subprocess.Popen[bytes]
    folder: str = ""
    number: int = 0
    met: bool | None = None
    said: str = ""
    is_over: bool = False
    lock: threading.RLock = field(default_factory=threading.RLock)
    rest: bytes = b""

    def ask(self, do: str, *, patience_s: float = ANSWER_S, **more: Any) -> dict[str, Any]:
        """Ask the companion and return its answer.

        Raises:
            Refused: It does not answer in time, or says no.
        """
        with self.lock:
            self.number += 1
            number = self.number
            line = json.dumps({"id": number, "do": do, **more}, default=str).encode() + b"\n"
            assert self.process.stdin is not None
            try:
                self.process.stdin.write(line)
                self.process.stdin.flush()
                answer = self._answer(number, time.monotonic() + patience_s)
            except (OSError, ValueError) as error:
                raise Refused(NO_COMPANION) from error
        if answer.get("error"):
            raise Refused(str(answer["error"]))
        return answer

    def _answer(self, number: int, until_s: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        while True:
            line, found, rest = self.rest.partition(b"\n")
            if found:
                self.rest = rest
                answer: dict[str, Any] = json.loads(line)
                if answer["id"] == number:
                    return answer
                continue
            ready, _, _ = select.select([fd], [], [], max(until_s - time.monotonic(), 0.0))
            data = os.read(fd, 1 << 16) if ready else b""
            if not data:
                raise OSError(NO_COMPANION)
            self.rest += data

    def close(self) -> None:
        """Let it go. Without its end it takes that for a death, and undoes."""
        self.is_over = True
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
        except OSError:
            return

    def watch(self) -> None:
        """Interrupt the experiment when the companion dies: nobody would guard it any more."""
        self.process.wait()
        if not self.is_over:
            os.kill(os.getpid(), signal.SIGUSR1)


_links: list[Link] = []


def current() -> Link | None:
    """Return the link of the experiment that runs, if it uses any of this."""
    return _links[-1] if _links else None


def begin(
    teller: str, experiment: dict[str, Any], configuration: dict[str, Any], given_secrets: dict[str, Any]
) -> Link:
    """Start the companion of this experiment; the second control of the same one finds it there.

    Raises:
        GameDayError: It cannot be started; nothing was injected.
    """
    found = current()
    if found is not None:
        return found
    marker = f"chaos-{secrets.token_hex(8)}"
    environment = {key: value for key, value in os.environ.items() if key != MARKER}
    process = subprocess.Popen(
        [sys.executable, "-m", papers.OURS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        env=environment,
    )
    link = Link(teller, process)
    try:
        answer = link.ask(
            "begin",
            patience_s=BEGIN_S,
            experiment={key: experiment.get(key) for key in ("title", "description", "method", "rollbacks",
                                                             "steady-state-hypothesis", "controls")},
            **_told(experiment, configuration, given_secrets),
            configuration=configuration,
            secrets=given_secrets,
            pid=os.getpid(),
            ticks=start_ticks(os.getpid()) or 0,
            marker=marker,
            project=str(Path.cwd()),
        )  # fmt: skip
    except GameDayError:
        link.close()
        raise
    link.folder = answer["folder"]
    os.environ[MARKER] = marker  # Whatever `chaos` starts from here on carries it.
    _links.append(link)
    threading.Thread(target=link.watch, name="gameday-companion", daemon=True).start()
    return link


def _told(
    experiment: dict[str, Any], configuration: dict[str, Any], given_secrets: dict[str, Any]
) -> dict[str, Any]:
    """Return what the controls are told, as written (for the record) and with its values (for use)."""
    from chaoslib import substitute  # noqa: PLC0415 - this runs inside `chaos`, which has it

    written = {
        "guard": papers.arguments_of(experiment, papers.GUARD) or {},
        "evidence": papers.arguments_of(experiment, papers.EVIDENCE) or {},
        "ledger": papers.ledger_of(experiment),
    }
    live = (
        substitute(written, configuration or {}, given_secrets or {})
        if configuration or given_secrets
        else written
    )
    return {"written": written, "live": live}


def end() -> None:
    """Forget the companion, and let it go."""
    while _links:
        _links.pop().close()
    os.environ.pop(MARKER, None)
