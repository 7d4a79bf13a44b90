"""Count what the load does in slices of 100 ms, and send them off without ever blocking a request.

Runs inside the load host. The request path only updates dicts; a greenlet writes the slices to a
pipe that does not block. When the pipe is full the slice is merged into the next one.
"""

from __future__ import annotations

import json
import math
import os
import resource
import time
from typing import Any

SLICE_S = 0.1


class Buckets:
    """The current slice, and the stream it goes to."""

    def __init__(self, fd: int, load: str, origin_boot_ns: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._load = load
        # perf_counter and CLOCK_BOOTTIME differ by a constant while the machine is awake.
        clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self._shift_ns = time.clock_gettime_ns(clock) - time.perf_counter_ns() - origin_boot_ns
        self._backlog = b""
        self._cpu_s = time.process_time()
        self.in_flight = 0
        self._began_s = time.perf_counter()
        self._clear()

    def _clear(self) -> None:
        self._intended = self._started = self._late = self._dropped = self._good = self._bad = 0
        self._lag_s = 0.0
        self._errors: dict[str, int] = {}
        self._latency: dict[int, int] = {}

    def intended(self) -> None:
        """One arrival was due."""
        self._intended += 1

    def dropped(self) -> None:
        """One arrival never started."""
        self._dropped += 1

    def released(self, intended_s: float) -> None:
        """One arrival started, on time or late."""
        lag_s = time.perf_counter() - intended_s
        self._lag_s = max(self._lag_s, lag_s)
        if lag_s > SLICE_S:
            self._late += 1
        else:
            self._started += 1
        self.in_flight += 1

    def arrived(self) -> None:
        """One closed-loop request began: intended and started are the same there."""
        self._intended += 1
        self._started += 1

    def request(self, latency_s: float, kind: str) -> None:
        """One request ended; `kind` names the failure and is empty for a success."""
        if kind:
            self._bad += 1
            self._errors[kind] = self._errors.get(kind, 0) + 1
            return
        self._good += 1
        mantissa, exponent = math.frexp(max(latency_s * 1e6, 1.0))
        index = (exponent << 7) + int((mantissa - 0.5) * 256)
        self._latency[index] = self._latency.get(index, 0) + 1

    def flush(self, waiting: int) -> None:
        """Send the slice that ends now."""
        now_s = time.perf_counter()
        cpu_s = time.process_time()
        busy = (cpu_s - self._cpu_s) / max(now_s - self._began_s, 1e-6)
        item = {
            "load": self._load,
            "start_ns": int(self._began_s * 1e9) + self._shift_ns,
            "intended": self._intended,
            "started": self._started,
            "late": self._late,
            "dropped": self._dropped,
            "good": self._good,
            "bad": self._bad,
            "errors": sorted(self._errors.items()),
            "latency": sorted(self._latency.items()),
            "waiting": waiting,
            "lag_ns": int(self._lag_s * 1e9),
            "busy_ppm": int(busy * 1e6),
        }
        line = json.dumps({"bucket": item}, separators=(",", ":")).encode() + b"\n"
        if self._write(line):
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


def memory_mb() -> int:
    """Return the most memory this process has used, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
