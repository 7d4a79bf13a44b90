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

    watched = _watched(buckets, closed_loop=closed_loop)
    HttpSession.request = watched(_with_timeout(HttpSession.request, timeout_s, headers))  # type: ignore[method-assign]
    fast: Any = FastHttpSession.request
    if headers is not None:
        fast = _with_headers(fast, headers)
    FastHttpSession.request = watched(fast)  # type: ignore[method-assign]


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


def _watched(buckets: Any, *, closed_loop: bool) -> Callable[[Any], Any]:
    from gevent import GreenletExit, getcurrent  # noqa: PLC0415 - Locust's own

    sent, clock = buckets.waiting.sent, time.perf_counter

    def wrap(send: Any) -> Any:
        def request(session: Any, *args: Any, **more: Any) -> Any:
            who = getcurrent()
            sent[who] = clock()
            if closed_loop:
                buckets.arrived()
            try:
                return send(session, *args, **more)
            except GreenletExit:
                buckets.waiting.arrivals.pop(who, None)
                buckets.stopped()
                raise
            finally:
                sent.pop(who, None)

        return request

    return wrap


def _with_timeout(send: Any, timeout_s: float, headers: Headers | None) -> Any:
    from gevent import getcurrent  # noqa: PLC0415 - Locust's own

    from gameday.hosts.loaddeadlines import Deadlines  # noqa: PLC0415 - gevent too

    deadlines = Deadlines(timeout_s)
    begin, end = deadlines.begin, deadlines.end

    def request(session: Any, *args: Any, **more: Any) -> Any:
        if headers is not None:
            more["headers"] = {**(more.get("headers") or {}), **headers()}
        if more.get("timeout") is not None:
            return send(session, *args, **more)
        if more.get("stream"):  # Its body is read later, when nobody looks: the socket has to.
            return send(session, *args, **{**more, "timeout": timeout_s})
        who = getcurrent()
        begin(who)
        try:
            return send(session, *args, **more)
        finally:
            end(who)

    return request


def _with_headers(send: Any, headers: Headers) -> Any:
    place = 6  # of `headers` in FastHttpSession.request, which takes it by position too

    def request(session: Any, *args: Any, **more: Any) -> Any:
        if len(args) > place:
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
