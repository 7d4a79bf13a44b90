"""Processes by name: a pid alone is reused, a pid with its start time is not.

Everything that a host started must be reachable when it is killed: its process group, its session,
and children that left both. The last are found by a variable in their environment:

    GAMEDAY_HOST=BASE          what the host was started with: the host, and children it only forked
    GAMEDAY_HOST=BASE.TOKEN    what its activity number TOKEN executed

So a killed activity leaves nothing, while a service that an earlier one started on purpose stays.
The host's own name in /proc/PID/comm tells which activity runs, for a killer that was not told.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

MARKER = "GAMEDAY_HOST"
NAME_PREFIX = "gameday-"
_ROUNDS_MAX = 40


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when there is no such process.

    Source: proc(5), /proc/pid/stat, field 22.
    """
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def is_alive(pid: int, ticks: int) -> bool:
    """Tell whether that very process still runs (a zombie does not)."""
    fields = _stat(pid)
    return bool(fields) and int(fields[19]) == ticks and fields[0] != "Z"


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/pid/stat from the state on; empty when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text[text.rfind(")") + 2 :].split()


def members(leader: int, *markers: str) -> Iterator[int]:
    """Yield the processes of the session `leader` leads, and those that carry one of `markers`."""
    wanted = {f"{MARKER}={marker}".encode() for marker in markers if marker}
    for name in os.listdir("/proc"):  # noqa: PTH208 - a Path for each of hundreds costs as much again
        if not name.isdigit():
            continue
        pid = int(name)
        fields = _stat(pid)
        if not fields or fields[0] == "Z":
            continue
        if (leader > 1 and int(fields[3]) == leader) or (wanted and not wanted.isdisjoint(_environ(pid))):
            yield pid


def _environ(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def send(pid: int, number: int) -> None:
    """Send a signal; a process that is gone already is no error."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def kill_all(leader: int, *markers: str) -> None:
    """SIGKILL a session and everything that carries its markers, until nothing is left.

    Children may fork while they are being killed, so this looks again, a bounded number of times.
    """
    for _ in range(_ROUNDS_MAX):
        left = [pid for pid in members(leader, *markers) if pid != os.getpid()]
        if not left:
            return
        for pid in left:
            send(pid, signal.SIGKILL)
        time.sleep(0.002)


def end_all(leader: int, *markers: str, grace_s: float) -> None:
    """SIGTERM a process group; after the grace SIGKILL its session and all that carries its markers.

    Returns early when nothing is left.
    """
    if grace_s > 0:
        send(-leader, signal.SIGTERM)
        give_up_s = time.monotonic() + grace_s
        while time.monotonic() < give_up_s and any(members(leader, *markers)):
            time.sleep(min(0.005, grace_s / 10))
    kill_all(leader, *markers)


def markers_of(pid: int) -> tuple[str, ...]:
    """Return the markers of a living host: its own, and that of the activity it runs now."""
    prefix = f"{MARKER}=".encode()
    base = next((item[len(prefix) :].decode() for item in _environ(pid) if item.startswith(prefix)), "")
    if not base:
        return ()
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return (base,)
    running = re.fullmatch(rf"{NAME_PREFIX}(\d+)\n", name)
    return (base, f"{base}.{running[1]}") if running else (base,)


def kill_session(pid: int, ticks: int, *, only_leader: bool = False) -> None:
    """SIGKILL the recorded process, and with it its session, if the pid is still that process.

    When the leader is gone its session may live on: its members are killed as long as no other
    process has taken the pid.
    """
    now = start_ticks(pid)
    if now is not None and now != ticks:
        return
    markers: tuple[str, ...] = ()
    if now is not None:
        markers = markers_of(pid)
        send(pid, signal.SIGKILL)
    if not only_leader:
        kill_all(pid, *markers)
    give_up_s = time.monotonic() + 1.0
    while is_alive(pid, ticks) and time.monotonic() < give_up_s:
        time.sleep(0.001)
