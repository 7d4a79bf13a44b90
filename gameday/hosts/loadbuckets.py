"""Count what the load does in slices of 100 ms, and send them off without ever blocking a request.

Runs inside the load host. The request path only updates numbers that are there already; a greenlet
writes the slices to a pipe that does not block. When the pipe is full the slice is merged into the next.

    request ──▶ tally of its endpoint (good, bad, latency) ─┐
    arrival, queue, send ──▶ who waits, and since when ─────┴─▶ every 100 ms: one slice

When a stall ends, hundreds of answers are there at once, and the last is read when all others were. It waited
for us then, not for the target: the latency of an arrival ends when the event loop found its answer.
"""

from __future__ import annotations

import collections
import json
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

SLICE_S = 0.1
ENDPOINTS_MAX = 50
ENDPOINT_CHARS_MAX = 120
OTHER = "(other)"
TASK = "(task)"
STOPPED = "stopped"


class Tally:
    """What one endpoint did in the slice."""

    __slots__ = ("bad", "good", "latency", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.good = self.bad = 0
        self.latency: dict[int, int] = collections.defaultdict(int)


class Waiting:
    """Who has no answer yet. Keyed by greenlet: each waits for one thing at a time.

    An arrival waits from its intended time until its first request has an answer; any other request
    from the instant it was sent. Those in `timed` are given up by `loaddeadlines`.
    """

    def __init__(self) -> None:
        self.queue: collections.deque[float] = collections.deque()
        self.arrivals: dict[Any, float] = {}
        self.sent: dict[Any, float] = {}
        self.timed: dict[Any, float] = {}

    def since_s(self) -> list[float]:
        """Return since when each of them waits."""
        arrivals = self.arrivals
        found = [*self.queue, *arrivals.values()]
        for sent in (self.sent, self.timed):
            found += [at_s for who, at_s in sent.items() if who not in arrivals]
        return found

    def bury(self) -> int:
        """Forget those who were killed as they waited, and return how many arrivals went with them."""
        dead = [who for who in self.arrivals if who.dead]
        for who in dead:
            del self.arrivals[who]
            self.sent.pop(who, None)
            self.timed.pop(who, None)
        return len(dead)


class Buckets:
    """The current slice, and the stream it goes to."""

    def __init__(self, fd: int, load: str, origin_boot_ns: int, generator: int | None = None) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._load = load
        self._generator = generator
        # perf_counter and CLOCK_BOOTTIME differ by a constant while the machine is awake.
        clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self._shift_ns = time.clock_gettime_ns(clock) - time.perf_counter_ns() - origin_boot_ns
        self._backlog = b""
        self._cpu_s = time.process_time()
        self.waiting = Waiting()
        self.requests = 0
        self.flushed_s = self._began_s = time.perf_counter()
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._named: dict[str, Tally] = {}
        self._clear()

    def _clear(self) -> None:
        self._intended = self._started = self._late = self._dropped = 0
        self._lag_s = 0.0
        self._errors: dict[str, int] = {}
        for tally in self._named.values():
            if tally.good or tally.bad:
                tally.good = tally.bad = 0
                tally.latency = collections.defaultdict(int)

    # --- arrivals ----------------------------------------------------------------------------

    def intended(self) -> None:
        """One arrival was due."""
        self._intended += 1

    def dropped(self) -> None:
        """One arrival never started."""
        self._dropped += 1

    def released(self, intended_s: float, generator_lag_s: float) -> None:
        """One arrival started, on time or late; `generator_lag_s` of that was our own doing."""
        self._lag_s = max(self._lag_s, generator_lag_s)
        if time.perf_counter() - intended_s > SLICE_S:
            self._late += 1
        else:
            self._started += 1

    def arrived(self) -> None:
        """One closed-loop request began: intended and started are the same there."""
        self._intended += 1
        self._started += 1

    # --- requests ----------------------------------------------------------------------------

    def listener(
        self,
        current: Callable[[], Any], kind_of: Callable[[Any, Any], str], seen: frozenset[Any] | None,
        stats: Any = None, looked: Callable[[], float] = time.time,
    ) -> Callable[..., None]:  # fmt: skip
        """Return the listener of Locust's `request` event: the one piece of code that each request pays for.

        `current()` is the greenlet it runs in, `kind_of(exception, response)` names a failure. In a closed
        loop, `seen` are the types of responses to requests that were counted when they were sent. `stats`
        are Locust's own, kept from here too where it is given: a second listener costs as much as this one.
        `looked()` is when the event loop last found answers, by the wall clock.
        """
        arrivals, tallies, clock, wall = self.waiting.arrivals, self._tallies, time.perf_counter, time.time
        note = None if stats is None else stats.note

        def on_request(
            request_type: str, name: str, response_time: Any, exception: Any = None, response: Any = None,
            response_length: Any = 0, context: Any = None, start_time: Any = None, url: Any = None, **_: Any,  # noqa: ARG001
        ) -> None:  # fmt: skip
            # The first request of an arrival answers for the time that it had to wait as well.
            since_s = arrivals.pop(current(), None) if arrivals else None
            try:
                if since_s is None:
                    us = int(response_time * 1000)
                else:
                    unread_s = wall() - looked()
                    is_known = (
                        0.0 < unread_s * 1000 < (response_time or 0)
                    )  # Else not looked since it was sent.
                    us = int((clock() - since_s - (unread_s if is_known else 0.0)) * 1e6)
            except (TypeError, ValueError, OverflowError):
                us = 0  # A user's own client may say anything.
            if seen is not None and type(response) not in seen:
                self.arrived()
            tally = tallies.get((request_type, name)) or self._tally(request_type, name)
            if note is not None:
                note((name, request_type, response_time, response_length))
            if exception:
                if stats is not None:
                    stats.failed(name, request_type, exception)
                self._fail(kind_of(exception, response), tally=tally)
                return
            tally.good += 1
            us = us if us > 0 else 1  # (A call of max costs more.)
            # As `gameday.history.histogram.index_of`, in whole numbers.
            exponent = us.bit_length()
            tally.latency[(exponent << 7) + (us << 8 >> exponent) - 128] += 1

        return on_request

    def failed(self, kind: str, name: str = TASK) -> None:
        """Something failed that was no request: a task raised, or a user did not start."""
        self._fail(kind, tally=self._tallies.get(("", name)) or self._tally("", name))

    def stopped(self, count: int = 1) -> None:
        """Requests were killed by us, which is no failure of the target: they stand beside the failures."""
        if count:
            self._fail(STOPPED, count)

    def _fail(self, kind: str, count: int = 1, tally: Tally | None = None) -> None:
        self._errors[kind] = self._errors.get(kind, 0) + count
        if tally is not None:
            tally.bad += count

    def _tally(self, request_type: Any, name: Any) -> Tally:
        """Return the tally of an endpoint that is new; the first fifty keep a name of their own."""
        shown = f"{request_type} {name}".strip()[:ENDPOINT_CHARS_MAX]
        tally = self._named.get(shown)
        if tally is None:
            if len(self._named) >= ENDPOINTS_MAX and shown != OTHER:
                return self._tally("", OTHER)  # Not remembered by name: names may be without number.
            tally = self._named[shown] = Tally(shown)
        if len(self._tallies) < 4 * ENDPOINTS_MAX:
            self._tallies[request_type, name] = tally
        return tally

    # --- the stream --------------------------------------------------------------------------

    def flush(self) -> None:
        """Send the slice that ends now."""
        now_s = time.perf_counter()
        cpu_s = time.process_time()
        busy = (cpu_s - self._cpu_s) / max(now_s - self._began_s, 1e-6)
        self.stopped(self.waiting.bury())
        since_s = self.waiting.since_s()
        active = [tally for tally in self._named.values() if tally.good or tally.bad]
        item: dict[str, Any] = {
            "load": self._load,
            "start_ns": int(self._began_s * 1e9) + self._shift_ns,
            "intended": self._intended,
            "started": self._started,
            "late": self._late,
            "dropped": self._dropped,
            "good": sum(tally.good for tally in active),
            "bad": sum(tally.bad for tally in active),
            "errors": sorted(self._errors.items()),
            "latency": _sum(tally.latency for tally in active),
            "waiting": len(since_s),
            "lag_ns": int(self._lag_s * 1e9),
            "busy_ppm": int(busy * 1e6),
            "ages": _ages(now_s, since_s),
            "endpoints": [(t.name, t.good, t.bad, sorted(t.latency.items())) for t in active],
        }
        if self._generator is not None:
            item["generator"] = self._generator
        line = json.dumps({"bucket": item}, separators=(",", ":")).encode() + b"\n"
        self.flushed_s = now_s
        if self._write(line):
            self.requests += sum(tally.good + tally.bad for tally in active)
            self._began_s, self._cpu_s = now_s, cpu_s
            self._clear()

    def say(self, message: dict[str, Any]) -> None:
        """Send something that is no slice."""
        self._backlog += json.dumps(message).encode() + b"\n"
        self._write(b"")

    def _write(self, line: bytes) -> bool:
        """Write whole lines only; tell whether this line was taken."""
        if self._backlog and not self._drain():
            return False
        self._backlog = line
        self._drain()
        return True

    def _drain(self) -> bool:
        try:
            while self._backlog:
                self._backlog = self._backlog[os.write(self._fd, self._backlog) :]
        except BlockingIOError:
            return False
        except OSError:
            self._backlog = b""  # Nobody listens any more; the lifeline ends this process next.
        return True


def _sum(parts: Iterable[dict[int, int]]) -> list[tuple[int, int]]:
    total: dict[int, int] = {}
    for part in parts:
        for index, count in part.items():
            total[index] = total.get(index, 0) + count
    return sorted(total.items())


def _ages(now_s: float, since_s: Iterable[float]) -> list[tuple[int, int]]:
    counts: dict[int, int] = collections.defaultdict(int)
    for at_s in since_s:
        us = int((now_s - at_s) * 1e6)
        us = max(us, 1)
        exponent = us.bit_length()
        counts[(exponent << 7) + (us << 8 >> exponent) - 128] += 1
    return sorted(counts.items())
