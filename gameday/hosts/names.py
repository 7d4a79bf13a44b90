"""Names to addresses within a deadline: the C library's resolver keeps none, and nobody can end it.

It may wait half a minute for a name server that is silent, so a name is looked up in a thread of its
own, which is left behind when the time is up. At most `STUCK_MAX` of those are out at once. A numeric
address needs no look-up and costs what it did before.

What a failed look-up says: that a name does not exist (or has no address) is
an answer, which users of the target get too, so it is **bad**. That nobody answered says nothing about
the target: the resolver is the prober's own, and it alone may be broken. So it is **unreadable**, and
halts by silence; unless the plan says `resolver: target`, for a drill in which the name service is part
of what is tested, where it is bad like any other silence.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

STUCK_MAX = 16
_NO_ANSWER = (socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM, socket.EAI_MEMORY)
Info = tuple[Any, ...]
Ask = Callable[[str, int], Sequence[Info]]


class Unresolved(OSError):
    """No name server answered, in time or at all. Not that the name does not exist: that is an answer."""


def _ask(host: str, port: int) -> Sequence[Info]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Resolver:
    """Looks names up, each in a thread of its own; so many at most may be stuck."""

    def __init__(self, ask: Ask = _ask, stuck_max: int = STUCK_MAX) -> None:
        self._ask = ask
        self._free = threading.BoundedSemaphore(stuck_max)

    def addresses(self, host: str, port: int, until_s: float) -> Sequence[Info]:
        """Return the addresses of a name for TCP, as getaddrinfo does.

        Args:
            host: A name or an address.
            port: A port.
            until_s: The deadline, by the monotonic clock.

        Raises:
            Unresolved: No name server answered.
            socket.gaierror: The name does not exist, or has no address.
        """
        try:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except (socket.gaierror, UnicodeError):
            return self._look_up(host, port, until_s)

    def _look_up(self, host: str, port: int, until_s: float) -> Sequence[Info]:
        if not self._free.acquire(blocking=False):
            raise Unresolved(0, "name look-ups hang")
        found: list[Sequence[Info] | OSError | UnicodeError] = []
        done = threading.Event()

        def work() -> None:
            try:
                found.append(self._ask(host, port))
            except (OSError, UnicodeError) as error:
                found.append(error)
            finally:
                self._free.release()
                done.set()

        try:
            threading.Thread(target=work, name="look-up", daemon=True).start()
        except RuntimeError as error:
            self._free.release()
            raise Unresolved(0, "no thread for a name look-up") from error
        if not done.wait(max(until_s - time.monotonic(), 0.0)):
            raise Unresolved(0, "no answer from the name server")
        return _judged(found[0])


def _judged(found: Sequence[Info] | OSError | UnicodeError) -> Sequence[Info]:
    if isinstance(found, UnicodeError):
        raise socket.gaierror(socket.EAI_NONAME, "not a name") from found
    if isinstance(found, socket.gaierror) and found.errno not in _NO_ANSWER:
        raise found
    if isinstance(found, OSError):
        raise Unresolved(0, "no answer from the name server") from found
    return found


RESOLVER = Resolver()  # One for the process, because what is stuck is.
