"""The asking side of the fork server: hosts are ordered here, and their ends collected."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.hosts.forkserver import PLACEHOLDER, REQUEST_MAX
from gameday.hosts.patience import PREPARING_MOST_S, wait_while_at_work
from gameday.hosts.processes import MARKER

# Idle seconds after which it is given up, and the bound while it is at work. First it imports, then it
# answers at once; what waits for its answer then may be an undo.
FIRST_ANSWER_S = (20.0, PREPARING_MOST_S)
WARM_ANSWER_S = (2.0, 10.0)


@dataclass(frozen=True, slots=True)
class Child:
    """A forked host: its pid, its marker, and our ends of its pipes (owned by whoever holds this)."""

    pid: int
    marker: str
    stdin: int
    stdout: int


class ServerLostError(OSError):
    """The fork server died or does not answer. Not that a fork failed."""


class Spawner:
    """A fork server, started at its first order and started anew when it has died."""

    def __init__(self, log: Path, home: Path | None = None) -> None:
        """Args: home: The working folder of hosts that are given none; None for that of the asker."""
        self._log = log
        self._home = home
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._closed = False
        self._patience = FIRST_ANSWER_S

    def spawn(self, *, cwd: Path | None, log: Path, marker: str) -> Child:
        """Return a new host. Its stderr goes to the end of `log`, `marker` into its environment.

        A server that died is replaced once, and gets an order of its own: a host which the dead one
        may have forked reads the end of its stdin, and leaves.

        Raises:
            OSError: No process can be had.
        """
        try:
            return self._order(cwd, log, marker)
        except ServerLostError:
            return self._order(cwd, log, marker)

    def reap(self, child: Child) -> int | None:
        """Return the exit code of a host that has ended; None when nobody can tell any more."""
        with self._lock:
            if self._sock is None:
                return None  # The server has ended; then init has reaped the host.
            try:
                code = self._exchange(self._sock, {"reap": child.pid}, [])["code"]
            except OSError:
                self._drop()
                return None
        return None if code is None else int(code)

    def close(self) -> None:
        """End the server, for good. Hosts live until their own stdin ends."""
        with self._lock:
            self._closed = True
            self._drop()

    def _order(self, cwd: Path | None, log: Path, marker: str) -> Child:
        where = cwd or self._home
        request = {"fork": marker, "cwd": str(where.resolve()) if where else None}
        stderr = _append(log)
        inlet, stdin = os.pipe()
        stdout, outlet = os.pipe()
        try:
            pid = self._fork(request, [inlet, outlet, stderr])
        except OSError:
            os.close(stdin)
            os.close(stdout)
            raise
        finally:
            for fd in (inlet, outlet, stderr):
                os.close(fd)
        return Child(pid, marker, stdin, stdout)

    def _fork(self, request: dict[str, Any], fds: list[int]) -> int:
        with self._lock:
            if self._closed:
                raise OSError(0, "no more hosts are started: the run is ending")
            sock = self._sock or self._start()
            try:
                reply = self._exchange(sock, request, fds)
            except OSError:
                self._drop()
                raise
        if "error" in reply:
            raise OSError(0, str(reply["error"]))
        return int(reply["pid"])

    def _exchange(self, sock: socket.socket, request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        try:
            socket.send_fds(sock, [json.dumps(request).encode()], fds)
            self._await(sock)
            data = sock.recv(REQUEST_MAX)
        except OSError as error:
            raise ServerLostError(0, f"the fork server does not answer: {error}") from error
        if not data:
            raise ServerLostError(0, f"the fork server ended; its log is {self._log}")
        self._patience = WARM_ANSWER_S
        reply: dict[str, Any] = json.loads(data)
        return reply

    def _await(self, sock: socket.socket) -> None:
        """Wait until there is something to read.

        Raises:
            TimeoutError: The server is idle, or works for longer than anybody can wait.
        """
        assert self._server is not None
        idle_s, most_s = self._patience
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        why = wait_while_at_work(
            self._server.pid, lambda s: bool(poll.poll(s * 1000)), idle_s=idle_s, most_s=most_s
        )
        if why:
            raise TimeoutError(0, why)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        log = _append(self._log)
        try:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "gameday.hosts.actionhost", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
                env={**os.environ, MARKER: PLACEHOLDER},
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(log)
        ours.settimeout(WARM_ANSWER_S[1])  # Of a request that does not fit into the socket.
        self._patience = FIRST_ANSWER_S
        self._sock = ours
        return ours

    def _drop(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        if self._server is not None:
            with suppress(subprocess.TimeoutExpired):
                self._server.wait(0.2)
            self._server.kill()
            self._server.wait()
            self._server = None


def _append(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
