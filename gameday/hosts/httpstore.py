"""A ledger on an HTTP path: a numbered write is a POST, all are read back by a GET, removed by a DELETE.

Each write has a connection of its own: a kept one would hide a failover.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from gameday.history.events import LedgerMark
from gameday.hosts.clock import boot_ns
from gameday.hosts.httpprobe import exchange
from gameday.hosts.stores import Outcome, filled, secrets_in

READ_TIMEOUT_S = 5.0
BODY_MAX = 1 << 28


class HttpStore:
    """One URL that takes writes and one that lists them."""

    def __init__(self, spec: dict[str, Any], *, run: str, timeout_s: float) -> None:
        secrets = secrets_in(spec)
        spec = filled(spec, secrets)
        self._secrets = tuple(secrets.values())
        self._url: str = spec["url"]
        self._read_url: str = spec.get("read_url") or f"{self._url}?marker={quote(run)}"
        self._rows: str = spec.get("rows") or "orders"
        self._headers: dict[str, str] = spec.get("headers") or {}
        self._run = run
        self._timeout_s = timeout_s

    def arm(self) -> None:
        """Nothing has to be made ready."""

    def close(self) -> None:
        """Nothing is held."""

    def write(self, number: int, sha256: str, payload: str) -> tuple[Outcome, int | None]:
        """Post one; return what is known of it, and when it ended by the machine's clock."""
        body = {"marker": self._run, "number": number, "sha256": sha256, "item": payload, "quantity": 1}
        answer = exchange(
            self._url,
            method="POST",
            body=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **self._headers},
            timeout_s=self._timeout_s,
        )
        ended_boot_ns = boot_ns()
        mark = LedgerMark.UNKNOWN
        if answer.status is not None and 200 <= answer.status < 300:
            mark = LedgerMark.ACKED
        elif not answer.sent or (answer.status is not None and 400 <= answer.status < 500):
            mark = LedgerMark.FAILED
        detail = answer.error or (f"HTTP {answer.status}" if mark is not LedgerMark.ACKED else "")
        return (mark, self._clean(detail)), ended_boot_ns

    def read_all(self) -> list[tuple[int, str]]:
        """Return every marked write.

        Raises:
            OSError: The answer is no list of them.
        """
        answer = exchange(self._read_url, headers=self._headers, timeout_s=READ_TIMEOUT_S, body_max=BODY_MAX)
        if answer.status != 200:
            raise OSError(self._clean(answer.error) or f"HTTP {answer.status}")
        try:
            rows = json.loads(answer.body)[self._rows]
        except (ValueError, KeyError, TypeError):
            rows = None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise OSError(f"the answer is not a list of {self._rows}")
        return [(row["number"], str(row.get("sha256", ""))) for row in rows if type(row.get("number")) is int]

    def purge(self) -> int:
        """Remove every marked write and return how many there were.

        Raises:
            OSError: They were not removed.
        """
        answer = exchange(self._read_url, method="DELETE", headers=self._headers, timeout_s=READ_TIMEOUT_S)
        if answer.status not in (200, 204):
            raise OSError(self._clean(answer.error) or f"HTTP {answer.status}")
        try:
            return int(json.loads(answer.body)["purged"])
        except (ValueError, KeyError, TypeError):
            return 0  # It says no number; what is left is seen by whoever reads.

    def _clean(self, text: str) -> str:
        for value in self._secrets:
            text = text.replace(value, "***")
        return text
