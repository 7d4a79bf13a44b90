"""The ledger: numbered writes on the users' path, by which lost data is measured.

Each write's intent is on disk before it is sent, and its end afterwards: acknowledged, failed (it
certainly had no effect) or unknown. After a failover the writer falls silent, everything is read
back from the recovered authority, and writing goes on. What was acknowledged and is absent is lost.

    {"number":7,"mark":"intent","at_ns":…,"sha256":…}   then "acked" | "failed" | "unknown"
    {"number":7,"mark":"present","occasion":"end",…}     once for each read-back
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from gameday.errors import Refused
from gameday.history.codec import encode_item
from gameday.history.events import LedgerEntry, LedgerMark, LedgerRead, SyntheticPurged
from gameday.history.redact import NOTHING, Redactor
from gameday.hosts.clock import RunClock
from gameday.hosts.hoststore import HostStore
from gameday.hosts.httpstore import HttpStore
from gameday.hosts.inbox import Inbox
from gameday.hosts.stores import Absent, Outcome
from gameday.hosts.words import one_line
from gameday.plan.model import NS, Ledger

READ_PATIENCE_S = 10.0


class _Store(Protocol):
    """A store as the writer sees it, wherever it runs."""

    def arm(self) -> None: ...
    def write(self, number: int, sha256: str, payload: str) -> tuple[Outcome, int | None]: ...
    def read_all(self) -> list[tuple[int, str]]: ...
    def purge(self) -> int: ...
    def close(self) -> None: ...


class LedgerWriter:
    """Writes, falls silent on demand, reads back, and removes what it wrote."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        run: str,
        path: Path,
        clock: RunClock,
        inbox: Inbox,
        project: Path | None = None,
        log_dir: Path | None = None,
        redact: Redactor = NOTHING,
    ) -> None:
        """Open the ledger's file, and begin to open its store.

        Raises:
            Refused: The environment lacks a variable that it names.
        """
        self._redact = redact
        self.name = ledger.name
        self._run = run
        self._every_s = ledger.every_ns / NS
        self._timeout_s = ledger.timeout_ns / NS
        self._clock = clock
        self._inbox = inbox
        in_flight = -(-ledger.timeout_ns // ledger.every_ns) + 1
        self._store = _open_store(ledger, run, project or Path(), log_dir or path.parent, in_flight)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self._pool = ThreadPoolExecutor(in_flight, thread_name_prefix="ledger")
        self._free = threading.Semaphore(in_flight)
        self._in_flight = in_flight
        self._writing = threading.Event()
        self._stopped = threading.Event()
        self._quiet = threading.Event()
        self._number = 0

    @property
    def pid(self) -> int | None:
        """The process that writes; None where the runner itself does."""
        return self._store.pid if isinstance(self._store, HostStore) else None

    def arm(self) -> None:
        """Wait until the store is ready.

        Raises:
            Refused: It is not; nothing was written.
        """
        self._store.arm()

    def start(self) -> None:
        """Begin writing."""
        self._writing.set()
        threading.Thread(target=self._write_all, name="ledger", daemon=True).start()

    def ask(self, occasion: str, resume: bool) -> None:
        """Fall silent, read everything back, and go on if `resume`. Answers through the inbox."""
        threading.Thread(target=self._read_back, args=(occasion, resume), daemon=True).start()

    def purge(self) -> None:
        """Remove every marked write of this run. Answers through the inbox."""
        threading.Thread(target=lambda: self._post(self.removed()), daemon=True).start()

    def removed(self) -> SyntheticPurged:
        """Remove every marked write of this run and say how that went."""
        try:
            purged = self._store.purge()
        except OSError as error:
            return SyntheticPurged(found=0, purged=0, ok=False, detail=one_line(str(error)))
        return SyntheticPurged(found=purged, purged=purged, ok=True)

    def stop(self) -> None:
        """Stop writing for good."""
        self._writing.clear()
        self._stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._store.close()
        os.close(self._fd)

    def _write_all(self) -> None:
        due_s = time.monotonic()
        while not self._stopped.wait(max(due_s - time.monotonic(), 0.0)):
            due_s = max(due_s + self._every_s, time.monotonic() - self._every_s)
            if not self._writing.is_set():
                self._quiet.set()
                continue
            self._quiet.clear()
            if self._free.acquire(blocking=False):
                self._number += 1
                self._pool.submit(self._write, self._number)

    def _write(self, number: int) -> None:
        try:
            payload = f"{self._run}:{number}"
            sha256 = hashlib.sha256(payload.encode()).hexdigest()
            # Intent before effect: whatever becomes of the write, it is known that it was tried.
            self._log(self._entry(number, LedgerMark.INTENT, self._clock.now_ns(), sha256), sync=True)
            (mark, detail), ended_boot_ns = self._store.write(number, sha256, payload)
            now_ns = self._clock.now_ns()
            at_ns = now_ns if ended_boot_ns is None else ended_boot_ns - self._clock.origin_boot_ns
            self._log(self._entry(number, mark, min(at_ns, now_ns), sha256, one_line(detail)), sync=False)
        finally:
            self._free.release()

    def _entry(self, number: int, mark: LedgerMark, at_ns: int, sha256: str, detail: str = "") -> LedgerEntry:
        return LedgerEntry(number, mark, at_ns, sha256, detail=detail, ledger=self.name)

    def _log(self, *entries: LedgerEntry, sync: bool) -> None:
        os.write(self._fd, b"".join(encode_item(self._redact.record(entry)) for entry in entries))
        if sync:
            os.fdatasync(self._fd)

    def _read_back(self, occasion: str, resume: bool) -> None:
        self._writing.clear()
        self._quiet.wait(self._every_s * 2 + 1.0)
        taken = 0
        while taken < self._in_flight and self._free.acquire(timeout=self._timeout_s + 1.0):
            taken += 1  # All workers are back: nothing is in flight any more.
        self._free.release(taken)
        try:
            found = self._fetch()
        except OSError as error:
            detail = one_line(str(error))
            self._post(LedgerRead(occasion, ok=False, recovered=0, detail=detail, ledger=self.name))
        else:
            now_ns = self._clock.now_ns()
            entries = [
                LedgerEntry(number, LedgerMark.PRESENT, now_ns, sha256, occasion, count, ledger=self.name)
                for (number, sha256), count in sorted(found.items())
            ]
            self._log(*entries, sync=True)
            self._post(LedgerRead(occasion, ok=True, recovered=len(entries), ledger=self.name))
        if resume:
            self._writing.set()

    def _fetch(self) -> Counter[tuple[int, str]]:
        """Read every marked write. Tries for a while: the path may only just have come back.

        Raises:
            OSError: It could not be read in time.
        """
        give_up_s = time.monotonic() + READ_PATIENCE_S
        while True:
            try:
                return Counter(self._store.read_all())
            except OSError as error:
                if time.monotonic() > give_up_s:
                    raise OSError(f"the ledger could not be read back: {error}") from error
            time.sleep(0.1)

    def _post(self, event: LedgerRead | SyntheticPurged) -> None:
        self._inbox.put((self._clock.now_ns(), event))


def _open_store(ledger: Ledger, run: str, project: Path, log_dir: Path, in_flight: int) -> _Store:
    if ledger.writer not in ("orders", "http"):
        log = log_dir / f"ledger-{ledger.name or ledger.writer}.log"
        return HostStore(ledger, run=run, project=project, log=log, workers=in_flight)
    spec = json.loads(ledger.spec.replace("${run}", run))
    try:
        return HttpStore(spec, run=run, timeout_s=ledger.timeout_ns / NS)
    except Absent as error:
        raise Refused(
            f"ledger {ledger.name or ledger.writer}: {error}", todo="Set it, and start again."
        ) from error
