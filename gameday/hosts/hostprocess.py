"""One process of an action host, from its start to its end, as the runner sees it.

Its end is learnt from the kernel (a pidfd), not from its pipe alone: a child that it forked may keep
the pipe open long after it, and user code may close the pipe and live on.
"""

from __future__ import annotations

import json
import os
import select
import signal
import threading
from collections.abc import Callable
from typing import Any

from gameday.hosts.processes import send
from gameday.hosts.spawner import Child, Spawner
from gameday.procfs import start_ticks

REPLY_MAX = 1 << 20


class HostProcess:
    """A spawned host. A thread of its own hears its replies and its end."""

    def __init__(
        self,
        child: Child,
        spawner: Spawner,
        name: str,
        *,
        on_reply: Callable[[HostProcess, dict[str, Any]], None],
        on_end: Callable[[HostProcess, str], None],
        on_note: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.pid = child.pid
        self.marker = child.marker
        self.start_ticks = start_ticks(child.pid) or 0
        self.armed = threading.Event()
        self.refused = ""
        self.is_doomed = False
        self.has_ended = False
        self.killers: list[tuple[threading.Thread, float]] = []
        self._child = child
        self._spawner = spawner
        self._over = threading.Event()
        self._pipe_lock = threading.Lock()
        self._stdin: int | None = child.stdin
        self._on_reply = on_reply
        self._on_end = on_end
        self._on_note = on_note
        try:
            self._pid_fd = os.pidfd_open(child.pid)
            threading.Thread(target=self._listen, name=f"host-{name}", daemon=True).start()
        except (OSError, RuntimeError) as error:
            send(child.pid, signal.SIGKILL)
            os.close(child.stdout)
            self._close_stdin()
            raise OSError(0, f"no means to watch it: {error}") from error

    def leader(self) -> int:
        """Return the pid whose session is this host's; 0 when that pid names another process by now.

        While a member of the session lives the pid is not given away, so a session without its
        leader is still this host's own.
        """
        return self.pid if start_ticks(self.pid) in (None, self.start_ticks) else 0

    def write(self, message: dict[str, Any]) -> bool:
        """Send one message; tell whether that was possible."""
        with self._pipe_lock:
            if self._stdin is None:
                return False
            data = json.dumps(message).encode() + b"\n"
            try:
                while data:
                    data = data[os.write(self._stdin, data) :]
            except OSError:
                return False
        return True

    def close(self, timeout_s: float) -> None:
        """Let it end by itself, as its stdin ends, and wait that long for it."""
        self._close_stdin()
        self._over.wait(timeout_s)  # Where that is not enough the caller kills it.

    def _close_stdin(self) -> None:
        with self._pipe_lock:
            if self._stdin is not None:
                os.close(self._stdin)
                self._stdin = None

    def _listen(self) -> None:
        pipe = self._child.stdout
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
        how = _how(self._spawner.reap(self._child))
        os.close(self._pid_fd)
        self._over.set()
        self._on_end(self, f"the host {how} before it replied")
        if not self.armed.is_set():
            self.refused = f"it {how} before it was ready; its log says why"
            self.armed.set()
        os.close(self._child.stdout)
        self._close_stdin()

    def _hear(self, line: bytes) -> None:
        try:
            reply = json.loads(line)
            if "token" in reply:
                self._on_reply(self, reply)
            elif "note" in reply:
                if self._on_note is not None:
                    self._on_note(reply["note"])
            else:
                self.refused = str(reply.get("refused", ""))
                self.armed.set()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return  # Not from the host itself: somebody found its pipe.


def _how(code: int | None) -> str:
    if code is None:
        return "ended"
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
