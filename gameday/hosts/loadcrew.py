"""All generators of one load: they share it out, and when one dies the others take over its share.

A load of `processes: N` is N load hosts on this machine. Each gets its part of the rate or the users,
parts that add up exactly, and numbers its buckets; whoever reads buckets adds them up. A generator that
dies, or says nothing for SILENT_S (it sends ten slices a second), is killed for good and the load is
`short` at once: its part was not offered until the others had it. With the last one the load is `lost`.

A load with `workers` is one load host, which is their Locust master and does the same for them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from gameday.history.loadevents import LoadReported
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import Inbox
from gameday.hosts.load import LoadHost, ask_of
from gameday.hosts.shares import later, part_of, share_of_users
from gameday.hosts.words import one_line
from gameday.plan.model import Load

SILENT_S = 3.0
_LOOK_EVERY_S = 0.25


class LoadCrew:
    """The generators of one load, used as if they were one."""

    def __init__(self, load: Load, *, project: Path, folder: Path, clock: RunClock, inbox: Inbox) -> None:
        self._load = load
        self._clock = clock
        self._inbox = inbox
        self._hosts = tuple(
            LoadHost(
                replace(load, max_users=share_of_users(load.max_users, number, load.processes)),
                project=project,
                folder=folder if load.processes == 1 else folder / str(number + 1),
                clock=clock,
                inbox=inbox,
                generator=number,
                report=lambda event, number=number: self._reported(number, event),  # type: ignore[misc]
            )
            for number in range(load.processes)
        )
        self._lock = threading.Lock()
        self._alive = list(self._hosts)
        self._unanswered: set[int] = set()
        self._asked: dict[str, Any] | None = None
        self._asked_s = 0.0
        self._working: set[int] = set()  # Those that were ever told to start.
        self._ended = threading.Event()

    def hosts(self) -> Iterator[tuple[str, LoadHost]]:
        """Yield each generator with the name it has in records."""
        for host in self._hosts:
            number = f"-{host.generator + 1}" if len(self._hosts) > 1 else ""
            yield f"load-{self._load.name}{number}", host

    def arm(self, timeout_s: float) -> None:
        """Start all generators and wait until each is ready and idle; with workers, until they came.

        Raises:
            Refused: The file cannot be run, is not the plan's, or too few workers came.
        """
        for host in self._hosts:
            host.launch()
        for host in self._hosts:
            host.await_ready(timeout_s)
        if len(self._hosts) > 1:
            threading.Thread(target=self._watch, name="load-crew", daemon=True).start()

    def start(self, rate_per_1000s: int | None, users: int | None) -> None:
        """Begin to send load, shared out over the generators."""
        self._ask(rate_per_1000s, users)

    def change(self, rate_per_1000s: int | None, users: int | None) -> None:
        """Change the load from this instant on."""
        self._ask(rate_per_1000s, users)

    def stop(self) -> None:
        """Stop sending; Locust stays for its last words until `close`."""
        with self._lock:
            self._asked = None
            self._unanswered = {host.generator for host in self._alive}
            for host in self._alive:
                host.stop()

    def at_step(self, step: str) -> None:
        """Name the step that runs from now on, for the headers of each request."""
        for host in self._hosts:
            host.at_step(step)

    def kill(self) -> None:
        """Kill all generators and everything they started."""
        self._ended.set()
        for host in self._hosts:
            host.kill()

    def close(self) -> None:
        """End all generators together: by command, then SIGINT, then SIGKILL."""
        self._ended.set()
        threads = [threading.Thread(target=host.close, name="load-close") for host in self._hosts[1:]]
        for thread in threads:
            thread.start()
        self._hosts[0].close()
        for thread in threads:
            thread.join()

    def _ask(self, rate_per_1000s: int | None, users: int | None) -> None:
        with self._lock:
            self._asked = {**ask_of(rate_per_1000s, users), "max_users": self._load.max_users}
            self._asked_s = time.monotonic()
            self._share_out()

    def _share_out(self) -> None:
        """Give each living generator its part. Called with the lock held."""
        assert self._asked is not None
        self._unanswered = set()
        for place, host in enumerate(self._alive):
            part = part_of(self._asked, place, len(self._alive))
            if part is None:
                if host.generator in self._working:  # There is less than one for each.
                    host.stop()
                continue
            self._unanswered.add(host.generator)
            host.obey("change" if host.generator in self._working else "start", part)
            self._working.add(host.generator)

    def _reported(self, number: int, event: LoadReported) -> None:
        """Take what one generator says. Called from the thread that listens to it."""
        with self._lock:
            if event.state == "lost":
                self._lost(number, event.detail)
            elif event.state == "short" or len(self._hosts) == 1:
                self._post(event.state, event.detail)
            elif number in self._unanswered:
                self._unanswered.discard(number)
                if not self._unanswered:
                    self._post(event.state, event.detail)

    def _lost(self, number: int, detail: str) -> None:
        self._alive = [host for host in self._alive if host.generator != number]
        self._unanswered.discard(number)
        if not self._alive:
            self._post("lost", detail)
            return
        left = f"generator {number + 1} of {len(self._hosts)} was lost: {detail}"
        self._post("short", f"{left}; the other {len(self._alive)} take over its share")
        if self._asked is not None:
            now_s = time.monotonic()
            stages = [astuple(stage) for stage in self._load.stages]
            self._asked = later(self._asked, stages, now_s - self._asked_s)
            self._asked_s = now_s
            self._share_out()

    def _watch(self) -> None:
        """A generator that is stopped or hangs ends no pipe: its silence must tell."""
        looked_ns = since_ns = self._clock.now_ns()
        while not self._ended.wait(_LOOK_EVERY_S):
            now_ns = self._clock.now_ns()
            if now_ns - looked_ns > 1e9:
                since_ns = now_ns  # It was this process that stood still.
            looked_ns = now_ns
            with self._lock:
                silent = [h for h in self._alive if now_ns - max(h.heard_ns, since_ns) > SILENT_S * 1e9]
            for host in silent:
                host.end(f"it said nothing for {SILENT_S:g} s")

    def _post(self, state: str, detail: str) -> None:
        event = LoadReported(self._load.name, state, one_line(detail))
        self._inbox.put((self._clock.now_ns(), event))
