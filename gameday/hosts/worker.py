"""The runner's side of an action host: spawn it, arm it, send it off, kill it with all it started.

Nothing here waits for a host except `wait_armed` and `close`. Each `go` is answered by exactly one
event in the inbox, whatever becomes of the host: when it dies without a word, the effect is
indeterminate. A host that was killed is replaced by a new one at the next `go`.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.errors import HostLost, Refused
from gameday.history.events import Effect, HostStarted, StepEnded, UndoEnded
from gameday.history.experimentevents import ActivityEnded, ExperimentEnded
from gameday.hosts.clock import RunClock
from gameday.hosts.hostprocess import HostProcess
from gameday.hosts.inbox import Inbox
from gameday.hosts.patience import wait_while_at_work
from gameday.hosts.processes import end_all, kill_all, marker_of, new_family, send
from gameday.hosts.spawner import Spawner
from gameday.hosts.words import one_line
from gameday.plan.model import NS, Activity
from gameday.procfs import boot_id

KILL_S = 0.3  # How long a SIGKILL of everything may take before nobody waits for it any longer.


@dataclass(frozen=True, slots=True)
class Job:
    """What a host may be asked to do: a step's action or its undo, and how to read it back.

    Role `read` is a probe: its value is judged by the host's tolerance. Role `look` is a read-back
    alone, before anything was done: it says whether the fault is in place already.
    """

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
        spawner: Spawner | None = None,
    ) -> None:
        """Start the host, by `spawner` where hosts share one."""
        self.name = name
        self._own = Spawner(log) if spawner is None else None
        self._spawner = spawner or self._own or Spawner(log)
        self._jobs = {(job.step, job.role): job for job in jobs}
        self._log = log
        self._configuration = dict(configuration)
        self._clock = clock
        self._inbox = inbox
        self._cwd = cwd
        self._tolerance = tolerance
        self._lock = threading.Lock()
        self._going: dict[int, tuple[HostProcess, Job]] = {}
        self._token = 0
        self._family = new_family()
        self._generation = 0
        try:
            self._now = self._spawn()
        except OSError as error:
            raise Refused(f"host {name} cannot be started: {error}", todo="Nothing was injected.") from error

    @property
    def pid(self) -> int:
        """The process id of the host, which leads a session of its own."""
        return self._now.pid

    @property
    def start_ticks(self) -> int:
        """When the host started, in clock ticks since boot."""
        return self._now.start_ticks

    def started(self, role: str = "action") -> HostStarted:
        """Return the record of the host's process. It must be written before the first `go`."""
        now = self._now
        return HostStarted(self.name, role, now.pid, now.start_ticks, boot_id(), now.marker)

    @property
    def is_lost(self) -> bool:
        """Whether the host has ended, or was killed: the next `go` needs a new one."""
        return self._now.is_doomed or self._now.has_ended

    def wait_armed(self, idle_s: float, most_s: float | None = None) -> None:
        """Wait until the host has imported and checked everything that it may have to do.

        Raises:
            Refused: It cannot; or it was idle for `idle_s`, or took longer than `most_s` (see `patience`).
        """
        host = self._now
        if why := wait_while_at_work(host.pid, host.armed.wait, idle_s=idle_s, most_s=most_s):
            raise Refused(f"host {self.name} was {why}", todo=f"Read {self._log}.")
        if host.refused:
            raise Refused(f"host {self.name} cannot be armed: {host.refused}", todo="Nothing was injected.")

    def go(self, step: str, role: str) -> None:
        """Start a step's action or undo. The answer comes through the inbox, always."""
        job = self._jobs[step, role]
        self._token += 1
        try:
            host = self._enter(self._token, job)
        except OSError as error:
            self._post_lost(job, f"no host could be started: {error.strerror}")
            return
        timeout_s = job.activity.timeout_ns / NS
        if not host.write({"go": step, "role": role, "token": self._token, "timeout_s": timeout_s}):
            self._lost(host, "the host could not be reached")

    def kill(self, grace_ns: int) -> None:
        """SIGTERM the host's group, and SIGKILL all it started after the grace. Never waits."""
        host = self._now
        host.is_doomed = True
        thread = threading.Thread(
            target=end_all,
            args=(host.leader(), *self._markers(host)),
            kwargs={"grace_s": grace_ns / NS, "since_ticks": host.start_ticks},
            name=f"kill-{self.name}",
            daemon=True,
        )
        try:
            thread.start()
            host.killers.append((thread, time.monotonic() + grace_ns / NS + KILL_S))
        except RuntimeError:  # No more threads: then without grace, from here.
            send(-host.pid, signal.SIGKILL)

    def respawn(self) -> None:
        """Replace the host by a new one, armed ahead of its next `go`. The old one is killed.

        Raises:
            OSError: No process can be started.
        """
        if not self._now.is_doomed:
            self.kill(0)
        with self._lock:
            self._renew()

    def close(self) -> None:
        """End the host. What an ended activity left running in a session of its own stays.

        That may be a service which an undo has just started again. An activity that still runs is
        cut off with everything it started.
        """
        host = self._now
        host.is_doomed = True
        markers = self._markers(host)
        host.close(0.5 if len(markers) == 1 else 0.0)
        kill_all(host.leader(), *(markers if len(markers) > 1 else ()), since_ticks=host.start_ticks)
        if self._own is not None:
            self._own.close()

    def _enter(self, token: int, job: Job) -> HostProcess:
        """Book a `go` on a host that lives, so that its end is bound to answer it."""
        with self._lock:
            if self.is_lost:
                self._renew()
            self._going[token] = (self._now, job)
            return self._now

    def _renew(self) -> None:
        self._now = self._spawn()
        self._inbox.put((self._clock.now_ns(), self.started()))  # By its family it is known already.

    def _markers(self, host: HostProcess) -> tuple[str, ...]:
        with self._lock:
            tokens = [token for token, (where, _) in self._going.items() if where is host]
        return (host.marker, *(f"{host.marker}.{token}" for token in tokens))

    def _spawn(self) -> HostProcess:
        self._generation += 1
        marker = marker_of(self._family, self._generation)
        child = self._spawner.spawn(cwd=self._cwd, log=self._log, marker=marker)
        host = HostProcess(
            child,
            self._spawner,
            self.name,
            on_reply=self._answer,
            on_end=self._lost,
            on_note=self._noted,
        )
        jobs = {
            f"{job.step}/{job.role}": {
                "activity": _as_activity(job.activity, "action" if job.role in ("do", "undo") else "probe"),
                "in_place": _as_activity(job.in_place, "probe") if job.in_place else None,
            }
            for job in self._jobs.values()
        }
        host.write(
            {"arm": {"jobs": jobs, "configuration": self._configuration, "tolerance": self._tolerance}}
        )
        return host

    def _lost(self, host: HostProcess, detail: str) -> None:
        """Answer every `go` of a host that has ended; of one that is being killed, once all of it has.

        The undo starts with this answer, and a child that outlives its host may still be injecting.
        """
        for thread, until_s in host.killers:
            thread.join(max(until_s - time.monotonic(), 0.0))
        with self._lock:
            host.has_ended = True
            tokens = [token for token, (where, _) in self._going.items() if where is host]
            jobs = [self._going.pop(token)[1] for token in tokens]
        for job in jobs:
            self._post_lost(job, detail)

    def _post_lost(self, job: Job, detail: str) -> None:
        text = str(HostLost(detail))
        event: StepEnded | UndoEnded
        if job.role == "undo":
            event = UndoEnded(job.step, undone=False, detail=text)
        else:
            event = StepEnded(job.step, Effect.INDETERMINATE, detail=text)
        self._inbox.put((self._clock.now_ns(), event))

    def _answer(self, host: HostProcess, reply: dict[str, Any]) -> None:
        with self._lock:
            entry = self._going.get(reply["token"])
        if entry is None or entry[0] is not host:
            return
        job = entry[1]
        event = self._on_run_clock(_undo_ended(job, reply) if job.role == "undo" else _step_ended(job, reply))
        with self._lock:  # Only now: a reply that is not whole must not cost the `go` its answer.
            if self._going.pop(reply["token"], None) is None:
                return
        if "experiment" in reply:
            self._inbox.put((self._clock.now_ns(), _experiment_ended(job, reply["experiment"])))
        self._inbox.put((self._clock.now_ns(), event))

    def _noted(self, note: dict[str, Any]) -> None:
        """Pass on what an experiment says of itself while it goes on."""
        said = {key: one_line(str(note.get(key) or "")) for key in ("part", "name", "status", "detail")}
        step = next(iter(self._jobs))[0]
        self._inbox.put((self._clock.now_ns(), ActivityEnded(step, **said)))

    def _on_run_clock(self, event: StepEnded | UndoEnded) -> StepEnded | UndoEnded:
        def run_ns(boot_ns: int | None) -> int | None:
            return None if boot_ns is None else boot_ns - self._clock.origin_boot_ns

        read_back_ns = run_ns(event.read_back_ns)
        if isinstance(event, UndoEnded):
            return UndoEnded(event.step, event.undone, event.detail, read_back_ns)
        return StepEnded(
            event.step, event.effect, event.in_place, event.detail, run_ns(event.began_ns), read_back_ns
        )


def _undo_ended(job: Job, reply: dict[str, Any]) -> UndoEnded:
    """Whether it is undone is for the read-back to say; without one, for the undo itself."""
    undone = reply["in_place"] is False if job.in_place else not reply["error"]
    still = "it is still in place" if reply["in_place"] else ""
    return UndoEnded(job.step, undone, _detail(reply, still), reply["read_back"])


def _step_ended(job: Job, reply: dict[str, Any]) -> StepEnded:
    """An action that raised may have had its effect all the same; its read-back decides."""
    effect = Effect.HAPPENED
    if reply["error"]:
        by_read_back = {True: Effect.HAPPENED, False: Effect.DID_NOT_HAPPEN, None: Effect.INDETERMINATE}
        effect = by_read_back[reply["in_place"] if job.in_place else None]
    detail = _detail(reply) or one_line(str(reply.get("says", "")))
    return StepEnded(job.step, effect, reply["in_place"], detail, reply["began"], reply["read_back"])


def _experiment_ended(job: Job, said: dict[str, Any]) -> ExperimentEnded:
    status, sha256 = str(said["status"]), str(said["sha256"])
    detail = one_line(str(said.get("detail") or ""))
    return ExperimentEnded(job.step, status, bool(said["deviated"]), sha256, detail)


def _detail(reply: dict[str, Any], more: str = "") -> str:
    parts = (reply["error"], reply.get("read_back_error", ""), more)
    return one_line("; ".join(part for part in parts if part))


def _as_activity(activity: Activity, kind: str) -> dict[str, Any]:
    provider = json.loads(activity.provider)
    if provider.get("type") in ("process", "http"):
        provider.setdefault("timeout", activity.timeout_ns / NS)
    whole = {"type": kind, "name": activity.name, "provider": provider}
    return whole | {"tolerance": True} if kind == "probe" else whole
