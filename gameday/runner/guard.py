"""The runner's side of the watchdog: start it first, beat for it, notice when it dies.

The watchdog reads a pipe. A byte is a heartbeat; `E` is the clean end; an end of file without it
means the runner is dead. The runner in turn waits for the watchdog's death and replaces it.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gameday.errors import Refused
from gameday.history.events import HostLostReported
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import Inbox
from gameday.hosts.patience import IDLE_S, PREPARING_MOST_S, wait_while_at_work

BEAT_EVERY_NS = 200_000_000
BEAT_LATE_S = 3.0
BEAT, CLEAN_END = b".", b"E"
LONGER_S = 5.0  # Than the watchdog waits for its hosts, so that it can say which of them is not ready.


class Guard:
    """A running watchdog."""

    def __init__(
        self,
        run_dir: Path,
        *,
        project: Path,
        values: Mapping[str, str],
        names: tuple[str, ...],
        runner_ticks: int,
        clock: RunClock,
        inbox: Inbox,
    ) -> None:
        self._clock = clock
        self._inbox = inbox
        self._beat_ns = 0
        self._ending = False
        self.is_lost = False
        log = (run_dir / "hosts" / "watchdog.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gameday.runner.watchdog", str(run_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        config = {
            "origin_boot_ns": str(clock.origin_boot_ns),
            "values": dict(values),
            "names": names,
            "project": str(project.resolve()),
            "runner_pid": os.getpid(),
            "runner_ticks": runner_ticks,
        }
        self._write(json.dumps(config).encode() + b"\n")
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)

    @property
    def pid(self) -> int:
        """The watchdog's process id."""
        return self._process.pid

    def wait_armed(self) -> None:
        """Wait until the watchdog's own undo hosts are armed.

        Raises:
            Refused: It cannot arm them.
        """
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = b""
            why = wait_while_at_work(
                self._process.pid,
                lambda s: bool(selector.select(s)),
                idle_s=IDLE_S + LONGER_S,
                most_s=PREPARING_MOST_S + LONGER_S,
            )
            if not why:
                line = self._process.stdout.readline()
        if line.strip() != b"armed":
            answer = line.decode(errors="replace").strip() or why or "it gave no answer"
            raise Refused(
                f"the watchdog cannot be armed: {answer}",
                todo="Read hosts/watchdog.log in the run folder. Nothing was injected.",
            )
        threading.Thread(target=self._wait, name="guard", daemon=True).start()

    def beat(self) -> None:
        """Tell the watchdog that the deciding thread is alive; cheap enough for every tick."""
        now_ns = self._clock.now_ns()
        if now_ns - self._beat_ns >= BEAT_EVERY_NS:
            self._beat_ns = now_ns
            self._write(BEAT)

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Beat from a thread while the run is armed: its many waits have deadlines of their own.

        The loop beats by itself afterwards, so that from the first effect on a beat means that the
        deciding thread is alive.
        """
        done = threading.Event()

        def beat() -> None:
            self.beat()
            while not done.wait(BEAT_EVERY_NS / 1e9):
                self.beat()

        thread = threading.Thread(target=beat, name="arming-beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def end(self) -> None:
        """Say that the run has ended cleanly, and wait for the watchdog to leave."""
        self._ending = True
        self._write(CLEAN_END)
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(5)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            os.write(self._process.stdin.fileno(), data)
        except (OSError, ValueError):
            return  # It is dead, which `_wait` reports, or it is behind and has beats enough to read.

    def _wait(self) -> None:
        code = self._process.wait()
        if not self._ending:
            self.is_lost = True
            event = HostLostReported(host="watchdog", role="watchdog", detail=f"it ended with {code}")
            self._inbox.put((self._clock.now_ns(), event))
