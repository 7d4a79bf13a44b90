"""What stands before every request: is it for us, from our own page, from somebody who was let in?

    host      an address or a name of ours, else 421: a page elsewhere may not rebind its name to us
    session   for everything but the way in, else 401
    write     a header that no form can send, and an Origin that is ourselves, else 403
    size      a body of known length, at most `BODY_MAX` bytes, else 411 or 413

Every answer carries the same headers: no script, style or connection but our own, no frame around us,
nothing kept in caches.

Source: OWASP Cheat Sheet Series, "Cross-Site Request Forgery Prevention" and "Content Security Policy".
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from gameday.console.web.sessions import Sessions

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_MAX = 40 << 10
OURS = b"x-gameday-console"
ENTER = "/enter"
HEADERS = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
            b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
    (b"cache-control", b"no-store"),
)
AWAY = """<!doctype html><html lang="en"><meta charset="utf-8"><title>gameday console</title>
<h1>gameday console</h1><p>You are not let in here (yet, or any more).</p>
<p>Open the link that <code>gameday console</code> printed. It works once; who is in can invite others.</p>
"""


class Guard:
    """An ASGI application around another one that lets nothing else through."""

    def __init__(self, app: App, sessions: Sessions, cookie: str, *, beyond_loopback: bool = False) -> None:
        self._app = app
        self._sessions = sessions
        self._cookie = cookie
        self._beyond = beyond_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = {key.lower(): value for key, value in scope["headers"]}
        refusal = self._refusal(scope, headers)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        if refusal is not None:
            await _refuse(send_guarded, *refusal, page=scope["path"] == "/")
            return
        await self._app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        host = headers.get(b"host", b"").decode("latin-1")
        if not is_ours(host, beyond_loopback=self._beyond):
            return 421, f"this console does not answer to the name {host[:100]!r}"
        secret = cookie_of(headers, self._cookie)
        if scope["path"] != ENTER and not self._sessions.holds(secret):
            return 401, "no session: open the link that `gameday console` printed"
        scope.setdefault("state", {})["secret"] = secret
        if scope["method"] in ("GET", "HEAD"):
            return None
        return _unfit_write(headers, host)


def _unfit_write(headers: dict[bytes, bytes], host: str) -> tuple[int, str] | None:
    """Return why a write is refused; None when it comes from our own page and is not too large."""
    origin = urlsplit(headers.get(b"origin", b"").decode("latin-1"))
    if origin.scheme not in ("http", "https") or origin.netloc != host:
        return 403, "a write must come from this console's own page: its Origin is another"
    if headers.get(b"sec-fetch-site", b"same-origin") != b"same-origin":
        return 403, "a write must come from this console's own page"
    if headers.get(OURS) != b"1":
        return 403, f"a write must carry the header {OURS.decode()}: 1"
    length = headers.get(b"content-length", b"")
    if not length.isdigit():
        return 411, "a write must say how long it is"
    if len(length) > 9 or int(length) > BODY_MAX:
        return 413, f"a body may have {BODY_MAX} bytes"
    return None


def is_ours(host: str, *, beyond_loopback: bool) -> bool:
    """Tell whether a Host header names this machine: an address, never a name that others control."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return beyond_loopback and name in _own_names()
    return beyond_loopback or address.is_loopback


@cache
def _own_names() -> frozenset[str]:
    return frozenset(name.lower() for name in (socket.gethostname(), socket.getfqdn()))


def cookie_of(headers: dict[bytes, bytes], name: str) -> str:
    """Return the value of one cookie; empty when it is not there."""
    try:
        found = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1")).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


async def _refuse(send: Send, status: int, words: str, *, page: bool) -> None:
    if page and status == 401:
        kind, body = b"text/html; charset=utf-8", AWAY.encode()
    else:
        kind, body = b"application/json", json.dumps({"error": words}).encode()
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
