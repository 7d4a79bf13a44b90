"""Who may use the page: one-time links that become a session, kept by digest alone.

    link      http://…/enter?token=…   works once, within its time
    session   a cookie of 256 random bits; the file holds its SHA-256 and when it ends, never itself

The file lies in the private runtime folder with mode 0600, so a console that is started again knows who
was let in before. Nothing in it lets anybody in.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

SESSION_S = 12 * 3600
LINK_S = 3600
SESSIONS_MAX = 200
LINKS_MAX = 20


class Sessions:
    """Links that were given out and sessions that hold. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._links: dict[str, float] = {}
        self._sessions = self._read()

    def invite(self) -> str:
        """Return the token of a new one-time link; the oldest of too many is void."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._links[_digest(token)] = _now_s() + LINK_S
            while len(self._links) > LINKS_MAX:
                del self._links[next(iter(self._links))]
        return token

    def enter(self, token: str) -> str | None:
        """Return a new session's secret for a token that was never used; None for any other."""
        with self._lock:
            until_s = self._links.pop(_digest(token), None)
            if until_s is None or until_s <= _now_s():
                return None
            secret = secrets.token_urlsafe(32)
            self._sessions[_digest(secret)] = _now_s() + SESSION_S
            while len(self._sessions) > SESSIONS_MAX:
                del self._sessions[next(iter(self._sessions))]
            self._write()
            return secret

    def holds(self, secret: str) -> bool:
        """Tell whether a session's secret lets its bearer in now."""
        with self._lock:
            until_s = self._sessions.get(_digest(secret)) if secret else None
            return until_s is not None and until_s > _now_s()

    def leave(self, secret: str) -> None:
        """End a session."""
        with self._lock:
            if self._sessions.pop(_digest(secret), None) is not None:
                self._write()

    def _read(self) -> dict[str, float]:
        try:
            found = json.loads(self._path.read_bytes())
            return {str(key): float(end) for key, end in found.items() if float(end) > _now_s()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _write(self) -> None:
        """Keep the sessions; where that cannot be done they hold until this process ends."""
        new = self._path.with_name(f"{self._path.name}.new")
        with suppress(OSError):
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "w", encoding="ascii") as file:
                json.dump(self._sessions, file)
            new.replace(self._path)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _now_s() -> float:
    return datetime.now(UTC).timestamp()
