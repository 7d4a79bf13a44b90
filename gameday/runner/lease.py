"""Who may drill a target now: one drill at a time, from whatever machine.

Between machines that is a file on a shared path or an S3 object, if the policy names one (`leases:`);
for this machine alone see `gameday.runner.machinelease`. It is made exclusively (see
`gameday.runner.leasestore`), says who holds it and until when, and is renewed five times as often as it
expires:

    gameday-<system>.lease  {"holder","machine","boot_id","pid","run","token","beat","expires_utc"}

It is taken over only when its time has passed *and* it then stays untouched for its whole lifetime, by
our own clock: two machines may disagree about the time of day. A holder that could not renew it in time
has lost it and halts, before anybody else can take it.
"""

from __future__ import annotations

import hashlib
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
from gameday.plan.objecturl import ObjectUrl
from gameday.procfs import boot_id
from gameday.runner.leasestore import FileStore, LeaseStore, ObjectStore

RENEWALS = 5
LOST_SHARE = 0.8
LOOK_EVERY_S = 0.1


class SharedLease:
    """A lease that machines share. Taken by `take`, kept by a thread, given back by `release`."""

    def __init__(
        self, where: Path | ObjectUrl, system: str, *, holder: str, run: str, expires_s: float
    ) -> None:
        """Args: where: A folder on a shared path, or a prefix on S3."""
        name = f"gameday-{hashlib.sha256(system.encode()).hexdigest()[:16]}.lease"
        self.store: LeaseStore = (
            FileStore(where / name) if isinstance(where, Path) else ObjectStore(where, name)
        )
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

    @property
    def name(self) -> str:
        """Where it lies, as messages say it."""
        return self.store.name

    def take(self) -> None:
        """Take the lease, and keep it from here on.

        Raises:
            Refused: Another drill holds it, or nobody can tell.
        """
        try:
            self.store.prepare(self._token)
            asked_s = time.monotonic()
            if not self.store.make(self._record()):
                self._take_over(*self.store.read())
                asked_s = time.monotonic()
        except OSError as error:
            self.store.close()
            raise Refused(
                f"the lease {self.name} cannot be taken: {error.strerror or error}",
                todo="Without it two drills could meet; see `leases:` in the policy.",
            ) from error
        except Refused:
            self.store.close()
            raise
        self._kept_s = asked_s
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def lost(self) -> str:
        """Return why the lease is no longer ours to rely on, or nothing. Never waits."""
        if self._lost:
            return self._lost
        silent_s = time.monotonic() - self._kept_s
        if silent_s > self._expires_s * LOST_SHARE:
            return f"the lease {self.name} could not be renewed for {silent_s:.1f} s of {self._expires_s:g} s"
        return ""

    def release(self) -> None:
        """Give the lease back, if it is still ours; harmless when it was never taken."""
        if self._thread is None:
            return
        self._ending.set()
        self._thread.join(2.0)
        try:
            if self._thread.is_alive() or self._lost:
                return
            found, tag = self.store.read()
            if found.get("token") == self._token:
                self.store.remove(tag)
        except (OSError, Refused):
            return  # It expires by itself.
        finally:
            self.store.close()

    # --- making and keeping ------------------------------------------------------------------

    def _record(self) -> dict[str, Any]:
        """Return what is written next."""
        self._beat += 1
        until = datetime.now(UTC) + timedelta(seconds=self._expires_s)
        return {
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
        found, tag = self.store.read()
        if found.get("token") != self._token:
            self._lost = f"the lease {self.name} was taken by {_who(found)}"
            return
        if not self.store.renew(self._record(), tag):
            return  # Changed between the two: the next look says by whom.
        if time.monotonic() - self._kept_s > self._expires_s:
            # Somebody may have taken it meanwhile, and we have just written over theirs: both must stop.
            self._lost = f"the lease {self.name} was renewed too late"
            return
        self._kept_s = asked_s

    # --- taking over -------------------------------------------------------------------------

    def _take_over(self, found: dict[str, Any], tag: str) -> None:
        if found.get("token") == self._token:
            return  # Our own: it was made, and its answer was lost.
        who = _who(found)
        if not _has_passed(found):
            raise Refused(
                f"another drill holds this target's lease: {who}",
                todo=f"Wait for it, or halt it there. The lease is {self.name}.",
            )
        self._watch(found, who)
        if not self.store.overtake(self._record(), found, tag):
            raise Refused(f"the lease of {who} was renewed or taken while we waited")
        self.taken_over = (
            f"took over the expired lease of {who}; its runner gave no sign of life for "
            f"{self._expires_s:g} s. If its faults are still in place: `gameday recover` in its project"
        )

    def _watch(self, found: dict[str, Any], who: str) -> None:
        """Give the holder its whole lifetime by our own clock to show that it lives."""
        until_s = time.monotonic() + self._expires_s
        while time.monotonic() < until_s:
            if self.store.read()[0] != found:
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
