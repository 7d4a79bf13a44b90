"""The file of tracked findings: appended under a lock, chained line by line, never rewritten.

Whoever may write the project may write here; the chain shows an edit, not who made it. A line that a
crash tore off was never acknowledged: it is not read, and the next change takes its place.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gameday.canonical import canonical, from_json, to_json
from gameday.errors import HistoryError, RecordError
from gameday.evidence.tracking import (
    Accepted,
    Added,
    Assigned,
    Change,
    Closed,
    Entry,
    SeenAgain,
    Tracked,
    fold,
)

FOLDER = "findings"
FILE = "findings.jsonl"
BYTES_MAX = 64 << 20
LOCK_WAIT_S = 5.0
GENESIS = hashlib.sha256(b"gameday-findings-v1\0").hexdigest()
_KINDS: dict[str, type[Change]] = {
    cls.__name__: cls for cls in (Added, SeenAgain, Assigned, Closed, Accepted)
}
_KEYS = {"at_utc", "by", "change", "finding", "kind", "prev", "seq"}
_TODO = "Put back the file from your version control or backup; its lines are chained, so none may be edited."


def tracked(project: Path) -> tuple[Tracked, ...]:
    """Return the tracked findings of a project as they stand.

    Raises:
        RecordError: The file cannot be read, or was edited.
    """
    path = project / FOLDER / FILE
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise HistoryError(f"{path}: cannot be read: {error.strerror}", todo=_TODO) from error
    with os.fdopen(fd, "rb") as file:
        return fold(_entries(_whole(file.read(BYTES_MAX + 1), path), path))


def project_of(run_dir: Path) -> Path | None:
    """Return the project above a run folder that tracks findings; None when there is none."""
    above = run_dir.resolve().parents
    return next((folder for folder in above[:4] if (folder / FOLDER / FILE).is_file()), None)


def mended(run_dir: Path, run: str) -> tuple[tuple[Tracked, ...], str]:
    """Return what people made of a run's findings, and the day (YYYY-MM-DD) of the last change of any.

    Raises:
        RecordError: The file cannot be read, or was edited.
    """
    project = project_of(run_dir)
    every = tracked(project) if project is not None else ()
    mine = tuple(item for item in every if run in item.runs)
    return mine, max((entry.at_utc[:10] for item in every for entry in item.history), default="")


def change(
    project: Path,
    decide: Callable[[tuple[Tracked, ...]], Iterable[tuple[str, Change]]],
    *,
    by: str,
    at_utc: str,
) -> tuple[Tracked, ...]:
    """Append the changes that `decide` makes of the findings as they stand, and return those it touched.

    Args:
        project: The project's folder.
        decide: Called under the lock; returns (finding, change) pairs. Where it raises, nothing changes.
        by: Who changes it, as claimed.
        at_utc: Now.

    Raises:
        RecordError: The file cannot be written or read, or was edited.
    """
    path = project / FOLDER / FILE
    try:
        if path.parent.is_symlink():
            raise HistoryError(f"{path.parent} is a link, which is not followed", todo="Remove the link.")
        path.parent.mkdir(exist_ok=True)
        with _locked(path) as fd:
            return _append(fd, path, decide, by, at_utc)
    except OSError as error:
        raise HistoryError(
            f"{path}: cannot be written: {error.strerror}", todo="Nothing was changed."
        ) from error


def _append(
    fd: int,
    path: Path,
    decide: Callable[[tuple[Tracked, ...]], Iterable[tuple[str, Change]]],
    by: str,
    at_utc: str,
) -> tuple[Tracked, ...]:
    data = _whole(_read(fd), path)
    before = _entries(data, path)
    prev = hashlib.sha256(data.splitlines()[-1]).hexdigest() if data else GENESIS
    lines, added = [], []
    for number, (name, made) in enumerate(decide(fold(before)), start=len(before) + 1):
        entry = Entry(number, at_utc, by, name, made)
        line = _line(entry, prev)
        prev = hashlib.sha256(line).hexdigest()
        lines.append(line + b"\n")
        added.append(entry)
    if lines:
        os.ftruncate(fd, len(data))  # What a crash tore off.
        _write(fd, b"".join(lines), len(data))
        os.fsync(fd)
        _sync(path.parent)
    touched = {entry.finding for entry in added}
    return tuple(item for item in fold((*before, *added)) if item.id in touched)


def _write(fd: int, data: bytes, at: int) -> None:
    while data:
        count = os.pwrite(fd, data, at)
        data, at = data[count:], at + count


def _line(entry: Entry, prev: str) -> bytes:
    return canonical(
        {
            "at_utc": entry.at_utc,
            "by": entry.by,
            "change": to_json(entry.change),
            "finding": entry.finding,
            "kind": type(entry.change).__name__,
            "prev": prev,
            "seq": entry.seq,
        }
    )


def _entries(data: bytes, path: Path) -> list[Entry]:
    entries, prev = [], GENESIS
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            entries.append(_entry(json.loads(line), number, prev))
        except (ValueError, RecordError, RecursionError) as error:
            raise HistoryError(f"{path}:{number}: {error}", todo=_TODO) from error
        prev = hashlib.sha256(line).hexdigest()
    return entries


def _entry(data: object, number: int, prev: str) -> Entry:
    if not isinstance(data, dict) or set(data) != _KEYS:
        raise RecordError(f"not a change of a finding: {str(data)[:80]}")
    if data["prev"] != prev or data["seq"] != number:
        raise RecordError("the chain is broken: this line, or one before it, was edited or taken out")
    cls = _KINDS.get(str(data["kind"]))
    if cls is None:
        raise RecordError(f"unknown kind of change {data['kind']!r}")
    at_utc, by, finding = (from_json(str, data[key], key) for key in ("at_utc", "by", "finding"))
    return Entry(number, at_utc, by, finding, from_json(cls, data["change"], "change"))


def _whole(data: bytes, path: Path) -> bytes:
    if len(data) > BYTES_MAX:
        raise HistoryError(
            f"{path}: is larger than {BYTES_MAX >> 20} MiB", todo="This is no list of findings."
        )
    return data[: data.rfind(b"\n") + 1]


def _read(fd: int) -> bytes:
    pieces, at = [], 0
    while at <= BYTES_MAX and (piece := os.pread(fd, 1 << 20, at)):
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    try:
        until_s = time.monotonic() + LOCK_WAIT_S
        while not _try(fd):
            if time.monotonic() > until_s:
                raise HistoryError(
                    f"{path}: another gameday holds it for more than {LOCK_WAIT_S:g} s", todo="Try again."
                )
            time.sleep(0.02)
        yield fd
    finally:
        os.close(fd)


def _try(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
