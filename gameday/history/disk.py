"""The thread that waits for the disk, so that the deciding thread need not.

Bytes are appended in the order they were handed over. `write` can wait until they are on stable
storage, or give up waiting after a bound and go on: the safe direction (a kill, an undo) must never
hang on a disk. When the disk is full, a reserve allocated beforehand is given back and the write is
tried again, so the record of the undo still fits.
"""

from __future__ import annotations

import errno
import os
import queue
import threading
from dataclasses import dataclass, field
from pathlib import Path

RESERVE_BYTES = 1 << 20


@dataclass(slots=True)
class _Job:
    fd: int
    data: bytes
    sync: bool
    done: threading.Event = field(default_factory=threading.Event)
    error: OSError | None = None


class Disk:
    """One writer thread over a few append-only files."""

    def __init__(self, reserve: Path) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._reserve = reserve
        self.error: OSError | None = None
        _reserve_space(reserve)
        self._thread = threading.Thread(target=self._work, name="history-disk", daemon=True)
        self._thread.start()

    def write(self, fd: int, data: bytes, *, sync: bool, patience_s: float | None) -> bool:
        """Append `data` to `fd`; wait at most `patience_s` (None: do not wait at all).

        Returns:
            True when the bytes are on stable storage (or no wait was asked for).

        Raises:
            OSError: The disk refused this very write while we waited.
        """
        job = _Job(fd, data, sync)
        self._jobs.put(job)
        if patience_s is None:
            return True
        if not job.done.wait(patience_s):
            return False
        if job.error is not None:
            raise job.error
        return True

    def close(self, patience_s: float = 5.0) -> None:
        """Finish what was handed over, then end the thread and give the reserve back."""
        self._jobs.put(None)
        self._thread.join(patience_s)
        self._reserve.unlink(missing_ok=True)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._append(job)
            except OSError as error:
                job.error = self.error = error
            job.done.set()

    def _append(self, job: _Job) -> None:
        end = os.lseek(job.fd, 0, os.SEEK_END)
        for attempt in (1, 2):
            try:
                _write_all(job.fd, job.data)
                break
            except OSError as error:
                os.ftruncate(job.fd, end)  # Never leave half a line before a whole one.
                if attempt == 2 or error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                self.error = error  # What follows fits into the reserve, yet the run must halt now.
                self._reserve.unlink(missing_ok=True)
        if job.sync:
            os.fsync(job.fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _reserve_space(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.posix_fallocate(fd, 0, RESERVE_BYTES)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        # A file system without fallocate: write the bytes instead.
        _write_all(fd, bytes(RESERVE_BYTES))
    finally:
        os.close(fd)
