"""The run's clock: nanoseconds of CLOCK_BOOTTIME since the run began.

One clock for every process of a run on one machine: it never steps backwards, and it counts the
time a laptop or VM was suspended, which CLOCK_MONOTONIC does not. Where the kernel has no
CLOCK_BOOTTIME the monotonic clock stands in.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_ns() -> int:
    """Return nanoseconds since this machine booted."""
    return time.clock_gettime_ns(_CLOCK)


def utc_text() -> str:
    """Return the wall clock as RFC 3339 text with nanoseconds, in UTC."""
    wall_ns = time.time_ns()
    seconds, rest_ns = divmod(wall_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{rest_ns:09d}Z"


def wall_ns(utc: str) -> int:
    """Return what `utc_text` wrote, as nanoseconds since 1970; 0 when it is no such text."""
    try:
        seconds = datetime.fromisoformat(f"{utc[:19]}+00:00").timestamp()
        return int(seconds) * 1_000_000_000 + int(utc[20:29])
    except ValueError:
        return 0


class RunClock:
    """Time since `origin_boot_ns`, the instant a run began."""

    __slots__ = ("origin_boot_ns",)

    def __init__(self, origin_boot_ns: int | None = None) -> None:
        self.origin_boot_ns = boot_ns() if origin_boot_ns is None else origin_boot_ns

    def now_ns(self) -> int:
        """Return nanoseconds since the run began."""
        return boot_ns() - self.origin_boot_ns
