"""A store in a process of its own, as the ledger's writer sees it.

The process is killed and started anew when it is lost, or when a write hangs in it far beyond its time:
a client that waits for ever on a dead connection would keep the writes after a failover from being made.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gameday.errors import Refused
from gameday.history.events import LedgerMark
from gameday.hosts.patience import IDLE_S, PREPARING_MOST_S, wait_while_at_work
from gameday.hosts.processes import MARKER, kill_all
from gameday.hosts.stores import Outcome, failed, unknown
from gameday.hosts.words import one_line
from gameday.plan.model import NS, Ledger

READ_TIMEOUT_S = 8.0
STUCK_TIMES = 10
STUCK_MIN_S = 3.0
RESPAWN_WAIT_S = 0.5
LOST = "its process was lost"


@dataclass(slots=True)
class _Process:
    """One process, from its start to its end."""

    child: subprocess.Popen[bytes]
    settled: threading.Event = field(default_factory=threading.Event)
    is_ready: bool = False
    refused: str = ""


class HostStore:
    """One process that speaks to one store."""

    def __init__(self, ledger: Ledger, *, run: str, project: Path, log: Path, workers: int) -> None:
        self._name = ledger.name or ledger.writer
        self._timeout_s = ledger.timeout_ns / NS
        self._log = log
        self._config = {
            "writer": ledger.writer,
            "spec": json.loads(ledger.spec),
            "run": run,
            "timeout_s": self._timeout_s,
            "project": str(project.resolve()),
            "workers": workers,
        }
        self._pipe = threading.Lock()
        self._asked: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._next = 0
        self._hung_s: float | None = None
        self._ending = False
        self._process = self._spawn(prepare=True)

    @property
    def pid(self) -> int:
        """The process id of the host."""
        return self._process.child.pid

    def arm(self) -> None:
        """Wait until the store is ready.

        Raises:
            Refused: It is not; nothing was written.
        """
        process = self._process
        why = wait_while_at_work(
            process.child.pid, process.settled.wait, idle_s=IDLE_S, most_s=PREPARING_MOST_S
        )
        if not process.is_ready:
            reason = process.refused or f"it was {why}"
            self.close()
            raise Refused(f"ledger {self._name}: {reason}", todo=f"What it printed is in {self._log}.")

    def write(self, number: int, sha256: str, payload: str) -> tuple[Outcome, int | None]:
        """Write one; return what is known of it, and when it ended by the machine's clock."""
        if not self._process.is_ready:
            return failed("its process is being started"), None
        request = {"do": "write", "number": number, "sha256": sha256, "payload": payload}
        reply = self._exchange(request | {"timeout_s": self._timeout_s}, self._timeout_s)
        if reply is None:
            self._note_hung()
            return unknown("timeout"), None
        if "mark" not in reply:
            return unknown(str(reply.get("error", "no answer"))), None
        self._hung_s = None
        return (LedgerMark(reply["mark"]), str(reply["detail"])), int(reply["ended_boot_ns"])

    def read_all(self) -> list[tuple[int, str]]:
        """Return every write that is found.

        Raises:
            OSError: They cannot be read.
        """
        return [(int(number), str(sha256)) for number, sha256 in self._other("read", "rows")]

    def purge(self) -> int:
        """Remove every write and return how many there were.

        Raises:
            OSError: They cannot be removed.
        """
        return int(self._other("purge", "purged"))

    def close(self) -> None:
        """End the process."""
        self._ending = True
        _end(self._process)

    def _other(self, do: str, key: str) -> Any:
        process = self._process
        if not process.is_ready:
            process.settled.wait(READ_TIMEOUT_S)
        reply = self._exchange({"do": do}, READ_TIMEOUT_S)
        if reply is None:
            _end(process)  # It hangs; what is asked next must not hang behind it.
            raise OSError(f"no answer within {READ_TIMEOUT_S:g} s")
        if key not in reply:
            raise OSError(str(reply.get("error", "no answer")))
        return reply[key]

    def _exchange(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any] | None:
        answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        stdin = self._process.child.stdin
        assert stdin is not None
        with self._pipe:
            self._next += 1
            number = self._next
            self._asked[number] = answers
            try:
                stdin.write(json.dumps(request | {"id": number}).encode() + b"\n")
                stdin.flush()
            except (OSError, ValueError):
                answers.put({"error": LOST})
        try:
            return answers.get(timeout=timeout_s)
        except queue.Empty:
            return None
        finally:
            self._asked.pop(number, None)

    def _note_hung(self) -> None:
        now_s = time.monotonic()
        if self._hung_s is None:
            self._hung_s = now_s
        elif now_s - self._hung_s > max(STUCK_TIMES * self._timeout_s, STUCK_MIN_S):
            self._hung_s = None
            _end(self._process)  # Its end is heard by its listener, which starts another.

    def _spawn(self, *, prepare: bool) -> _Process:
        """Start a process. Only the first one prepares the store: a later one may find it down."""
        with self._log.open("ab") as log:
            child = subprocess.Popen(
                # -P: what lies in the working folder must not stand in for a client that is imported.
                [sys.executable, "-P", "-m", "gameday.hosts.ledgerhost"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env=_environment(f"ledger-{os.getpid()}-{self._name}"),
            )
        process = _Process(child)
        assert child.stdin is not None
        with contextlib.suppress(OSError):
            child.stdin.write(json.dumps(self._config | {"prepare": prepare}).encode() + b"\n")
            child.stdin.flush()
        threading.Thread(target=self._listen, args=(process,), name="ledger-host", daemon=True).start()
        return process

    def _listen(self, process: _Process) -> None:
        assert process.child.stdout is not None
        for line in process.child.stdout:
            self._hear(line, process)
        process.child.wait()
        was_ready, process.is_ready = process.is_ready, False
        for answers in list(self._asked.values()):
            answers.put({"error": LOST})
        process.refused = process.refused or "its process ended before it was ready"
        process.settled.set()
        if self._ending or (process is self._process and not was_ready):
            return
        time.sleep(0 if was_ready else RESPAWN_WAIT_S)
        self._process = self._spawn(prepare=False)

    def _hear(self, line: bytes, process: _Process) -> None:
        try:
            reply = json.loads(line)
            if "id" in reply:
                answers = self._asked.get(reply["id"])
                if answers is not None:
                    answers.put(reply)
                return
            process.refused = one_line(str(reply.get("refused", "")))
            process.is_ready = reply.get("ready") is True
        except (ValueError, TypeError, AttributeError):
            return
        process.settled.set()


def _end(process: _Process) -> None:
    kill_all(process.child.pid)


def _environment(marker: str) -> Mapping[str, str]:
    package = str(Path(__file__).resolve().parent.parent.parent)
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, MARKER: marker, "PYTHONPATH": path}
