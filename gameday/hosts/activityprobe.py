"""Any Chaos Toolkit probe as one of ours: user code in a host, its tolerance judged there too."""

from __future__ import annotations

import json
import queue
from collections.abc import Mapping
from pathlib import Path

from gameday.history.events import Effect, Reading, StepEnded
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.worker import ActionHost, Job
from gameday.plan.model import NS, Activity, Probe

ARM_TIMEOUT_S = 30.0


class ActivityProbe:
    """One host that reads one probe again and again.

    The probe's value is its read-back: `in_place` is true when the tolerance holds.
    """

    def __init__(self, probe: Probe, *, log_dir: Path, configuration: Mapping[str, str]) -> None:
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
        )
        self._name = probe.name
        self._host.wait_armed(ARM_TIMEOUT_S)

    def read(self) -> tuple[Reading, str]:
        """Take one sample. A probe that raises, or hangs, read nothing: unreadable."""
        self._host.go(self._name, "read")
        try:
            _, event = self._inbox.get(timeout=self._timeout_s)
        except queue.Empty:
            self._host.kill(0)
            self._inbox.get(timeout=2.0)
            return Reading.UNREADABLE, "timeout"
        assert isinstance(event, StepEnded)
        if event.effect is not Effect.HAPPENED or event.in_place is None:
            return Reading.UNREADABLE, event.detail
        return (Reading.GOOD, "") if event.in_place else (Reading.BAD, event.detail)

    def close(self) -> None:
        """End the host."""
        self._host.close()
