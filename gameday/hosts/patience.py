"""How long to wait for a process that prepares itself: as long as it is at work, within a stated bound.

A fixed number of seconds says as much about the machine as about the process: what imports in one second
needs thirty where twenty others want the same two cores. So what counts against a process is the time in
which it was *idle*: neither it nor what it started used the processor, wanted it, or waited for the disk.
Waiting costs no safety before the first effect, because nothing has been done yet. A process that works for
ever meets the bound. Time in which the waiter itself was stopped counts for nothing.

Source: proc(5), /proc/pid/stat: state (field 3), utime and stime (14, 15).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gameday.procfs import PARENT, STATE, pids, stat

LOOK_S = 0.5  # A look reads the whole of /proc: some milliseconds.
IDLE_S = 30.0
PREPARING_MOST_S = 300.0
_USED = (11, 12)
_AT_WORK = "RD"  # On a processor or waiting for one; waiting for a disk.


def wait_while_at_work(
    pid: int, is_done: Callable[[float], bool], *, idle_s: float, most_s: float | None = None
) -> str:
    """Wait for something that a process is to do; return nothing, or why it was not waited for any longer.

    Args:
        pid: The process. What it started counts with it. What is not there is idle.
        is_done: Waits up to that many seconds and tells whether it is done; it also has to notice the end.
        idle_s: How long the process may have been idle, in all.
        most_s: The bound, whatever it does; None for `idle_s`, a plain deadline.
    """
    most_s = idle_s if most_s is None else most_s
    idled_s = waited_s = 0.0
    at_s, before = time.monotonic(), _used(pid)
    while not is_done(min(LOOK_S, max(most_s - waited_s, 0.0))):
        now_s = time.monotonic()
        passed_s, at_s = min(now_s - at_s, 2 * LOOK_S), now_s
        waited_s += passed_s
        used = _used(pid)
        if used is None or used == before:
            idled_s += passed_s
        before = used
        if idled_s >= idle_s or waited_s >= most_s:
            did = "nothing" if idled_s >= idle_s else "work"
            return f"not ready within {waited_s:.1f} s, in which it did {did}".replace(".0 s", " s")
    return ""


def _used(pid: int) -> tuple[int, int] | None:
    """Return what tells work from idleness: the ticks used, and a number that is new while it wants more.

    None where the process is gone.
    """
    family, ticks, at_work = _family(pid), 0, 0
    if not family:
        return None
    for fields in family:
        ticks += sum(int(fields[number]) for number in _USED)
        at_work |= fields[STATE] in _AT_WORK
    return ticks, time.monotonic_ns() if at_work else 0


def _family(pid: int) -> list[list[str]]:
    """Return the /proc/PID/stat of a process and of all that descend from it."""
    fields = stat(pid)
    if not fields:
        return []
    children: dict[int, list[tuple[int, list[str]]]] = {}
    for other in pids():
        if theirs := stat(other):
            children.setdefault(int(theirs[PARENT]), []).append((other, theirs))
    found, rest = [fields], [pid]
    while rest:
        for child, theirs in children.pop(rest.pop(), ()):
            found.append(theirs)
            rest.append(child)
    return found
