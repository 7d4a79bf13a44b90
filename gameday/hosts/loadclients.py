"""What we see of the requests of an unmodified Locust file, and the timeout where it sets none.

Locust tells its listeners of a request when it has ended. A target that never answers would so be
invisible; therefore the two HTTP clients are wrapped where they send, at their classes, which covers
clients that a file makes by itself. Of a client that is not HTTP only ends are seen, and arrivals.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Headers = Callable[[], dict[str, str]]
_FAST_HEADERS_PLACE = 6  # in FastHttpSession.request, after the session itself


def watch(buckets: Any, *, closed_loop: bool, timeout_s: float, headers: Headers | None) -> None:
    """Wrap `request` of Locust's two HTTP clients.

    Args:
        buckets: Told who waits since when, who was killed while it waited, and (`closed_loop`) of starts.
        closed_loop: Each request is an arrival of its own.
        timeout_s: For requests that give none.
        headers: What each request says of itself besides; None for nothing.
    """
    from locust.clients import HttpSession  # noqa: PLC0415 - after Locust's patching
    from locust.contrib.fasthttp import FastHttpSession  # noqa: PLC0415

    from gameday.hosts import loaddeadlines  # noqa: PLC0415 - gevent too

    http: Any = HttpSession.request
    fast: Any = FastHttpSession.request  # It has timeouts of its own: `fast_timeout`.
    if headers is not None:
        http, fast = _with_headers(http, headers), _with_headers(fast, headers, place=_FAST_HEADERS_PLACE)
    HttpSession.request = _watched(http, buckets, closed_loop=closed_loop, timeout_s=timeout_s)  # type: ignore[method-assign]
    FastHttpSession.request = _watched(fast, buckets, closed_loop=closed_loop)  # type: ignore[method-assign]
    loaddeadlines.keep(buckets.waiting.timed, timeout_s)


def seen_responses() -> frozenset[Any]:
    """Return the types of answers to requests whose start we saw; other clients tell of ends alone."""
    from locust import clients  # noqa: PLC0415 - see watch
    from locust.contrib import fasthttp  # noqa: PLC0415

    return frozenset(
        (
            clients.ResponseContextManager,
            fasthttp.ResponseContextManager,
            fasthttp.FastResponse,
            fasthttp.ErrorResponse,
        )
    )


def fast_timeout(cls: Any, timeout_s: float) -> None:
    """Give a FastHttpUser a timeout, unless its file or a class that it inherits from sets one."""
    for name in ("network_timeout", "connection_timeout"):
        owner = next((c for c in cls.__mro__ if name in vars(c)), None)
        if owner is not None and owner.__module__.startswith("locust."):
            setattr(cls, name, timeout_s)


def _watched(
    send: Callable[..., Any], buckets: Any, *, closed_loop: bool, timeout_s: float | None = None
) -> Callable[..., Any]:
    """Return `send`, noting who waits; with `timeout_s`, for a client whose requests may have no timeout."""
    from gevent import GreenletExit, getcurrent  # noqa: PLC0415 - Locust's own

    sent, timed, clock = buckets.waiting.sent, buckets.waiting.timed, time.perf_counter

    def request(session: Any, *args: Any, **more: Any) -> Any:
        waits = timed
        if timeout_s is None or more.get("timeout") is not None:
            waits = sent
        elif more.get("stream"):  # Its body is read later, when nobody looks: the socket has to.
            waits, more["timeout"] = sent, timeout_s
        who = getcurrent()
        waits[who] = clock()
        if closed_loop:
            buckets.arrived()
        try:
            return send(session, *args, **more)
        except GreenletExit:
            buckets.waiting.arrivals.pop(who, None)
            buckets.stopped()
            raise
        finally:
            waits.pop(who, None)

    return request


def _with_headers(send: Callable[..., Any], headers: Headers, place: int | None = None) -> Callable[..., Any]:
    """Return `send`, with headers added; `place` is theirs where the client takes them by position too."""

    def request(session: Any, *args: Any, **more: Any) -> Any:
        if place is not None and len(args) > place:
            args = (*args[:place], {**(args[place] or {}), **headers()}, *args[place + 1 :])
        else:
            more["headers"] = {**(more.get("headers") or {}), **headers()}
        return send(session, *args, **more)

    return request


def kind_of(exception: Any, response: Any) -> str:
    """Name a failure: refused, reset, timeout, dns, tls, http-503, assertion, other."""
    status = getattr(response, "status_code", 0) or 0
    if status >= 400:
        return f"http-{status}"
    text = f"{type(exception).__name__} {exception}".lower()
    for kind, words in (
        ("refused", ("refused",)),
        ("timeout", ("timeout", "timed out")),
        ("dns", ("getaddrinfo", "gaierror", "name or service", "resolve")),
        ("tls", ("ssl", "certificate")),
        ("reset", ("reset", "broken pipe", "closed", "aborted", "disconnected")),
        ("assertion", ("catchresponse", "assertion")),
    ):
        if any(word in text for word in words):
            return kind
    return "other"
