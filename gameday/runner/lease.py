"""Who may drill a target now: one drill at a time, from whatever machine.

Between machines that is a file on a shared path, if the policy names one (`leases:`); for this machine
alone see `gameday.runner.machinelease`. The file is made exclusively (by a link, which is atomic on
network file systems too), says who holds it and until when, and is renewed five times as often as it
expires:

    gameday-<system>.lease  {"holder","machine","boot_id","pid","run","token","beat","expires_utc"}

It is taken over only when its time has passed *and* it then stays untouched for its whole lifetime, by
our own clock: two machines may disagree about the time of day. A holder that could not renew it in time
has lost it and halts, before anybody else can take it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gameday.errors import Refused
from gameday.hosts.words import one_line
from gameday.procfs import boot_id

RENEWALS = 5
LOST_SHARE = 0.8
LOOK_EVERY_S = 0.1


class SharedLease:
    """A lease that machines share. Taken by `take`, kept by a thread, given back by `release`."""

    def __init__(self, folder: Path, system: str, *, holder: str, run: str, expires_s: float) -> None:
        name = hashlib.sha256(system.encode()).hexdigest()[:16]
        self.path = folder / f"gameday-{name}.lease"
        self.run = run
        self.taken_over = ""
        self._system = system
        self._holder = holder
        self._expires_s = expires_s
        self._token = secrets.token_hex(8)
        self._beat = 0
        self._kept_s = 0.0
        self._lost = ""
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self) -> None:
        """Take the lease, and keep it from here on.

        Raises:
            Refused: Another drill holds it, or nobody can tell.
        """
        asked_s = time.monotonic()
        try:
            if not self._make():
                self._take_over(self._read())
                asked_s = time.monotonic()
        except OSError as error:
            raise Refused(
                f"the lease {self.path} cannot be taken: {error.strerror}",
                todo="Without it two drills could meet; see `leases:` in the policy.",
            ) from error
        self._kept_s = asked_s
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def lost(self) -> str:
        """Return why the lease is no longer ours to rely on, or nothing. Never waits."""
        if self._lost:
            return self._lost
        silent_s = time.monotonic() - self._kept_s
        if silent_s > self._expires_s * LOST_SHARE:
            return f"the lease {self.path} could not be renewed for {silent_s:.1f} s of {self._expires_s:g} s"
        return ""

    def release(self) -> None:
        """Give the lease back, if it is still ours; harmless when it was never taken."""
        if self._thread is None:
            return
        self._ending.set()
        self._thread.join(2.0)
        if self._thread.is_alive() or self._lost:
            return
        try:
            if self._read().get("token") == self._token:
                self.path.unlink()
        except (OSError, Refused):
            return  # It expires by itself.

    # --- making and keeping ------------------------------------------------------------------

    def _make(self) -> bool:
        """Make the file; tell whether it was not there."""
        fresh = self._write()
        try:
            os.link(fresh, self.path)
        except FileExistsError:
            return False
        finally:
            fresh.unlink()
        return True

    def _write(self) -> Path:
        """Write what we are into a file of our own beside the lease."""
        self._beat += 1
        until = datetime.now(UTC) + timedelta(seconds=self._expires_s)
        record = {
            "holder": self._holder,
            "machine": platform.node(),
            "boot_id": boot_id(),
            "pid": os.getpid(),
            "run": self.run,
            "system": self._system,
            "token": self._token,
            "beat": self._beat,
            "expires_utc": until.isoformat(timespec="milliseconds"),
        }
        fresh = self.path.with_name(f".{self.path.name}.{self._token}")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(record, file)
            file.flush()
            os.fsync(file.fileno())
        return fresh

    def _keep(self) -> None:
        while not self._ending.wait(self._expires_s / RENEWALS):
            try:
                self._renew()
            except (OSError, Refused):
                continue  # `lost` sees how long it has been.
            if self._lost:
                return

    def _renew(self) -> None:
        asked_s = time.monotonic()
        found = self._read()
        if found.get("token") != self._token:
            self._lost = f"the lease {self.path} was taken by {_who(found)}"
            return
        self._write().replace(self.path)
        if time.monotonic() - self._kept_s > self._expires_s:
            # Somebody may have taken it meanwhile, and we have just written over theirs: both must stop.
            self._lost = f"the lease {self.path} was renewed too late"
            return
        self._kept_s = asked_s

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_bytes()[: 1 << 16])
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError) as error:
            raise Refused(
                f"the lease {self.path} is not readable: {one_line(str(error), 100)}",
                todo="When you know that no drill runs against this target, remove the file.",
            ) from None
        return found if isinstance(found, dict) else {}

    # --- taking over -------------------------------------------------------------------------

    def _take_over(self, found: dict[str, Any]) -> None:
        who = _who(found)
        if not _has_passed(found):
            raise Refused(
                f"another drill holds this target's lease: {who}",
                todo=f"Wait for it, or halt it there. The lease is {self.path}.",
            )
        self._watch(found, who)
        lock = self.path.with_name(f"{self.path.name}.takeover")
        try:
            os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        except FileExistsError:
            raise Refused(
                f"another drill is taking over the expired lease of {who}",
                todo=f"If none is, remove {lock} and try again.",
            ) from None
        try:
            if self._read() != found:
                raise Refused(f"the lease of {who} was renewed or taken while we waited")
            self._write().replace(self.path)
        finally:
            lock.unlink(missing_ok=True)
        self.taken_over = (
            f"took over the expired lease of {who}; its runner gave no sign of life for "
            f"{self._expires_s:g} s. If its faults are still in place: `gameday recover` in its project"
        )

    def _watch(self, found: dict[str, Any], who: str) -> None:
        """Give the holder its whole lifetime by our own clock to show that it lives."""
        until_s = time.monotonic() + self._expires_s
        while time.monotonic() < until_s:
            if self._read() != found:
                raise Refused(f"another drill holds this target's lease: {who}; the clocks disagree")
            time.sleep(LOOK_EVERY_S)


def _who(found: Mapping[str, Any]) -> str:
    keys = ("run", "holder", "machine", "expires_utc")
    run, holder, machine, until = (one_line(str(found.get(key, "?")), 100) for key in keys)
    return f"run {run} of {holder} on {machine}, until {until}"


def _has_passed(found: Mapping[str, Any]) -> bool:
    try:
        return datetime.fromisoformat(str(found.get("expires_utc"))) < datetime.now(UTC)
    except (ValueError, TypeError):
        return False
