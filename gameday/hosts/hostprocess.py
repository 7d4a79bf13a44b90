"""One process of an action host, from its start to its end, as the runner sees it.

Its end is learnt from the kernel (a pidfd), not from its pipe alone: a child that it forked may keep
the pipe open long after it, and user code may close the pipe and live on.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import Any

from gameday.hosts.processes import start_ticks

REPLY_MAX = 1 << 20


class HostProcess:
    """A spawned host. A thread of its own hears its replies and its end."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        marker: str,
        name: str,
        *,
        on_reply: Callable[[HostProcess, dict[str, Any]], None],
        on_end: Callable[[HostProcess, str], None],
    ) -> None:
        self.pid = process.pid
        self.marker = marker
        self.start_ticks = start_ticks(process.pid) or 0
        self.armed = threading.Event()
        self.refused = ""
        self.is_doomed = False
        self.has_ended = False
        self.killers: list[tuple[threading.Thread, float]] = []
        self._process = process
        self._on_reply = on_reply
        self._on_end = on_end
        try:
            self._pid_fd = os.pidfd_open(process.pid)
            threading.Thread(target=self._listen, name=f"host-{name}", daemon=True).start()
        except (OSError, RuntimeError) as error:
            process.kill()
            process.wait()
            raise OSError(0, f"no means to watch it: {error}") from error

    def write(self, message: dict[str, Any]) -> bool:
        """Send one message; tell whether that was possible."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
        except (OSError, ValueError):
            return False
        return True

    def close(self, timeout_s: float) -> None:
        """Let it end by itself, as its stdin ends, and wait that long for it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout_s)
        except (OSError, subprocess.TimeoutExpired):
            return  # The caller kills it.

    def _listen(self) -> None:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        poll.register(self._pid_fd, select.POLLIN)
        buffer = b""
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if pipe in ready:
                data = os.read(pipe, 65536)
                *lines, buffer = (buffer + data).split(b"\n")
                if len(buffer) > REPLY_MAX:
                    buffer = b""  # No reply of ours is so long.
                for line in lines:
                    self._hear(line)
                if not data:
                    poll.unregister(pipe)
                continue
            if self._pid_fd in ready:
                break
        self._finish()

    def _finish(self) -> None:
        code = self._process.wait()
        os.close(self._pid_fd)
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        self._on_end(self, f"the host {how} before it replied")
        if not self.armed.is_set():
            self.refused = f"it {how} before it was ready; its log says why"
            self.armed.set()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:
                continue

    def _hear(self, line: bytes) -> None:
        try:
            reply = json.loads(line)
            if "token" in reply:
                self._on_reply(self, reply)
            else:
                self.refused = str(reply.get("refused", ""))
                self.armed.set()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return  # Not from the host itself: somebody found its pipe.
