"""One HTTP exchange with a hard deadline, over a new connection unless the plan says otherwise.

Keep-alive and cached names hide a failover, so each sample resolves, connects and asks anew. The
deadline covers all of it: a server that drips a byte a second is cut off like one that is silent.
http.client is used because it costs a quarter of what richer clients do, at ten samples a second.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

BODY_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status, or what went wrong instead. `sent` is False when nothing left us."""

    status: int | None
    body: bytes
    error: str
    sent: bool


class _Deadline(http.client.HTTPConnection):
    """A connection whose every read and write gets only what is left of the time."""

    def __init__(self, host: str, port: int, until_s: float) -> None:
        super().__init__(host, port, timeout=max(until_s - time.monotonic(), 0.001))

    def shrink(self, until_s: float) -> None:
        if self.sock is not None:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("timed out")
            self.sock.settimeout(left_s)


class _TimedReply(http.client.HTTPResponse):
    """A reply whose head, too, gets only what is left: a head that drips is cut off like a body."""

    def __init__(self, sock: socket.socket, until_s: float, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        # The reader that the library made stays open beneath ours, because it keeps the socket open.
        self.fp = io.BufferedReader(_Timed(sock, self.fp.detach(), until_s))


class _Timed(io.RawIOBase):
    """Reads from a socket, giving each read only what is left of the time."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, until_s: float) -> None:
        super().__init__()
        self._sock, self._raw, self._until_s = sock, raw, until_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        if self._sock.fileno() >= 0:  # Closed on our side already once the head said `close`.
            self._sock.settimeout(left_s)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def exchange(
    url: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float,
    body_max: int = BODY_MAX,
) -> Answer:
    """Send one request and return what came of it, within `timeout_s`. Never raises for the target."""
    until_s = time.monotonic() + timeout_s
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = _Deadline(parts.hostname or "", port, until_s)
    connection.response_class = partial(_TimedReply, until_s=until_s)  # type: ignore[assignment]
    sent = False
    try:
        if parts.scheme == "https":
            _wrap_tls(connection, parts.hostname or "", until_s)
        else:
            connection.connect()
        connection.shrink(until_s)
        sent = True
        connection.request(method, path, body=body, headers={"Connection": "close", **(headers or {})})
        connection.shrink(until_s)
        reply = connection.getresponse()
        data = _read(connection, reply, until_s, body_max)
    except (OSError, http.client.HTTPException) as error:
        return Answer(None, b"", _kind(error), sent)
    finally:
        connection.close()
    return Answer(reply.status, data, "", sent)


def _wrap_tls(connection: _Deadline, host: str, until_s: float) -> None:
    import ssl  # noqa: PLC0415 - most drills never need it

    connection.connect()
    connection.shrink(until_s)
    connection.sock = ssl.create_default_context().wrap_socket(connection.sock, server_hostname=host)


def _read(connection: _Deadline, reply: http.client.HTTPResponse, until_s: float, body_max: int) -> bytes:
    data = bytearray()
    while len(data) < body_max:
        connection.shrink(until_s)
        more = reply.read1(65536)
        if not more:
            break
        data += more
    return bytes(data)


def _kind(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionResetError | BrokenPipeError | http.client.RemoteDisconnected):
        return "reset"
    if isinstance(error, socket.gaierror):
        return "name not found"
    if isinstance(error, http.client.HTTPException):
        return f"not HTTP: {type(error).__name__}"
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else type(error).__name__
