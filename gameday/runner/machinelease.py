"""One drill at a time against one system, whoever starts it and however they spell its address.

The lease is a socket in the kernel's abstract namespace, named after the system that the target says
it is. There it is the same for every user of the machine, needs no folder that all may write to (with
its hostile links, foreign owners and cleaners), ends with the process that holds it, and the kernel
itself names the holder to whoever is refused. It reaches as far as the machine's network namespace:
whoever drills from containers, or from two machines, uses the shared lease (`gameday.runner.lease`).

Source: unix(7), "Abstract sockets", SO_PEERCRED.
"""

from __future__ import annotations

import errno
import hashlib
import pwd
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress

from gameday.errors import Refused

WAIT = "Wait for it, or halt it with `gameday halt`."
_ANSWER_S = 0.5


class MachineLease:
    """Held while a drill runs against a system, so that a second one on this machine is refused."""

    def __init__(self, names: Iterable[str]) -> None:
        """Args: names: Everything that names the system; no two drills may share one of them."""
        self._names = sorted(set(names))
        self._held: list[socket.socket] = []

    def take(self) -> None:
        """Take the lease on all names, or on none.

        Raises:
            Refused: Another drill holds one of them, or it cannot be taken.
        """
        try:
            for name in self._names:
                self._held.append(_bound(name))
        except OSError as error:
            self.release()
            if error.errno == errno.EADDRINUSE:
                said = f"another drill is running against this target ({_holder(name)})"
                raise Refused(said, todo=WAIT) from None
            raise Refused(f"this machine's lease cannot be taken: {error.strerror}") from error

    def release(self) -> None:
        """Give the lease back; harmless when it was never taken."""
        while self._held:
            self._held.pop().close()


def _address(name: str) -> bytes:
    return b"\0gameday-lease-" + hashlib.sha256(name.encode()).hexdigest()[:32].encode()


def _bound(name: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(_address(name))
        sock.listen(64)  # Nobody is ever answered; the kernel says who listens.
    except OSError:
        sock.close()
        raise
    return sock


def _holder(name: str) -> str:
    """Return who holds a lease, as the kernel knows it."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(_ANSWER_S)
            sock.connect(_address(name))
            size = struct.calcsize("3i")
            pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    except OSError:
        return "its holder cannot be told"
    user = str(uid)
    with suppress(KeyError):
        user = pwd.getpwuid(uid).pw_name
    return f"process {pid} of {user}"
