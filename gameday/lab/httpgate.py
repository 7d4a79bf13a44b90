"""Answer some HTTP requests with an error of the proxy's own: the service behind never hears of them.

A gate watches what a client sends on one connection. Where that begins like HTTP/1.1 it finds where
each request begins and ends, and asks for each whether it shall fail. Anything it does not follow
(another protocol, a chunked body, an upgrade) passes unseen from then on: a proxy must not break what
it does not understand.

Source: RFC 9112, sections 3 and 6.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus

HEAD_MAX = 65536
_FIRST = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) \S+ HTTP/1\.[01]\r\n")
_METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"OPTIONS ")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n", re.IGNORECASE)
_UNFOLLOWED = re.compile(rb"\r\n(transfer-encoding|upgrade|expect):", re.IGNORECASE)


class HttpGate:
    """The requests of one connection, in order."""

    def __init__(self, choose: Callable[[], int | None]) -> None:
        """`choose` returns the status with which the next request fails, or None to let it pass."""
        self._choose = choose
        self._head = b""
        self._body_left = 0
        self._status: int | None = None
        self._is_blind = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return what goes on to the service, and what is answered to the client instead."""
        onward, answers = b"", b""
        while data and not self._is_blind:
            if self._body_left:
                part, data = data[: self._body_left], data[self._body_left :]
                self._body_left -= len(part)
                onward += b"" if self._status else part
            else:
                data = self._take_head(data)
                if self._head:
                    break  # It is not whole yet, or it is blind now.
                onward += b"" if self._status else self._passed
            if self._status and not self._body_left:
                answers += answer(self._status)
                self._status = None
        if self._is_blind:
            onward += self._head + data
            self._head = b""
        return onward, answers

    def _take_head(self, data: bytes) -> bytes:
        """Read a request's head, decide on it, and return what follows it."""
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            starts = any(m.startswith(self._head[:8]) or self._head.startswith(m) for m in _METHODS)
            self._is_blind = not starts or len(self._head) > HEAD_MAX
            return b""
        head, rest = self._head[: end + 4], self._head[end + 4 :]
        if not _FIRST.match(head) or _UNFOLLOWED.search(head):
            self._is_blind = True
            return b""
        length = _LENGTH.search(head)
        self._body_left = int(length[1]) if length else 0
        self._status = self._choose()
        self._passed, self._head = head, b""
        return rest


def answer(status: int) -> bytes:
    """Return an error as a service would give it; the connection stays open."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Injected"
    body = json.dumps({"error": f"{phrase.lower()}: injected by a fault"}).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
