"""What an experiment leaves on disk while it runs: its journal, and which rollbacks are still owed.

    journal.json                   the run so far, whole after every write; `interrupted` until it has ended
    hosts/STEP.state.json          {"acted", "ended", "rollbacks": {"0": "succeeded"}, "configuration"}

The state is written, and is on disk, before the action that it speaks of begins. So whoever comes after a
killed host knows what may have been done and what was taken back. Secrets are in neither file.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

from gameday.history.redact import MARK, Redactor

EVERY_S = 0.5
DEPTH_MAX = 60


@dataclass(slots=True)
class Owed:
    """What is known of an experiment's actions and rollbacks."""

    path: Path
    acted: bool = False
    ended: bool = False
    rollbacks: dict[str, str] = field(default_factory=dict)
    configuration: Any = None

    def write(self) -> None:
        """Put it on disk."""
        data = {
            "acted": self.acted,
            "ended": self.ended,
            "rollbacks": self.rollbacks,
            "configuration": self.configuration,
        }
        write_whole(self.path, json.dumps(data).encode())


def read_owed(path: Path) -> Owed:
    """Return what a host left. One that left nothing may have done anything."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Owed(path, data["acted"], data["ended"], data["rollbacks"], data["configuration"])
    except FileNotFoundError:
        return Owed(path)  # Nothing was begun: it is written before the first action.
    except (OSError, ValueError, KeyError, TypeError):
        return Owed(path, acted=True)


class JournalFile:
    """The journal on disk. It may be written from several threads."""

    def __init__(self, path: Path, redact: Redactor) -> None:
        self._path = path
        self._redact = redact
        self._lock = threading.Lock()
        self._written_s = 0.0

    def keep(self, journal: Mapping[str, Any]) -> None:
        """Write the journal as it stands, unless it was written a moment ago."""
        if time.monotonic() - self._written_s < EVERY_S:
            return
        try:
            self.write(journal)
        except (RuntimeError, OSError):
            return  # It changed while it was copied, or there is no room: the next time will do.

    def write(self, journal: Mapping[str, Any]) -> bytes:
        """Write the journal, and return what was written."""
        with self._lock:
            known = {**journal}
            known["experiment"] = without_secrets(known.get("experiment") or {})
            if not known.get("end"):
                known |= _ended_now(known)
            known["status"] = known.get("status") or "interrupted"
            text = json.dumps(_clean(plain(known), self._redact), indent=2, ensure_ascii=False)
            data = text.encode("utf-8", "replace") + b"\n"
            write_whole(self._path, data)
            self._written_s = time.monotonic()
            return data

    def read(self) -> dict[str, Any] | None:
        """Return the journal as it was last written."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def _ended_now(journal: Mapping[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC)
    try:
        duration_s = (now - datetime.fromisoformat(str(journal["start"]))).total_seconds()
    except (KeyError, ValueError, TypeError):
        duration_s = 0.0
    return {"end": now.isoformat(), "duration": duration_s}


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file by a whole new one, which nobody else may read."""
    fresh = path.with_name(f".{path.name}.{threading.get_ident()}.new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def without_secrets(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """Return an experiment whose written-out secrets are masked."""
    found = dict(experiment)
    if "secrets" in found:
        found["secrets"] = _masked(found["secrets"])
    return found


def _masked(secrets: Any) -> Any:
    if isinstance(secrets, dict):
        if secrets.get("type") in ("env", "vault"):
            return secrets
        return {key: _masked(value) for key, value in secrets.items()}
    return MARK if secrets is not None else None


def _clean(data: Any, redact: Redactor) -> Any:
    if isinstance(data, str):
        return redact.text(data)
    if isinstance(data, dict):
        return {redact.text(key): _clean(value, redact) for key, value in data.items()}
    return [_clean(item, redact) for item in data] if isinstance(data, list) else data


def plain(value: Any, depth: int = 0) -> Any:
    """Return anything as JSON can hold it. It never fails: what has no form of its own is described."""
    if value is None or isinstance(value, bool | int | str):
        return value if type(value) in (bool, int, str, type(None)) else _basic(value)
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # NaN and the infinities are no JSON.
    if isinstance(value, Enum):
        return plain(value.value, depth + 1)
    if depth > DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): plain(item, depth + 1) for key, item in list(value.items())}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth + 1) for item in list(value)]
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return _basic(value)


def _basic(value: Any) -> Any:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Decimal):
        return str(value)
    try:
        return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)
    except Exception:  # noqa: BLE001 - a foreign text may fail
        return type(value).__name__
