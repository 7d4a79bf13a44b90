"""What must work even when the file's code blocks everything: a thread of the system, not a greenlet.

It ends the process when the runner is gone, when memory passes its limit (a leak would take the machine
with it), and when nothing but the file's code has run for ten seconds: then there is no load, and the
runner must not wait for it. And it keeps a file that prints without end from filling the disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Any

MEMORY_MAX = 2 << 30
LOG_MAX = 64 << 20
STUCK_S = 10.0
_LOOK_EVERY_MS = 200
_ASLEEP_S = 2.0
_NOT_KEPT = b"\ngameday: it printed more than %d MB; the rest is not kept\n"


class Guard:
    """Watches one generator from a thread of its own."""

    def __init__(self, buckets: Any, *, lifeline: int, stream: int, profile: str) -> None:
        self._buckets = buckets
        self._lifeline = lifeline
        self._stream = stream
        self._profile = profile
        self._main = 0
        self.memory_max = memory_max()

    def start(self) -> None:
        """Begin, from the main thread."""
        from gevent import monkey  # noqa: PLC0415 - Locust's own; its patches would make us a greenlet

        self._main = monkey.get_original("_thread", "get_ident")()
        monkey.get_original("_thread", "start_new_thread")(self._watch, ())

    def _watch(self) -> None:
        from gevent import monkey  # noqa: PLC0415

        poll = monkey.get_original("select", "poll")()
        poll.register(self._lifeline, 0)
        looked_s = since_s = time.perf_counter()
        while True:
            if any(mask & (select.POLLHUP | select.POLLERR) for _, mask in poll.poll(_LOOK_EVERY_MS)):
                os._exit(0)  # Requests end with the process; nothing goes on without a runner.
            now_s = time.perf_counter()
            if now_s - looked_s > _ASLEEP_S:
                since_s = now_s  # The whole process stood still, and not for its code.
            looked_s = now_s
            used = memory_used()
            if used > self.memory_max:
                limit = f"a generator may use {self.memory_max / 1e9:.1f} GB"
                self._end(f"it used {used / 1e9:.1f} GB of memory, and {limit}")
            if now_s - max(self._buckets.flushed_s, since_s) > STUCK_S:
                self._end(f"{self._place()}its code let nothing else run for {STUCK_S:g} s: no load was sent")
            _limit_log()

    def _place(self) -> str:
        frame = sys._current_frames().get(self._main)
        while frame is not None:
            if frame.f_code.co_filename == self._profile:
                return f"line {frame.f_lineno}: "
            frame = frame.f_back
        return ""

    def _end(self, reason: str) -> None:
        """Say why, on a line of its own whatever was half written, and end."""
        line = b"\n" + json.dumps({"failed": reason}).encode() + b"\n"
        give_up_s = time.perf_counter() + 1.0
        while line and time.perf_counter() < give_up_s:
            with contextlib.suppress(BlockingIOError):
                line = line[os.write(self._stream, line) :]
        os._exit(3)


def memory_used() -> int:
    """Return how many bytes of memory this process holds; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def memory_max() -> int:
    """Return how much a generator may use: two gigabytes, or half of what the machine has."""
    try:
        return min(MEMORY_MAX, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    except (OSError, ValueError):
        return MEMORY_MAX


def _limit_log() -> None:
    try:
        if os.fstat(1).st_size <= LOG_MAX:
            return
        os.write(1, _NOT_KEPT % (LOG_MAX >> 20))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.close(nowhere)
    except OSError:
        return
