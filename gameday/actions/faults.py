"""Faults that live on this machine: each has a name, a record on disk, and perhaps a process.

A fault process *is* the fault: it burns, fills, holds. It must outlive the action that started it
and the host that ran the action, and it must not outlive its time to live. So it stands in a session
of its own, without the mark by which the runner finds what belongs to a host, and with one of its own:

    GAMEDAY_FAULT=NAME in its environment, and `gameday-fault NAME` on its command line

By these any process finds it, whoever started it. The order is: the record (fsynced), the process,
its pid and start time into the record (fsynced), and only then the word upon which it begins. A
starter that is killed on the way leaves a process that reads an end of file and leaves.

    /var/tmp/gameday-UID/faults/NAME.json   {"name","kind","boot_id","state","pid","ticks","prior"}

The folder does not depend on the environment of whoever asks, so that `gameday recover` in another
terminal looks in the same place (GAMEDAY_FAULT_DIR chooses another, for tests). `state` is intended,
placed, or undone. `prior` is what an inverse has to put back, captured before the effect.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gameday import procfs
from gameday.actions import procs
from gameday.actions.http import ActionError
from gameday.procfs import boot_id

MARKER = "GAMEDAY_FAULT"
ARGUMENT = "gameday-fault"
HOST_MARKER = "GAMEDAY_HOST"
READY_S = 8.0
TTL_S = 900.0
TTL_MAX_S = 86_400.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}\Z")
_ROUNDS_MAX = 200

__all__ = ["begin", "check_name", "end", "folder", "intend", "is_placed", "left", "read", "workers"]


def check_name(name: str) -> str:
    """Return a fault's name as it may stand in a file name and a command line.

    Raises:
        ActionError: It may not.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise ActionError(f"name {name!r}: expected letters, digits, - and _, 80 at most")
    return name


def folder() -> Path:
    """Return this user's private folder of fault records.

    Raises:
        ActionError: It belongs to somebody else, or others can write there.
    """
    chosen = os.environ.get("GAMEDAY_FAULT_DIR")
    path = Path(chosen) if chosen else Path(f"/var/tmp/gameday-{os.getuid()}/faults")  # noqa: S108 - checked
    for part in (path,) if chosen else (path.parent, path):
        part.mkdir(mode=0o700, exist_ok=True)
        found = part.lstat()
        if part.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise ActionError(f"{part} is not a private folder of this user: remove it and try again")
    return path


def read(name: str) -> dict[str, Any]:
    """Return the record of a fault; empty when there is none, or the machine has started since.

    Raises:
        ActionError: There is one that cannot be read: then nobody knows what to put back.
    """
    path = folder() / f"{check_name(name)}.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ActionError(f"the record {path} cannot be read: {error}") from None
    if not isinstance(record, dict):
        raise ActionError(f"the record {path} is not one of a fault")
    return record if record.get("boot_id") == boot_id() else {}


def write(name: str, record: dict[str, Any]) -> None:
    """Put a record on disk, whole or not at all, before returning.

    Raises:
        ActionError: It cannot be written; then nothing may be injected.
    """
    path = folder() / f"{check_name(name)}.json"
    fresh = path.with_suffix(f".{os.getpid()}")
    try:
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(record, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise ActionError(f"no record of the fault can be written: {error}; nothing was injected") from None


def is_placed(name: str) -> bool:
    """Tell whether the record says that the fault was, or may have been, put in and not taken back."""
    return read(name).get("state") in ("intended", "placed")


def intend(name: str, kind: str, prior: Any = None) -> None:
    """Write down that a fault is about to be put in, and what there was before.

    Raises:
        ActionError: One of that name is in place already.
    """
    check_name(name)
    if workers(name) or (prior is not None and is_placed(name)):
        raise ActionError(f"fault {name!r} is in place already: undo it, or give this one another `name`")
    write(name, {"name": name, "kind": kind, "boot_id": boot_id(), "state": "intended", "prior": prior})


@contextmanager
def timed(
    name: str,
    kind: str,
    take_back: Callable[..., None],
    arguments: dict[str, Any],
    ttl_s: float,
    prior: Any = None,
) -> Iterator[None]:
    """Put in, inside this block, a fault that needs no process, with a process that takes it back in time.

    The record comes first, then the timer, then the effect. When the effect fails, the timer goes.

    Raises:
        ActionError: A fault of that name is in place already, or the timer cannot be started.
    """
    intend(name, kind, prior)
    where = {"module": take_back.__module__, "func": take_back.__name__, "arguments": arguments}
    begin(name, "timer", where, ttl_s)
    is_there = False
    try:
        yield
        is_there = True
    finally:
        if not is_there:
            end(name)


def settle(name: str, state: str) -> None:
    """Change the state in a record that is there."""
    record = read(name)
    if record:
        write(name, record | {"state": state})


def begin(name: str, kind: str, config: dict[str, Any], ttl_s: float, *, ready_s: float = READY_S) -> int:
    """Start the fault process and return its pid once its effect is there.

    Args:
        name: The fault's name; an intent of that name was written.
        kind: Which work it does, see `gameday.actions.faultworker`.
        config: What the work needs; goes through a pipe, because it may hold a secret.
        ttl_s: After so many seconds it ends by itself, whoever else is dead by then.
        ready_s: How long its effect may take to be there.

    Raises:
        ActionError: It did not come about; nothing is left of it.
    """
    if not 0 < ttl_s <= TTL_MAX_S:
        raise ActionError(f"ttl_s {ttl_s!r}: expected more than 0 and at most {TTL_MAX_S:g} seconds")
    log = os.open(folder() / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    kept = {key: value for key, value in os.environ.items() if key != HOST_MARKER}
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "gameday.actions.faultworker", ARGUMENT, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={**kept, MARKER: name, "PYTHONPATH": os.pathsep.join(_import_paths())},
            bufsize=0,
        )
    except OSError as error:
        raise ActionError(f"the fault process cannot be started: {error}") from None
    finally:
        os.close(log)
    has_begun = False
    try:
        ticks = procfs.start_ticks(process.pid)
        write(name, read(name) | {"pid": process.pid, "ticks": ticks})
        _say_go(process, {"kind": kind, "config": config, "ttl_s": ttl_s})
        _hear_ready(process, ready_s)
        settle(name, "placed")
        has_begun = True
    finally:
        if not has_begun:
            end(name)
            process.wait()
    return process.pid


def _import_paths() -> list[str]:
    """Return where modules are found, for a process that starts in another folder."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [str(Path(__file__).resolve().parents[2]), *(str(Path(p).resolve()) for p in given if p)]


def _say_go(process: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.close()
    except OSError:
        return  # It is dead already, which its silence tells.


def _hear_ready(process: subprocess.Popen[bytes], ready_s: float) -> None:
    assert process.stdout is not None
    give_up_s = time.monotonic() + ready_s
    heard = b""
    while b"\n" not in heard:
        left_s = max(give_up_s - time.monotonic(), 0.0)
        if not select.select([process.stdout], [], [], left_s)[0]:
            raise ActionError(f"the fault had no effect within {ready_s:g} s")
        data = os.read(process.stdout.fileno(), 4096)
        if not data:
            raise ActionError("the fault process ended before it had an effect; its log says why")
        heard += data
    process.stdout.close()
    word, _, reason = heard.split(b"\n")[0].decode("utf-8", "replace").partition(" ")
    if word != "ready":
        raise ActionError(reason or "the fault process failed")


def workers(name: str) -> tuple[procs.Process, ...]:
    """Return the living processes of a fault; the caller is none of them.

    They are found by their mark, and by the session that the first of them leads: programs such as
    stress-ng write over their environment.
    """
    mark = f"{MARKER}={check_name(name)}".encode()
    session = _session(name)
    found = []
    for pid in procfs.pids():
        if pid == os.getpid():
            continue
        ticks = procfs.start_ticks(pid)
        if ticks is None or not procs.state_of((pid, ticks)):
            continue
        is_member = session is not None and procs.session_of(pid) == session
        if is_member or _is_called(pid, name) or mark in procfs.environment(pid):
            found.append((pid, ticks))
    return tuple(found)


def _session(name: str) -> int | None:
    """Return the session of a fault that is not undone, unless its number has been given away since."""
    try:
        record = read(name)
    except ActionError:
        return None
    pid = record.get("pid")
    if pid is None or record.get("state") not in ("intended", "placed"):
        return None
    return int(pid) if procfs.start_ticks(pid) in (None, record.get("ticks")) else None


def _is_called(pid: int, name: str) -> bool:
    """Command lines can be read across users, environments cannot."""
    return procs.command_line(pid).endswith(f"gameday.actions.faultworker {ARGUMENT} {name}")


def end(name: str) -> None:
    """Kill whatever is left of a fault's processes, until nothing is, and note that it is undone.

    Raises:
        ActionError: Something belongs to another user, or lives on.
    """
    for _ in range(_ROUNDS_MAX):
        left = workers(name)
        if not left:
            settle(name, "undone")
            return
        for process in left:
            procs.send(process, signal.SIGKILL)
        time.sleep(procs.PAUSE_S)
    raise ActionError(f"fault {name!r} has processes that live on: {', '.join(str(p) for p, _ in left)}")


def left() -> tuple[str, ...]:
    """Return the names of this user's faults that may be in place on this machine, sorted."""
    names = [path.stem for path in folder().glob("*.json") if _NAME.match(path.stem)]
    return tuple(sorted(name for name in names if is_placed(name) and _is_there(name)))


def _is_there(name: str) -> bool:
    """A fault with something to put back may be there without a process; others are their process."""
    return read(name).get("prior") is not None or bool(workers(name))


def in_place(name: str) -> bool:
    """Tell whether a fault that consists of its process is there."""
    return bool(workers(name))
