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
from typing import Any
from urllib.parse import quote

from gameday.history.codec import encode_item
from gameday.history.events import LedgerEntry, LedgerMark, LedgerRead, SyntheticPurged
from gameday.history.redact import NOTHING, Redactor
from gameday.hosts.clock import RunClock
from gameday.hosts.httpprobe import exchange
from gameday.hosts.inbox import Inbox
from gameday.plan.model import NS, Ledger

READ_PATIENCE_S = 10.0
READ_TIMEOUT_S = 5.0


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
        redact: Redactor = NOTHING,
    ) -> None:
        self._redact = redact
        spec = json.loads(ledger.spec.replace("${run}", run))
        self._url: str = spec["url"]
        self._read_url: str = spec.get("read_url") or f"{self._url}?marker={quote(run)}"
        self._run = run
        self._every_s = ledger.every_ns / NS
        self._timeout_s = ledger.timeout_ns / NS
        self._clock = clock
        self._inbox = inbox
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        in_flight = -(-ledger.timeout_ns // ledger.every_ns) + 1
        self._pool = ThreadPoolExecutor(in_flight, thread_name_prefix="ledger")
        self._free = threading.Semaphore(in_flight)
        self._in_flight = in_flight
        self._writing = threading.Event()
        self._stopped = threading.Event()
        self._quiet = threading.Event()
        self._number = 0

    def start(self) -> None:
        """Begin writing."""
        self._writing.set()
        threading.Thread(target=self._write_all, name="ledger", daemon=True).start()

    def ask(self, occasion: str, resume: bool) -> None:
        """Fall silent, read everything back, and go on if `resume`. Answers through the inbox."""
        threading.Thread(target=self._read_back, args=(occasion, resume), daemon=True).start()

    def purge(self) -> None:
        """Remove every marked write of this run. Answers through the inbox."""
        threading.Thread(target=self._purge, daemon=True).start()

    def stop(self) -> None:
        """Stop writing for good."""
        self._writing.clear()
        self._stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
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
            body = {"marker": self._run, "number": number, "sha256": sha256, "item": payload, "quantity": 1}
            # Intent before effect: whatever becomes of the write, it is known that it was tried.
            self._log(LedgerEntry(number, LedgerMark.INTENT, self._clock.now_ns(), sha256), sync=True)
            answer = exchange(
                self._url,
                method="POST",
                body=json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
                timeout_s=self._timeout_s,
            )
            mark = LedgerMark.UNKNOWN
            if answer.status is not None and 200 <= answer.status < 300:
                mark = LedgerMark.ACKED
            elif not answer.sent or (answer.status is not None and 400 <= answer.status < 500):
                mark = LedgerMark.FAILED
            detail = answer.error or (f"HTTP {answer.status}" if mark is not LedgerMark.ACKED else "")
            entry = LedgerEntry(number, mark, self._clock.now_ns(), sha256, detail=detail)
            self._log(entry, sync=False)
        finally:
            self._free.release()

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
        except (OSError, ValueError) as error:
            self._post(LedgerRead(occasion, ok=False, recovered=0, detail=str(error)))
        else:
            now_ns = self._clock.now_ns()
            entries = [
                LedgerEntry(number, LedgerMark.PRESENT, now_ns, sha256, occasion, count)
                for (number, sha256), count in sorted(found.items())
            ]
            self._log(*entries, sync=True)
            self._post(LedgerRead(occasion, ok=True, recovered=len(entries)))
        if resume:
            self._writing.set()

    def _fetch(self) -> Counter[tuple[int, str]]:
        """Read every marked write. Tries for a while: the path may only just have come back.

        Raises:
            OSError: It could not be read in time.
        """
        give_up_s = time.monotonic() + READ_PATIENCE_S
        while True:
            rows, problem = self._fetch_once()
            if rows is not None:
                numbered = (row for row in rows if isinstance(row.get("number"), int))
                return Counter((row["number"], str(row.get("sha256", ""))) for row in numbered)
            if time.monotonic() > give_up_s:
                raise OSError(f"the ledger could not be read back: {problem}")
            time.sleep(0.1)

    def _fetch_once(self) -> tuple[list[dict[str, Any]] | None, str]:
        answer = exchange(self._read_url, timeout_s=READ_TIMEOUT_S, body_max=1 << 28)
        if answer.status != 200:
            return None, answer.error or f"HTTP {answer.status}"
        try:
            rows = json.loads(answer.body)["orders"]
        except (ValueError, KeyError, TypeError):
            rows = None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            return None, "the answer is not a list of orders"
        return rows, ""

    def _purge(self) -> None:
        answer = exchange(self._read_url, method="DELETE", timeout_s=READ_TIMEOUT_S)
        try:
            purged = int(json.loads(answer.body)["purged"]) if answer.status == 200 else 0
        except (ValueError, KeyError, TypeError):
            purged = 0
        ok = answer.status == 200
        detail = "" if ok else answer.error or f"HTTP {answer.status}"
        self._post(SyntheticPurged(found=purged, purged=purged, ok=ok, detail=detail))

    def _post(self, event: LedgerRead | SyntheticPurged) -> None:
        self._inbox.put((self._clock.now_ns(), event))
