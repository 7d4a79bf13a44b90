"""Processes by name: a pid alone is reused, a pid with its start time is not.

Everything that a host started must be reachable when it is killed: its process group, its session,
and children that left both. The last are found by a variable in their environment:

    GAMEDAY_HOST=BASE          what the host was started with: the host, and children it only forked
    GAMEDAY_HOST=BASE.TOKEN    what its activity number TOKEN executed

BASE is a family and a generation: `FFFFFFFFFFFFGGGG`, hexadecimal digits. A host that was killed and
replaced keeps its family, so that whoever knows one of them from a record finds those after it too.
So a killed activity leaves nothing, while a service that an earlier one started on purpose stays.
The host's own name in /proc/PID/comm tells which activity runs, for a killer that was not told.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import signal
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from gameday.procfs import SESSION, START, STATE, environment, pids, start_ticks, stat

MARKER = "GAMEDAY_HOST"
MARKER_LENGTH = 16
FAMILY_LENGTH = 12
NAME_PREFIX = "gameday-"
_ROUNDS_MAX = 40
_DEATH_S = 0.005


def is_alive(pid: int, ticks: int) -> bool:
    """Tell whether that very process still runs (a zombie does not)."""
    fields = stat(pid)
    return bool(fields) and int(fields[START]) == ticks and fields[STATE] != "Z"


def members(leader: int, *markers: str, since_ticks: int = 0) -> Iterator[int]:
    """Yield the processes of the session `leader` leads, and those that carry one of `markers`.

    A leader of 0 or 1 leads nobody: the kernel calls the session of everything that was started from
    outside a container, a shell or pid 1 among it, session 0 as well. With `since_ticks`, when the
    leader started, older processes are passed over: they cannot be its own.
    """
    wanted = {f"{MARKER}={marker}".encode() for marker in markers if marker}
    for pid in _everyone():
        if not wanted and _session(pid) != leader:
            continue
        fields = stat(pid)
        if not fields or fields[STATE] == "Z" or int(fields[START]) < since_ticks:
            continue
        if (leader > 1 and int(fields[SESSION]) == leader) or (
            wanted and not wanted.isdisjoint(environment(pid))
        ):
            yield pid


def new_family() -> str:
    """Return a name for all processes of one host, which no other host has."""
    return secrets.token_hex(FAMILY_LENGTH // 2)


def marker_of(family: str, generation: int) -> str:
    """Return the marker of a host's process number `generation`."""
    digits = MARKER_LENGTH - FAMILY_LENGTH
    return f"{family}{generation % 16**digits:0{digits}x}"


def family_of(marker: str) -> str:
    """Return the family that a marker names; empty when it is not a marker of an action host."""
    return marker[:FAMILY_LENGTH] if re.fullmatch(rf"[0-9a-f]{{{MARKER_LENGTH}}}", marker) else ""


def kin(family: str, tokens: Collection[str] | None, *, since_ticks: int) -> Iterator[int]:
    """Yield the processes of a family: its hosts, what they forked, and what some activities executed.

    Args:
        family: From a record, so it is checked.
        tokens: The activities whose programs count; None for all of them.
        since_ticks: When the first host of the family started. What is older is none of it.
    """
    if not re.fullmatch(rf"[0-9a-f]{{{FAMILY_LENGTH}}}", family):
        return
    prefix, size = f"{MARKER}={family}".encode(), MARKER_LENGTH - FAMILY_LENGTH
    for pid in _everyone():
        fields = stat(pid)
        if not fields or fields[STATE] == "Z" or int(fields[START]) < since_ticks:
            continue
        ours = [item[len(prefix) :] for item in environment(pid) if item.startswith(prefix)]
        found = re.fullmatch(rb"[0-9a-f]{%d}(?:\.(\d+))?" % size, ours[0]) if ours else None
        if found and (found[1] is None or tokens is None or found[1].decode() in tokens):
            yield pid


def kill_family(family: str, tokens: Collection[str] | None, *, since_ticks: int) -> None:
    """SIGKILL what `kin` yields, and the sessions which that leads, until nothing is left."""
    for _ in range(_ROUNDS_MAX):
        left = [pid for pid in kin(family, tokens, since_ticks=since_ticks) if pid != os.getpid()]
        if not left:
            return
        for pid in left:
            leads = _session(pid) == pid
            send(pid, signal.SIGKILL)
            if leads:
                kill_all(pid, since_ticks=since_ticks)
        await_deaths(left, time.monotonic() + _DEATH_S)


def _everyone() -> Iterator[int]:
    """Yield the processes that could be a host's: none of the kernel's, of init's, or from outside."""
    return (pid for pid in pids() if _session(pid) > 1)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)  # Costs a hundredth of reading a file of /proc.
    except OSError:
        return 0


def send(pid: int, number: int) -> None:
    """Send a signal; a process that is gone already is no error.

    0, 1 and -1 name our own group, init and everybody: never a host, so they are not sent to.
    """
    if abs(pid) <= 1:
        return
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def kill_all(leader: int, *markers: str, since_ticks: int = 0) -> None:
    """SIGKILL a session and everything that carries its markers, until nothing is left.

    Children may fork while they are being killed, so this looks again, a bounded number of times.
    """
    for _ in range(_ROUNDS_MAX):
        left = [pid for pid in members(leader, *markers, since_ticks=since_ticks) if pid != os.getpid()]
        if not left:
            return
        for pid in left:
            send(pid, signal.SIGKILL)
        await_deaths(left, time.monotonic() + _DEATH_S)


def kill_carriers(entry: str) -> None:
    """SIGKILL whatever was started with this NAME=VALUE in its environment, until nothing is left."""
    for _ in range(_ROUNDS_MAX):
        left = [pid for pid in pids() if entry.encode() in environment(pid) and pid != os.getpid()]
        if not left:
            return
        for pid in left:
            send(pid, signal.SIGKILL)
        await_deaths(left, time.monotonic() + _DEATH_S)


def end_all(leader: int, *markers: str, grace_s: float, since_ticks: int = 0) -> None:
    """SIGTERM a process group; after the grace SIGKILL its session and all that carries its markers.

    Returns early when nothing is left.
    """
    if grace_s > 0:
        send(-leader, signal.SIGTERM)
        until_s = time.monotonic() + grace_s
        await_deaths((leader,), until_s)
        while time.monotonic() < until_s:
            left = list(members(leader, *markers, since_ticks=since_ticks))
            if not left:
                return
            await_deaths(left, until_s)
    kill_all(leader, *markers, since_ticks=since_ticks)


def await_deaths(pids: Iterable[int], until_s: float) -> None:
    """Wait until each of these processes has ended, or the monotonic clock says `until_s`.

    The kernel says so the moment it happens: a loop that looks would find out later, and would take
    the processor from what it waits for.
    """
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            continue  # It is gone.
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            poll.poll(max((until_s - time.monotonic()) * 1000, 0))
        finally:
            os.close(fd)


def markers_of(pid: int) -> tuple[str, ...]:
    """Return the markers of a living host: its own, and that of the activity it runs now."""
    prefix = f"{MARKER}=".encode()
    base = next((item[len(prefix) :].decode() for item in environment(pid) if item.startswith(prefix)), "")
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
        kill_all(pid, *markers, since_ticks=ticks)
    if is_alive(pid, ticks):
        await_deaths((pid,), time.monotonic() + 1.0)
