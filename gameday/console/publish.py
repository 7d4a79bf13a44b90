"""Tell others how a run goes: metrics to be scraped, spans and annotations that are sent.

A process of its own that reads the run folder and nothing else. It is never in the run's way: whatever
happens to it, to those it tells, or to the network between changes nothing for the drill.

    Feed        one run: its follower under a lock, its outlets; records reach every outlet exactly once
    Publisher   the loop: reads, sends, ends with the run, or stays and goes on with the next one
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from gameday.console.annotations import Annotations
from gameday.console.follow import Follower
from gameday.console.metrics import OPEN_METRICS, PLAIN, exposition
from gameday.console.outlets import Grafana, Otlp, Outlet, grafana, otlp
from gameday.console.spans import Spans
from gameday.errors import GameDayError, UsageError
from gameday.hosts.clock import boot_ns

EVERY_S = 0.2
LINGER_S = 30.0
FLUSH_S = 10.0
SCRAPES_MAX = 8
PATIENCE_S = 5.0


@dataclass(slots=True)
class Feed:
    """One run and everybody who is told of it."""

    follower: Follower
    outlets: list[Outlet]
    lock: threading.Lock = field(default_factory=threading.Lock)
    scraped_at_end: bool = False

    def read(self) -> None:
        """Take in what is new and put it in the outlets' queues."""
        with self.lock:
            for record in self.follower.drain():
                wall_ns = self.follower.wall_ns(record.at_ns)
                for outlet in self.outlets:
                    outlet.take(record, wall_ns)

    def page(self, *, is_open: bool) -> str:
        """Return the metrics as they are now."""
        self.read()
        with self.lock:
            follower = self.follower
            now_ns = follower.ended_ns if follower.ended is not None else boot_ns() - follower.origin_boot_ns
            self.scraped_at_end = follower.ended is not None
            return exposition(follower, now_ns if follower.origin_boot_ns else 0, is_open=is_open)


@dataclass(slots=True)
class Publisher:
    """Follows one run, or run after run."""

    latest: Callable[[], Path | None]
    traces: str = ""
    grafana: str = ""
    stays: bool = False
    say: Callable[[str], None] = lambda _: None
    stop: threading.Event = field(default_factory=threading.Event)
    feed: Feed | None = None

    def run(self, *, is_scraped: bool) -> None:
        """Publish until the run is over (and, where it is scraped, its end was), or until stopped."""
        while not self.stop.is_set():
            self._choose()
            feed = self.feed
            if feed is not None:
                feed.read()
                for outlet in feed.outlets:
                    outlet.send()
                if feed.follower.ended is not None and not self.stays:
                    self._finish(feed, is_scraped=is_scraped)
                    return
            self.stop.wait(EVERY_S)

    def page(self, *, is_open: bool) -> str:
        """Return the metrics; an empty page while there is no run."""
        return self.feed.page(is_open=is_open) if self.feed is not None else "# EOF\n" if is_open else ""

    def _choose(self) -> None:
        if self.feed is not None and not (self.stays and self.feed.follower.ended is not None):
            return
        path = self.latest()
        if path is None or (self.feed is not None and path == self.feed.follower.run_dir):
            return
        try:
            follower = Follower.of(path)
        except GameDayError:
            if not self.stays:
                raise
            return  # It is only just being made.
        if self.feed is not None:
            self._flush(self.feed)
        self.feed = Feed(follower, self._outlets(follower))
        self.say(f"following {path.name}")

    def _outlets(self, follower: Follower) -> list[Outlet]:
        found: list[Outlet] = []
        if self.traces:
            one: Otlp = otlp(self.traces)
            one.spans = Spans(follower.plan)
            found.append(one)
        if self.grafana:
            other: Grafana = grafana(self.grafana)
            other.annotations = Annotations(follower.plan)
            found.append(other)
        return found

    def _finish(self, feed: Feed, *, is_scraped: bool) -> None:
        self._flush(feed)
        until_s = time.monotonic() + LINGER_S
        while is_scraped and not feed.scraped_at_end and time.monotonic() < until_s:
            if self.stop.wait(EVERY_S):
                return

    def _flush(self, feed: Feed) -> None:
        until_s = time.monotonic() + FLUSH_S
        for outlet in feed.outlets:
            outlet.flush(until_s)
            left = len(outlet.queue)
            said = f"{outlet.url}: {outlet.sent} sent"
            if outlet.troubles or left:
                said += f", {outlet.troubles + left} not taken ({outlet.last})"
            self.say(said)


# --- the endpoint ----------------------------------------------------------------------------


def address(text: str, *, anywhere: bool) -> tuple[str, int]:
    """Return host and port of `127.0.0.1:9464`.

    Raises:
        UsageError: It is none, or not on this machine alone and nobody said that it may be.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        number, is_here = int(port), ipaddress.ip_address(host).is_loopback
    except ValueError:
        number, is_here = -1, False
    if not 0 <= number <= 65535:
        raise UsageError(f"--metrics {text!r}: expected an address like 127.0.0.1:9464", todo="")
    if not is_here and not anywhere:
        raise UsageError(
            f"--metrics {text}: others could read it, and it asks for no password",
            todo="Listen on 127.0.0.1, or say --beyond-loopback if that is meant.",
        )
    return host, number


def serve(publisher: Publisher, host: str, port: int) -> ThreadingHTTPServer:
    """Serve the metrics in a thread and return the server.

    Raises:
        UsageError: The address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    handler = type("Handler", (_Handler,), {"publisher": publisher})
    kind = type("Server", (ThreadingHTTPServer,), {"address_family": family, "daemon_threads": True})
    try:
        server: ThreadingHTTPServer = kind((host, port), handler)
    except OSError as error:
        raise UsageError(
            f"{host}:{port}: cannot be listened on: {error.strerror}", todo="Name another port."
        ) from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    """GET /metrics, and nothing else; a client that is slow is left."""

    publisher: Publisher
    timeout = PATIENCE_S
    free = threading.BoundedSemaphore(SCRAPES_MAX)
    server_version, sys_version = "gameday", ""

    def do_GET(self) -> None:
        """Answer a scrape."""
        if self.path.partition("?")[0] != "/metrics":
            self._reply(404, PLAIN, "the metrics are at /metrics\n")
            return
        if not self.free.acquire(blocking=False):
            self._reply(503, PLAIN, "too many scrapes at once\n")
            return
        try:
            is_open = "application/openmetrics-text" in self.headers.get("Accept", "")
            page = self.publisher.page(is_open=is_open)
            self._reply(200, OPEN_METRICS if is_open else PLAIN, page)
        finally:
            self.free.release()

    def _reply(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # Whoever asked is gone.

    def log_message(self, *_: Any) -> None:
        """Say nothing: scrapes are no news."""
