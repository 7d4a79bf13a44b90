"""The mould of the action hosts: one process that has imported what they all need forks each of them.

The import costs a third of a second of processor time, and a drill arms a dozen hosts and its
watchdog as many; a fork costs milliseconds. This process runs no user code itself: it holds no more
than a socket to whoever asks (SOCK_SEQPACKET, a JSON object each way, descriptors passed beside it):

    → {"fork": MARKER, "cwd": DIR | null} + stdin, stdout, stderr    ← {"pid": n} | {"error": "why"}
    → {"reap": PID}                                                  ← {"code": n | null}

A host that has ended stays a zombie until it is reaped, so that its pid names nothing else until
then. The end of the socket says that the asker is gone: nothing more is forked.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gameday.hosts.processes import MARKER, MARKER_LENGTH

PLACEHOLDER = "-" * MARKER_LENGTH
REQUEST_MAX = 8192


def serve(sock: socket.socket, host: Callable[[], None]) -> None:
    """Fork a child that calls `host` for each request, until the socket ends.

    Args:
        sock: Where requests come from.
        host: What a child does with its stdin, stdout and stderr in place. It must not return.
    """
    while True:
        data, fds, _, _ = socket.recv_fds(sock, REQUEST_MAX, 3)
        if not data:
            return
        try:
            reply = _answer(json.loads(data), fds, sock, host)
        except OSError as error:
            reply = {"error": str(error)}
        finally:
            for fd in fds:
                os.close(fd)
        with suppress(OSError):
            sock.send(json.dumps(reply).encode())


def _answer(
    asked: dict[str, Any], fds: list[int], sock: socket.socket, host: Callable[[], None]
) -> dict[str, Any]:
    if "reap" in asked:
        try:
            pid, status = os.waitpid(asked["reap"], os.WNOHANG)
        except ChildProcessError:
            return {"code": None}
        return {"code": os.waitstatus_to_exitcode(status) if pid else None}
    ready, say = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(ready)
        os.close(say)
        raise
    if pid == 0:
        _child(asked, [*fds, say], sock, host)
    os.close(say)
    try:
        # Until the child has a session of its own, nobody could kill it by that session.
        if os.read(ready, 1):
            return {"pid": pid}
    finally:
        os.close(ready)
    os.waitpid(pid, 0)
    return {"error": "the host ended before it had begun; its log says why"}


def _child(asked: dict[str, Any], fds: list[int], sock: socket.socket, host: Callable[[], None]) -> None:
    """Be a host, and never return to the loop of the server."""
    try:
        sock.close()
        *standard, say = fds
        _become(asked["fork"], asked["cwd"], standard)
        os.write(say, b"+")
        os.close(say)
        host()
    except BaseException:  # noqa: BLE001 - the end of a process of its own: its log says why
        traceback.print_exc()
    finally:
        os._exit(70)


def _become(marker: str, cwd: str | None, fds: list[int]) -> None:
    """Take a session, a name and a place of one's own."""
    os.setsid()
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
    for fd in fds:
        if fd > 2:
            os.close(fd)
    if cwd is not None:
        os.chdir(cwd)
    _mark(marker)


def _mark(marker: str) -> None:
    """Write the marker into this process's environment as the kernel shows it.

    /proc/PID/environ shows the memory that the process was started with, so the placeholder is
    overwritten there: whoever has to kill what a host only forked finds it by this.

    Raises:
        OSError: It does not show. A host that could not be found must not run.
    """
    libc = ctypes.CDLL(None)
    libc.getenv.restype = ctypes.c_void_p
    address = libc.getenv(MARKER.encode())
    if address and len(marker) == MARKER_LENGTH and ctypes.string_at(address) == PLACEHOLDER.encode():
        ctypes.memmove(address, marker.encode(), MARKER_LENGTH)
    with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - a page of memory, not a path
        if f"{MARKER}={marker}".encode() not in file.read().split(b"\0"):
            raise OSError(f"the marker {marker} does not show in the environment")
    os.environ[MARKER] = marker
