"""Any Chaos Toolkit probe as one of ours: user code in a host, its tolerance judged there too."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from gameday.errors import Refused
from gameday.history.events import Effect, HostStarted, Reading, StepEnded
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.patience import IDLE_S, PREPARING_MOST_S
from gameday.hosts.spawner import Spawner
from gameday.hosts.worker import ActionHost, Job
from gameday.plan.model import NS, Activity, Probe

DEATH_WAIT_S = 2.0


class ActivityProbe:
    """One host that reads one probe again and again.

    The probe's value is its read-back: `in_place` is true when the tolerance holds.
    """

    def __init__(
        self, probe: Probe, *, log_dir: Path, configuration: Mapping[str, str], spawner: Spawner | None = None
    ) -> None:
        spec = json.loads(probe.spec)
        activity = Activity(probe.name, json.dumps(spec["provider"]), probe.timeout_ns)
        self._timeout_s = probe.timeout_ns / NS
        self._inbox = new_inbox()
        self._host = ActionHost(
            f"probe-{probe.name}",
            (Job(probe.name, "read", activity, None),),
            log=log_dir / f"probe-{probe.name}.log",
            configuration=configuration,
            clock=RunClock(),
            inbox=self._inbox,
            tolerance=spec.get("tolerance", True),
            spawner=spawner,
        )
        self._name = probe.name
        self._turn = threading.Lock()
        self._host.wait_armed(IDLE_S, PREPARING_MOST_S)

    def read(self) -> tuple[Reading, str]:
        """Take one sample. A probe that raises, or hangs, read nothing: unreadable.

        One at a time: an answer belongs to the sample that asked for it, or its times would be wrong.
        """
        until_s = time.monotonic() + self._timeout_s
        if not self._turn.acquire(timeout=self._timeout_s):
            return Reading.UNREADABLE, "the sample before it still runs"
        try:
            return self._read(until_s)
        finally:
            self._turn.release()

    def _read(self, until_s: float) -> tuple[Reading, str]:
        try:
            self._host.wait_armed(max(until_s - time.monotonic(), 0.0))
        except Refused:
            return Reading.UNREADABLE, "its new host is not ready yet"
        while not self._inbox.empty():
            self._inbox.get()  # What a host that was given up on said after all.
        self._host.go(self._name, "read")
        event = self._answer(until_s)
        if event is None:
            self._host.kill(0)
            self._answer(time.monotonic() + DEATH_WAIT_S)
        if self._host.is_lost:
            self._host.respawn()  # Armed for a later sample, whose timeout may be too short for that.
        if event is None:
            return Reading.UNREADABLE, "timeout"
        if event.effect is not Effect.HAPPENED or event.in_place is None:
            return Reading.UNREADABLE, event.detail
        return (Reading.GOOD, "") if event.in_place else (Reading.BAD, event.detail)

    def _answer(self, until_s: float) -> StepEnded | None:
        while True:
            try:
                _, event = self._inbox.get(timeout=max(until_s - time.monotonic(), 0.0))
            except queue.Empty:
                return None
            if isinstance(event, StepEnded):
                return event

    def started(self) -> HostStarted:
        """Return the record of its host. Those that replace it are of the same family."""
        return self._host.started("probe")

    def close(self) -> None:
        """End the host."""
        self._host.close()
