"""One HTTP exchange with a hard deadline, over a new connection unless the plan says otherwise.

Keep-alive and cached names hide a failover, so each sample resolves, connects and asks anew. The
deadline covers all of it: a server that drips a byte a second, in its headers or its body, is cut off
like one that is silent, and a name with several addresses gets one deadline, not one for each.
http.client is used because it costs a quarter of what richer clients do, at ten samples a second.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gameday.hosts.names import RESOLVER, Unresolved

BODY_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status, or what went wrong instead. `sent` is False when nothing left us.

    `unresolved`: no name server answered, so nobody knows what the target would have said.
    """

    status: int | None
    body: bytes
    error: str
    sent: bool
    unresolved: bool = False


class _Deadline(http.client.HTTPConnection):
    """A connection whose every read and write gets only what is left of the time."""

    def __init__(self, host: str, port: int, until_s: float) -> None:
        super().__init__(host, port)
        self._until_s = until_s

    def connect(self) -> None:
        self.sock = _Timed(connect(self.host, self.port, self._until_s), self._until_s)


class _Timed:
    """A socket under one deadline: what http.client asks of a socket, and no more."""

    def __init__(self, sock: socket.socket, until_s: float) -> None:
        self.raw = sock
        self._until_s = until_s

    def sendall(self, data: Any) -> None:
        self.raw.settimeout(left_s(self._until_s))
        self.raw.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reads(self.raw, self._until_s))

    def close(self) -> None:
        self.raw.close()


class _Reads(io.RawIOBase):
    """A socket's bytes; a read that would end after the deadline does not wait for it.

    http.client closes a connection as soon as the head of its answer says `close`, with the body still
    to come. The socket's own file object keeps it open until the body has been read.
    """

    def __init__(self, sock: socket.socket, until_s: float) -> None:
        self._sock = sock
        self._bytes = sock.makefile("rb", buffering=0)
        self._until_s = until_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(left_s(self._until_s))
        return self._bytes.readinto(buffer) or 0

    def close(self) -> None:
        self._bytes.close()
        super().close()


def left_s(until_s: float) -> float:
    """Return how much time is left.

    Raises:
        TimeoutError: None is.
    """
    left = until_s - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def connect(host: str, port: int, until_s: float) -> socket.socket:
    """Connect to the first address of a name that takes it, all of them within one deadline.

    Raises:
        Unresolved: No name server answered.
        OSError: None did, in time; the last address says why.
    """
    problem: OSError = socket.gaierror(socket.EAI_NONAME, "the name has no address")
    for family, kind, protocol, _, address in RESOLVER.addresses(host, port, until_s):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(left_s(until_s))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            problem = error
            continue
        return sock
    raise problem


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
    sent = False
    try:
        connection.connect()
        if parts.scheme == "https":
            _wrap_tls(connection, parts.hostname or "", until_s)
        left_s(until_s)
        sent = True
        connection.request(method, path, body=body, headers={"Connection": "close", **(headers or {})})
        reply = connection.getresponse()
        data = _read(reply, body_max)
    except (OSError, http.client.HTTPException) as error:
        return Answer(None, b"", kind_of(error), sent, isinstance(error, Unresolved))
    finally:
        connection.close()
    return Answer(reply.status, data, "", sent)


def _wrap_tls(connection: _Deadline, host: str, until_s: float) -> None:
    import ssl  # noqa: PLC0415 - most drills never need it

    plain: Any = connection.sock
    plain.raw.settimeout(left_s(until_s))
    plain.raw = ssl.create_default_context().wrap_socket(plain.raw, server_hostname=host)


def _read(reply: http.client.HTTPResponse, body_max: int) -> bytes:
    """Return the body, at most `body_max` of it.

    Raises:
        http.client.IncompleteRead: The connection ended before the body did.
    """
    data = bytearray()
    while len(data) < body_max:
        more = reply.read1(65536)
        if not more:
            break
        data += more
    if reply.length and len(data) < body_max:
        raise http.client.IncompleteRead(bytes(data), reply.length)
    return bytes(data)


def kind_of(error: Exception) -> str:
    """Name what went wrong in a word or two, as samples have it."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, http.client.IncompleteRead):
        return "cut off"
    if isinstance(error, ConnectionResetError | BrokenPipeError | http.client.RemoteDisconnected):
        return "reset"
    if isinstance(error, socket.gaierror):
        return "name not found"
    if isinstance(error, http.client.HTTPException):
        return f"not HTTP: {type(error).__name__}"
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else type(error).__name__
