"""Sample probes at a fixed rate, all the while: through failure and recovery, to the end.

Each probe has a schedule of its own on the monotonic clock, which never waits for an answer: where
the timeout is longer than the period, several requests are in flight. A slot that cannot be started
is posted as unreadable, because unmeasured time is not good time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from gameday.history.events import HostStarted, Reading, Sample
from gameday.hosts.activityprobe import ActivityProbe
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import Inbox
from gameday.hosts.readers import Reader, reader_of
from gameday.hosts.spawner import Spawner
from gameday.plan.model import NS, Probe, ProbeKind


class ProbeCrew:
    """All probes of a run."""

    def __init__(
        self,
        probes: tuple[Probe, ...],
        *,
        run: str,
        clock: RunClock,
        inbox: Inbox,
        log_dir: Path,
        configuration: Mapping[str, str],
        spawner: Spawner | None = None,
    ) -> None:
        """Make the probes ready; those that run user code in hosts of `spawner`, where one is shared."""
        self._stop = threading.Event()
        self._hosts = []
        self._schedules = []
        for number, probe in enumerate(probes):
            if probe.kind is ProbeKind.ACTIVITY:
                host = ActivityProbe(probe, log_dir=log_dir, configuration=configuration, spawner=spawner)
                self._hosts.append(host)
                reader: Reader = host.read
            else:
                reader = reader_of(probe, run)
            # Spread over the period: all at once they would wait for one another, and be late.
            phase_s = number * probe.every_ns / NS / len(probes)
            self._schedules.append(_Schedule(probe, reader, clock, inbox, self._stop, phase_s))

    def first_readings(self, timeout_s: float) -> dict[str, tuple[Reading, str]]:
        """Read every probe that does not write once, all at the same time, before sampling begins.

        Args:
            timeout_s: How long to wait for all of them; one that is not read by then is unreadable.
        """
        silent = [schedule for schedule in self._schedules if not schedule.probe.writes]
        pool = ThreadPoolExecutor(max(len(silent), 1), thread_name_prefix="first-reading")
        asked = {pool.submit(schedule.read): schedule.probe.name for schedule in silent}
        done, _ = wait(asked, timeout_s)
        pool.shutdown(wait=False, cancel_futures=True)
        late = (Reading.UNREADABLE, f"no reading within {timeout_s:g} s")
        return {name: future.result() if future in done else late for future, name in asked.items()}

    def started(self) -> tuple[HostStarted, ...]:
        """Return the records of the hosts of user code. They must be written before `start`."""
        return tuple(host.started() for host in self._hosts)

    def start(self) -> None:
        """Begin sampling."""
        for schedule in self._schedules:
            schedule.start()

    def stop(self, timeout_s: float) -> None:
        """Stop sampling; samples in flight have `timeout_s` to end."""
        self._stop.set()
        until_s = time.monotonic() + timeout_s
        for schedule in self._schedules:
            if schedule.ident is None:
                continue  # A run that is refused stops probes that never began.
            schedule.join(max(until_s - time.monotonic(), 0.0))
        for host in self._hosts:
            host.close()


class _Schedule(threading.Thread):
    """One probe's schedule: hands each slot to a worker, on time."""

    def __init__(
        self,
        probe: Probe,
        reader: Reader,
        clock: RunClock,
        inbox: Inbox,
        stop: threading.Event,
        phase_s: float,
    ) -> None:
        super().__init__(name=f"probe-{probe.name}", daemon=True)
        self.probe = probe
        self._read = reader
        self._clock = clock
        self._inbox = inbox
        self._halt = stop
        self._phase_s = phase_s
        # One more than can be in flight within the timeout, so a slot is never late for want of a worker.
        self._in_flight_max = -(-probe.timeout_ns // probe.every_ns) + 1
        self._free = threading.Semaphore(self._in_flight_max)

    def run(self) -> None:
        pool = ThreadPoolExecutor(self._in_flight_max, thread_name_prefix=self.name)
        due_s = time.monotonic() + self._phase_s
        try:
            while not self._halt.wait(max(due_s - time.monotonic(), 0.0)):
                if self._free.acquire(blocking=False):
                    pool.submit(self._sample)
                else:
                    self._post(self._clock.now_ns(), Reading.UNREADABLE, "no worker was free")
                due_s += self.probe.every_ns / NS
                due_s = self._skip_missed(due_s)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _skip_missed(self, due_s: float) -> float:
        """Slots that we slept through (the machine was suspended, or starved) were not measured."""
        late_s = time.monotonic() - due_s
        period_s = self.probe.every_ns / NS
        if late_s < period_s:
            return due_s
        missed = int(late_s / period_s)
        self._post(self._clock.now_ns(), Reading.UNREADABLE, f"{missed} samples were missed")
        return due_s + missed * period_s

    def _sample(self) -> None:
        sent_ns = self._clock.now_ns()
        try:
            reading, detail = self.read()
        finally:
            self._free.release()
        self._post(sent_ns, reading, detail)

    def read(self) -> tuple[Reading, str]:
        """Take one reading. Never raises: our own failure is unreadable."""
        try:
            return self._read()
        except Exception as error:  # noqa: BLE001 - the thread boundary
            return Reading.UNREADABLE, f"{type(error).__name__}: {error}"[:120]

    def _post(self, sent_ns: int, reading: Reading, detail: str) -> None:
        ended_ns = self._clock.now_ns()
        self._inbox.put((ended_ns, Sample(self.probe.name, sent_ns, ended_ns, reading, detail)))
