"""Kill, stop and restart processes, chosen by a regular expression over their command lines.

An empty choice is refused, and so is a larger one than `at_most`. What reads these faults back is
the process table itself, not a memory of what was done.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from gameday import procfs
from gameday.actions import faults, procs
from gameday.actions.http import ActionError

__all__ = ["is_gone", "is_stopped", "kill", "restart", "resume", "start", "stop"]


def kill(match: str, start: list[str] | None = None, at_most: int = 1, grace_s: float = 0.0) -> None:
    """Kill the processes: SIGKILL, or SIGTERM and SIGKILL after `grace_s` seconds.

    `start` is the command by which its undo starts them again. Without one, somebody else has to
    (systemd, a supervisor), and the undo waits for that.

    Raises:
        ActionError: None matches, or more than `at_most`, or one belongs to somebody else.
    """
    del start
    procs.end(procs.find_some(match, at_most), grace_s)


def start(match: str, start: list[str] | None = None, cwd: str = "/", within_s: float = 20.0) -> None:
    """Start what was killed, when nothing that matches is there; without a command wait for it.

    Raises:
        ActionError: It did not come.
    """
    _bring_back(match, start, cwd, within_s)


def _bring_back(match: str, command: list[str] | None, cwd: str, within_s: float) -> None:
    if procs.find(match):
        return
    if command is not None:
        _spawn(command, cwd)
    give_up_s = time.monotonic() + within_s
    while not procs.find(match):
        if time.monotonic() > give_up_s:
            how = "after its start command" if command else "and nobody started one"
            raise ActionError(f"no process matches {match!r} {how} within {within_s:g} s")
        time.sleep(0.02)


def _spawn(command: list[str], cwd: str) -> None:
    """Start a service that stays: in its own session, without any mark of ours."""
    marks = (faults.HOST_MARKER, faults.MARKER)
    try:
        subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={key: value for key, value in os.environ.items() if key not in marks},
        )
    except OSError as error:
        raise ActionError(f"{command[0]}: {error.strerror}") from None


def is_gone(match: str) -> bool:
    """Tell whether no process matches."""
    return not procs.find(match)


def restart(
    match: str,
    start: list[str] | None = None,
    cwd: str = "/",
    at_most: int = 1,
    grace_s: float = 5.0,
    within_s: float = 20.0,
) -> None:
    """End the processes in order and start them again: a `change:`, whose undo starts what is missing.

    Raises:
        ActionError: None matches, or too many, or it did not come again.
    """
    kill(match, start, at_most, grace_s)
    _bring_back(match, start, cwd, within_s)


def stop(match: str, name: str = "gameday-stop", at_most: int = 1, ttl_s: float = faults.TTL_S) -> None:
    """Stop the processes (SIGSTOP): they keep their connections and answer nothing.

    A process beside them lets them go on after `ttl_s`. Ones that were stopped already are adopted:
    the undo lets every process that matches go on.

    Raises:
        ActionError: None matches, or too many, or one belongs to somebody else.
    """
    found = procs.find_some(match, at_most)
    with faults.timed(name, "process.stop", resume, {"match": match, "name": name}, ttl_s):
        for process in found:
            procs.send(process, signal.SIGSTOP)


def resume(match: str, name: str = "gameday-stop") -> None:
    """Let the processes go on: all that may be, whatever stands among them by now.

    Raises:
        ActionError: One belongs to somebody else.
    """
    problem: ActionError | None = None
    for process in procs.find(match):
        try:
            procs.send(process, signal.SIGCONT)
        except ActionError as error:
            problem = error
    faults.end(name)
    if problem is not None:
        raise problem


def is_stopped(match: str) -> bool:
    """Tell whether one of the processes is stopped, or frozen."""
    return any(procs.state_of(process) in ("T", "t") for process in procs.find(match))


def pid_in(path: str) -> procs.Process:
    """Return the process that a pid file names.

    Raises:
        ActionError: It names none that lives.
    """
    try:
        pid = int(Path(path).read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError) as error:
        raise ActionError(f"the pid file {path} names no process: {error}") from None
    ticks = procfs.start_ticks(pid)
    if ticks is None:
        raise ActionError(f"the pid file {path} names process {pid}, which does not live")
    return pid, ticks
