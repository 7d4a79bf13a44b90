"""The runner's side of an action host: spawn it, arm it, send it off, kill it with all it started.

Nothing here waits for a host except `wait_armed`. Each `go` is answered by exactly one event in the
inbox, whatever becomes of the host: when it dies without a word, the effect is indeterminate.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.errors import HostLost, Refused
from gameday.history.events import Effect, StepEnded, UndoEnded
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import Inbox
from gameday.hosts.processes import MARKER, kill_all, send, start_ticks
from gameday.plan.model import NS, Activity


@dataclass(frozen=True, slots=True)
class Job:
    """What a host may be asked to do: a step's action or its undo, and how to read it back."""

    step: str
    role: str
    activity: Activity
    in_place: Activity | None


class ActionHost:
    """One action host process, and a new one in its place after it was killed."""

    def __init__(
        self,
        name: str,
        jobs: tuple[Job, ...],
        *,
        log: Path,
        configuration: Mapping[str, str],
        clock: RunClock,
        inbox: Inbox,
        cwd: Path | None = None,
        tolerance: Any = None,
    ) -> None:
        self.name = name
        self._jobs = {(job.step, job.role): job for job in jobs}
        self._log = log
        self._configuration = dict(configuration)
        self._clock = clock
        self._inbox = inbox
        self._cwd = cwd
        self._tolerance = tolerance
        self._lock = threading.Lock()
        self._going: dict[int, Job] = {}
        self._token = 0
        self._closed = False
        self._spawn()

    @property
    def pid(self) -> int:
        """The process id of the host, which leads a session of its own."""
        return self._process.pid

    @property
    def start_ticks(self) -> int:
        """When the host started, in clock ticks since boot."""
        return start_ticks(self.pid) or 0

    def _spawn(self) -> None:
        self._armed = threading.Event()
        self._refused = ""
        self._marker = secrets.token_hex(8)
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gameday.hosts.actionhost"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            cwd=self._cwd,
            env={**os.environ, MARKER: self._marker},
        )
        os.close(log)
        jobs = {
            f"{job.step}/{job.role}": {
                "activity": _as_activity(job.activity, "action"),
                "in_place": _as_activity(job.in_place, "probe") if job.in_place else None,
            }
            for job in self._jobs.values()
        }
        arm = {"jobs": jobs, "configuration": self._configuration, "tolerance": self._tolerance}
        self._write({"arm": arm})
        threading.Thread(
            target=self._listen, args=(self._process, self._armed), name=f"host-{self.name}", daemon=True
        ).start()

    def wait_armed(self, timeout_s: float) -> None:
        """Wait until the host has imported and checked everything that it may have to do.

        Raises:
            Refused: It cannot, or did not within `timeout_s`.
        """
        if not self._armed.wait(timeout_s):
            raise Refused(f"host {self.name} was not ready within {timeout_s:g} s", todo=f"Read {self._log}.")
        if self._refused:
            raise Refused(f"host {self.name} cannot be armed: {self._refused}", todo="Nothing was injected.")

    def go(self, step: str, role: str) -> None:
        """Start a step's action or undo. The answer comes through the inbox."""
        job = self._jobs[step, role]
        if self._process.poll() is not None:
            self._spawn()
        with self._lock:
            self._token += 1
            token = self._token
            self._going[token] = job
        read_back_s = job.activity.timeout_ns / NS
        if not self._write({"go": step, "role": role, "token": token, "read_back_s": read_back_s}):
            self._lost("it could not be reached")

    def kill(self, grace_ns: int) -> None:
        """SIGTERM the host's group, and SIGKILL all it started after the grace. Never waits."""
        process, marker = self._process, self._marker
        threading.Thread(
            target=_kill, args=(process, marker, grace_ns / NS), name=f"kill-{self.name}", daemon=True
        ).start()

    def close(self) -> None:
        """End the host and what it left behind."""
        self._closed = True
        try:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.wait(0.5)
        except (OSError, subprocess.TimeoutExpired):
            pass
        _kill(self._process, self._marker, 0.0)

    def _write(self, message: dict[str, Any]) -> bool:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            return False
        return True

    def _listen(self, process: subprocess.Popen[bytes], armed: threading.Event) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                reply = json.loads(line)
            except ValueError:
                continue
            if "armed" in reply or "refused" in reply:
                self._refused = reply.get("refused", "")
                armed.set()
            elif "token" in reply:
                self._answer(reply)
        code = process.wait()
        if not armed.is_set():
            self._refused = f"it ended with {code} before it was ready; read {self._log}"
            armed.set()
        if process is self._process:
            self._lost(f"the host ended with {code} before it replied")

    def _lost(self, detail: str) -> None:
        with self._lock:
            going, self._going = list(self._going.values()), {}
        for job in going:
            self._post(job, HostLost(detail))

    def _answer(self, reply: dict[str, Any]) -> None:
        with self._lock:
            job = self._going.pop(int(reply["token"]), None)
        if job is None:
            return
        read_back_ns = self._run_ns(reply.get("read_back"))
        detail = "; ".join(text for text in (reply["error"], reply.get("read_back_error", "")) if text)
        at_ns = self._clock.now_ns()
        if job.role == "undo":
            undone = reply["in_place"] is False if job.in_place else not reply["error"]
            self._inbox.put((at_ns, UndoEnded(job.step, undone, detail, read_back_ns)))
            return
        effect = _effect(reply, has_read_back=job.in_place is not None)
        began_ns = self._run_ns(reply["began"])
        ended = StepEnded(job.step, effect, reply["in_place"], detail, began_ns, read_back_ns)
        self._inbox.put((at_ns, ended))

    def _run_ns(self, boot_ns: int | None) -> int | None:
        return None if boot_ns is None else boot_ns - self._clock.origin_boot_ns

    def _post(self, job: Job, lost: HostLost) -> None:
        event: StepEnded | UndoEnded
        if job.role == "undo":
            event = UndoEnded(job.step, undone=False, detail=str(lost))
        else:
            event = StepEnded(job.step, Effect.INDETERMINATE, detail=str(lost))
        self._inbox.put((self._clock.now_ns(), event))


def _effect(reply: dict[str, Any], *, has_read_back: bool) -> Effect:
    """An action that raised may have had its effect all the same; its read-back decides."""
    if not reply["error"]:
        return Effect.HAPPENED
    if not has_read_back or reply["in_place"] is None:
        return Effect.INDETERMINATE
    return Effect.HAPPENED if reply["in_place"] else Effect.DID_NOT_HAPPEN


def _as_activity(activity: Activity, kind: str) -> dict[str, Any]:
    provider = json.loads(activity.provider)
    if provider.get("type") in ("process", "http"):
        provider.setdefault("timeout", activity.timeout_ns / NS)
    return {"type": kind, "name": activity.name, "provider": provider}


def _kill(process: subprocess.Popen[bytes], marker: str, grace_s: float) -> None:
    if grace_s > 0 and process.poll() is None:
        send(-process.pid, signal.SIGTERM)
        give_up_s = time.monotonic() + grace_s
        while process.poll() is None and time.monotonic() < give_up_s:
            time.sleep(0.002)
    kill_all(process.pid, marker)
