"""What /proc says of processes and of this boot, read once here for whoever has to know.

Without buffers or paths: a halt waits for hundreds of these readings.

Source: proc(5), /proc/pid/stat (field 22 is the start time in clock ticks since boot), /proc/pid/environ.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

STATE, PARENT, SESSION, START = 0, 1, 3, 19
_SIZE_MAX = 1 << 22  # Beyond what execve(2) takes in all.


def pids() -> Iterator[int]:
    """Yield every process id that there is now."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - a Path for each of hundreds costs as much again
        if name.isdigit():
            yield int(name)


def read(path: str, size_max: int = _SIZE_MAX) -> bytes:
    """Return a file of /proc; empty when it is gone, or not ours to read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, size_max)
    except OSError:
        return b""
    finally:
        os.close(fd)


def stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on; empty when there is no such process."""
    data = read(f"/proc/{pid}/stat", 1024)  # A name has 16 bytes and the numbers have an end.
    return data[data.rfind(b")") + 2 :].decode("ascii", errors="replace").split()


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when there is no such process."""
    fields = stat(pid)
    return int(fields[START]) if fields else None


def environment(pid: int) -> list[bytes]:
    """Return what a process was started with, as NAME=VALUE; empty when it is not ours to read."""
    return read(f"/proc/{pid}/environ").split(b"\0")


def boot_id() -> str:
    """Return the kernel's name for the time since it started, or `unknown` where there is none."""
    return read("/proc/sys/kernel/random/boot_id", 64).decode("ascii", errors="replace").strip() or "unknown"
