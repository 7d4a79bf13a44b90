"""Processes that a fault touches: found by what they say of themselves, known by pid and start time.

A pid alone is reused, so a process is a pair (pid, clock ticks since boot at its start). A target
is chosen by a regular expression over its whole command line. Never chosen, whatever they have on
theirs, are the caller, the processes it descends from, and gameday's own: its runner, hosts, watchdog
and fault processes (their plans and names may well contain the word).

Source: proc(5).
"""

from __future__ import annotations

import os
import re
import signal
import time

from gameday.actions.http import ActionError
from gameday.procfs import PARENT, SESSION, START, STATE, pids, read, start_ticks, stat

Process = tuple[int, int]
PAUSE_S = 0.005
_OURS = re.compile(
    r"(^|\s)-m gameday(\.(hosts|runner|actions|console)\b|\s|$)"
    r"|(^|\s|/)gameday (run|drill|recover|show|console)\b"
)


def session_of(pid: int) -> int:
    """Return the session that a process belongs to; 0 when there is no such process."""
    fields = stat(pid)
    return int(fields[SESSION]) if fields else 0


def state_of(process: Process) -> str:
    """Return the state letter of that very process; nothing when it has ended (a zombie has)."""
    fields = stat(process[0])
    if not fields or int(fields[START]) != process[1] or fields[STATE] in "ZX":
        return ""
    return fields[STATE]


def command_line(pid: int) -> str:
    """Return a process's command line with spaces between its arguments; empty when there is none."""
    data = read(f"/proc/{pid}/cmdline")
    return data.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")


def own_line() -> set[int]:
    """Return this process and the ones it descends from."""
    found, pid = set(), os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        fields = stat(pid)
        pid = int(fields[PARENT]) if fields else 0
    return found


def find(match: str) -> tuple[Process, ...]:
    """Return the living processes whose command line `match` is found in, the oldest first.

    Raises:
        ActionError: `match` is no regular expression, or an empty one, which would match all.
    """
    if not match.strip():
        raise ActionError("match: an empty pattern would choose every process")
    try:
        pattern = re.compile(match)
    except re.error as error:
        raise ActionError(f"match {match!r}: {error}") from None
    spared = own_line()
    found = []
    for pid in pids():
        line = command_line(pid)
        if pid in spared or not pattern.search(line) or _OURS.search(line):
            continue
        ticks = start_ticks(pid)
        if ticks is not None and state_of((pid, ticks)):
            found.append((pid, ticks))
    return tuple(sorted(found, key=lambda process: (process[1], process[0])))


def find_some(match: str, at_most: int) -> tuple[Process, ...]:
    """Return the processes that match, at least one and at most `at_most`.

    Raises:
        ActionError: There is none, or there are more: an empty target is no success, and more than
            was meant is not touched.
    """
    found = find(match)
    if not found:
        raise ActionError(f"no process matches {match!r}")
    if len(found) > at_most:
        raise ActionError(f"{len(found)} processes match {match!r}, at most {at_most} may be touched")
    return found


def send(process: Process, number: int) -> None:
    """Send a signal to that very process; one that has ended is no error.

    Raises:
        ActionError: It belongs to somebody else.
    """
    try:
        handle = os.pidfd_open(process[0])
    except ProcessLookupError:
        return
    except OSError as error:
        raise ActionError(f"process {process[0]} cannot be reached: {error.strerror}") from None
    try:
        if start_ticks(process[0]) == process[1]:
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return
    except PermissionError:
        raise ActionError(f"process {process[0]} belongs to another user") from None
    finally:
        os.close(handle)


def wait_gone(processes: tuple[Process, ...], within_s: float) -> bool:
    """Wait until all of them have ended; tell whether they have."""
    give_up_s = time.monotonic() + within_s
    while any(state_of(process) for process in processes):
        if time.monotonic() > give_up_s:
            return False
        time.sleep(PAUSE_S)
    return True


def end(processes: tuple[Process, ...], grace_s: float) -> None:
    """SIGTERM them, and SIGKILL what is left after the grace. A stopped process gets on with it.

    Raises:
        ActionError: One of them belongs to somebody else, or lives on.
    """
    if grace_s > 0:
        for process in processes:
            send(process, signal.SIGTERM)
            send(process, signal.SIGCONT)
        if wait_gone(processes, grace_s):
            return
    for process in processes:
        send(process, signal.SIGKILL)
    if not wait_gone(processes, 5.0):
        raise ActionError("a process lives on after SIGKILL")
