"""Append to a run's history: the one writer, under a lock.

    RUN/history.jsonl          the chain, see `codec`
    RUN/segments/STREAM.jsonl  samples, load, ledger; slices of them enter the chain by digest

A command is handed to the world only after `record` returned for it, and `record` returns only when
the line is on stable storage: no record, no injection. The exceptions are kills and undos, which
wait at most 50 ms. A crash can leave half a line at the end of a file; it is cut off when the next
writer opens the history, because what was not whole on disk was never acted on.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

from gameday.errors import HistoryError
from gameday.history.codec import STREAMS, Roots, encode_item, encode_record, genesis, line_digest
from gameday.history.disk import Disk
from gameday.history.events import Command, Report, Sample, SegmentSealed
from gameday.history.loadevents import LoadBucket
from gameday.history.record import Record
from gameday.history.redact import NOTHING, Redactor

SAFE_PATIENCE_S = 0.05
COMMAND_PATIENCE_S = 1.0
HISTORY = "history.jsonl"
SEGMENTS = "segments"


class HistoryWriter:
    """The only writer of one run's history."""

    def __init__(self, run_dir: Path, roots: Roots, redact: Redactor = NOTHING) -> None:
        """Open (or go on with) the history in `run_dir`. `roots` count for a new one only.

        Args:
            run_dir: The run's folder.
            roots: What a new history grows from.
            redact: What keeps secret values out of it.

        Raises:
            HistoryError: Another process writes it, or it cannot be written.
        """
        self.run_dir = run_dir
        self._redact = redact
        try:
            (run_dir / SEGMENTS).mkdir(exist_ok=True)
            self._fd = _open(run_dir / HISTORY)
            _lock(self._fd, run_dir)
            _cut_torn_tail(self._fd)
            # Once: pathlib interns each part, and half a million fresh paths a day cost a megabyte.
            self._paths = {name: run_dir / SEGMENTS / f"{name}.jsonl" for name in STREAMS}
            self._segments = {name: _open(path) for name, path in self._paths.items()}
            self._disk = Disk(run_dir / "history.reserve")
        except OSError as error:
            raise HistoryError(
                f"the history in {run_dir} cannot be written: {error.strerror}",
                todo="Check free space and permissions of the run folder; nothing was injected.",
            ) from error
        self._seq, self._prev, self._sealed = _resume(self._fd, roots)

    def record(
        self, at_ns: int, utc: str, actor: str, event: Command | Report, *, sync: bool, safe: bool = False
    ) -> int:
        """Append one event and return its sequence number.

        Args:
            at_ns: When it happened, nanoseconds since the run began.
            utc: The wall clock now, as text.
            actor: Who asks or reports.
            event: The event.
            sync: Wait until it is on stable storage.
            safe: It is a kill or an undo: wait at most 50 ms, then go on whatever the disk does.

        Raises:
            HistoryError: It is not on stable storage (never raised when `safe`).
        """
        self._seq += 1
        record = Record(self._seq, at_ns, utc, actor, event)
        line = encode_record(record, self._prev)
        if self._redact.is_in(line):
            line = encode_record(self._redact.record(record), self._prev)
        self._prev = line_digest(line)
        patience_s = (SAFE_PATIENCE_S if safe else COMMAND_PATIENCE_S) if sync else None
        try:
            kept = self._disk.write(self._fd, line + b"\n", sync=sync, patience_s=patience_s)
        except OSError as error:
            if safe:
                return self._seq
            raise HistoryError(f"record {self._seq} cannot be written: {error.strerror}") from error
        if not kept and not safe:
            raise HistoryError(f"record {self._seq} is not on disk after {COMMAND_PATIENCE_S:g} s")
        return self._seq

    @property
    def head(self) -> tuple[int, str]:
        """The last record's number, and the digest of its line."""
        return self._seq, self._prev

    @property
    def disk_error(self) -> str | None:
        """What the disk last refused, if anything."""
        return self._disk.error.strerror if self._disk.error else None

    def keep(self, item: Sample | LoadBucket) -> None:
        """Append a sample or a load bucket to its segment. Does not wait."""
        stream = "samples" if isinstance(item, Sample) else "load"
        line = encode_item(item)
        if self._redact.is_in(line):
            line = encode_item(self._redact.record(item))
        self._disk.write(self._segments[stream], line, sync=False, patience_s=None)

    def seal(self, at_ns: int, utc: str) -> None:
        """Enter what the segment files have grown by into the chain, by digest."""
        for stream in STREAMS:
            start = self._sealed[stream]
            grown = _whole_lines(self._paths[stream], start)
            if not grown:
                continue
            end = start + len(grown)
            digest = hashlib.sha256(grown).hexdigest()
            self._sealed[stream] = end
            self.record(at_ns, utc, "runner", SegmentSealed(stream, start, end, digest), sync=False)

    def close(self) -> None:
        """Finish writing and let go of the lock."""
        self._disk.close()
        for fd in self._segments.values():
            os.close(fd)
        os.close(self._fd)


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, 0o600)


def _lock(fd: int, run_dir: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise HistoryError(
            f"another process is writing the history in {run_dir}",
            todo="Wait for it to end, or ask it to halt with `gameday halt`.",
        ) from None


def _cut_torn_tail(fd: int) -> None:
    size = os.fstat(fd).st_size
    data = os.pread(fd, size, 0)
    whole = data.rfind(b"\n") + 1
    if whole != size:
        os.ftruncate(fd, whole)


def _resume(fd: int, roots: Roots) -> tuple[int, str, dict[str, int]]:
    """Return the last sequence number, its digest, and how far each segment is sealed."""
    import json  # noqa: PLC0415 - needed only when a history is opened again

    seq, prev = 0, genesis(roots)
    sealed = dict.fromkeys(STREAMS, 0)
    data = os.pread(fd, os.fstat(fd).st_size, 0)
    for line in data.splitlines():
        record = json.loads(line)
        seq, prev = record["seq"], line_digest(line)
        if record["kind"] == "SegmentSealed":
            sealed[record["data"]["stream"]] = record["data"]["end_byte"]
    return seq, prev, sealed


def _whole_lines(path: Path, start: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read()
    except OSError:
        return b""
    return data[: data.rfind(b"\n") + 1]
