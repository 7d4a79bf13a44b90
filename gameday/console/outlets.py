"""Where a run is told to others over HTTP: an OTLP receiver and Grafana. Never in the way of anything.

Each outlet has a queue with a limit, one request at a time with a deadline, and waits longer after each
failure, up to half a minute. What does not fit in the queue is dropped, oldest first, and counted: the
history is the record, these are pictures of it. Tokens come from the environment and are never said.

Source: OTLP 1.x, "OTLP/HTTP", failures that are tried again: 429, 502, 503, 504.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from gameday.console.annotations import Annotations, End, Post
from gameday.console.spans import Spans, request
from gameday.errors import UsageError
from gameday.history.record import Record
from gameday.hosts.httpprobe import Answer, exchange

QUEUE_MAX = 5000
BATCH_MAX = 200
TIMEOUT_S = 3.0
WAIT_MAX_S = 30.0
AGAIN = frozenset({429, 502, 503, 504})
OTLP_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
GRAFANA_TOKEN = "GAMEDAY_GRAFANA_TOKEN"  # noqa: S105 - the name of a variable
Told = dict[str, Any] | Post | End


@dataclass(slots=True)
class Outlet:
    """One receiver with its queue. `troubles` counts what was dropped or refused; `last` says why."""

    url: str
    headers: dict[str, str]
    queue: deque[Told] = field(default_factory=deque)
    sent: int = 0
    troubles: int = 0
    last: str = ""
    not_before_s: float = 0.0
    wait_s: float = 1.0

    def take(self, record: Record, wall_ns: int) -> None:
        """Put in the queue what there is to tell of a record."""
        raise NotImplementedError

    def send(self) -> bool:
        """Send the next part of the queue; tell whether anything went."""
        raise NotImplementedError

    def push(self, told: list[Any]) -> None:
        """Put in the queue, dropping the oldest where there is no room."""
        self.queue.extend(told)
        while len(self.queue) > QUEUE_MAX:
            self.queue.popleft()
            self.troubles += 1
            self.last = "the queue was full"

    def flush(self, until_s: float) -> None:
        """Send what is left, until there is nothing or the time has come."""
        while self.queue and time.monotonic() < until_s:
            if not self.send():
                time.sleep(0.05)

    def _ask(self, url: str, body: Any, method: str = "POST") -> Answer | None:
        """Send one request; None when it is to be tried again later."""
        if time.monotonic() < self.not_before_s:
            return None
        data = json.dumps(body, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", **self.headers}
        answer = exchange(url, method=method, body=data, headers=headers, timeout_s=TIMEOUT_S)
        if answer.status is None or answer.status in AGAIN:
            self.last = answer.error or f"HTTP {answer.status}"
            self.not_before_s = time.monotonic() + self.wait_s
            self.wait_s = min(self.wait_s * 2, WAIT_MAX_S)
            return None
        self.wait_s = 1.0
        return answer


@dataclass(slots=True)
class Otlp(Outlet):
    """An OTLP/HTTP receiver of traces."""

    spans: Spans | None = None

    def take(self, record: Record, wall_ns: int) -> None:
        """Queue the spans that it ended."""
        assert self.spans is not None
        self.push(self.spans.take(record, wall_ns))

    def send(self) -> bool:
        """Send up to `BATCH_MAX` spans."""
        batch = [self.queue[n] for n in range(min(BATCH_MAX, len(self.queue)))]
        if not batch:
            return False
        answer = self._ask(self.url, request(batch))  # type: ignore[arg-type]
        if answer is None:
            return False
        for _ in batch:
            self.queue.popleft()
        rejected = len(batch) if answer.status != 200 else _rejected(answer.body)
        self.sent += len(batch) - rejected
        if rejected:
            self.troubles += rejected
            self.last = f"HTTP {answer.status}, {rejected} spans were not taken"
        return True


def _rejected(body: bytes) -> int:
    try:
        return int((json.loads(body).get("partialSuccess") or {}).get("rejectedSpans", 0))
    except (ValueError, AttributeError, TypeError):
        return 0


@dataclass(slots=True)
class Grafana(Outlet):
    """Grafana's annotations. Each request waits for the one before: an end needs the id of its beginning."""

    annotations: Annotations | None = None
    ids: dict[str, int] = field(default_factory=dict)

    def take(self, record: Record, wall_ns: int) -> None:
        """Queue what Grafana is told of it."""
        assert self.annotations is not None
        self.push(list(self.annotations.take(record, wall_ns)))

    def send(self) -> bool:
        """Send one annotation, or the end of one."""
        if not self.queue:
            return False
        told = self.queue[0]
        assert isinstance(told, Post | End)
        if isinstance(told, End) and told.key not in self.ids:
            self.queue.popleft()  # Its beginning was not taken, which was counted then.
            return True
        url = self.url if isinstance(told, Post) else f"{self.url}/{self.ids[told.key]}"
        answer = self._ask(url, told.body, "POST" if isinstance(told, Post) else "PATCH")
        if answer is None:
            return False
        self.queue.popleft()
        number = _id_of(answer) if isinstance(told, Post) else 0
        if answer.status != 200 or number is None:
            self.troubles += 1
            self.last = f"an annotation was not taken: HTTP {answer.status}"
            return True
        if isinstance(told, Post):
            self.ids[told.key] = number
        self.sent += 1
        return True


def _id_of(answer: Answer) -> int | None:
    try:
        return int(json.loads(answer.body)["id"])
    except (ValueError, LookupError, TypeError):
        return None


def otlp(base: str) -> Otlp:
    """Return the outlet for an OTLP receiver: its base address, or the whole address of its traces.

    Raises:
        UsageError: It is no such address, or the headers in the environment cannot be read.
    """
    url = checked(base, "--traces")
    if not urlsplit(url).path.endswith("/v1/traces"):
        url = f"{url}/v1/traces"
    headers: dict[str, str] = {}
    for part in filter(None, os.environ.get(OTLP_HEADERS, "").split(",")):
        name, sign, value = (one.strip() for one in part.partition("="))
        value = unquote(value)
        if not sign or not name or not (name + value).isascii() or not (name + value).isprintable():
            raise UsageError(f"{OTLP_HEADERS} is not name=value,…", todo="Its values are not shown here.")
        headers[name] = value
    return Otlp(url, headers)


def grafana(base: str) -> Grafana:
    """Return the outlet for Grafana at its base address.

    Raises:
        UsageError: It is no such address, or there is no token in the environment.
    """
    url = f"{checked(base, '--grafana')}/api/annotations"
    token = os.environ.get(GRAFANA_TOKEN, "")
    if not token or not token.isascii() or not token.isprintable():
        raise UsageError(
            f"the variable {GRAFANA_TOKEN} holds no token",
            todo="Make a service account in Grafana that may write annotations, and set it.",
        )
    return Grafana(url, {"Authorization": f"Bearer {token}"})


def checked(url: str, what: str) -> str:
    """Return a base address without a slash at its end.

    Raises:
        UsageError: It is none, or holds a password.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, good = urlsplit(""), False
    if not good or parts.query or parts.fragment or not url.isprintable():
        raise UsageError(f"{what} {url!r}: expected an address like http://127.0.0.1:4318", todo="")
    if parts.username or parts.password:
        raise UsageError(f"{what}: a password does not belong in an address", todo="Use the environment.")
    return url.rstrip("/")
