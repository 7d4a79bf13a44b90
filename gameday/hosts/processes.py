"""Processes by name: a pid alone is reused, a pid with its start time is not.

Everything that a host started must be reachable when it is killed: its process group, its session,
and children that left both. The last are found by a variable in their environment.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

MARKER = "GAMEDAY_HOST"


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


def members(leader: int, marker: str = "") -> Iterator[int]:
    """Yield the processes of the session `leader` leads, and those that carry `marker`."""
    wanted = f"{MARKER}={marker}".encode() if marker else b""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        fields = _stat(pid)
        if not fields or fields[0] == "Z":
            continue
        if int(fields[3]) == leader or (wanted and _has_marker(entry, wanted)):
            yield pid


def _has_marker(entry: Path, wanted: bytes) -> bool:
    try:
        return wanted in (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def send(pid: int, number: int) -> None:
    """Send a signal; a process that is gone already is no error."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def kill_all(leader: int, marker: str = "") -> None:
    """SIGKILL a session and everything that carries its marker, until nothing is left.

    Children may fork while they are being killed, so this looks again, a bounded number of times.
    """
    for _ in range(20):
        left = [pid for pid in members(leader, marker) if pid != os.getpid()]
        if not left:
            return
        for pid in left:
            send(pid, signal.SIGKILL)
        time.sleep(0.002)


def kill_session(pid: int, ticks: int, *, only_leader: bool = False) -> None:
    """SIGKILL the recorded process, and with it its session, if the pid is still that process.

    When the leader is gone its session may live on: its members are killed as long as no other
    process has taken the pid.
    """
    now = start_ticks(pid)
    if now is not None and now != ticks:
        return
    if now is not None:
        send(pid, signal.SIGKILL)
    if not only_leader:
        kill_all(pid)
    give_up_s = time.monotonic() + 1.0
    while is_alive(pid, ticks) and time.monotonic() < give_up_s:
        time.sleep(0.001)
