"""Where a shared lease lies: a file on a shared path, or an S3 object. Both can be made only once.

    make      writes it where nothing is, or says that something is there
    renew     writes over our own
    overtake  writes over exactly what was read, or says that it is another by now

On a file system `make` is a link, and `overtake` is guarded by a file of its own. On S3 all three are
conditional writes, which S3 itself decides; a store that does not know them writes all the same, and
two drills would hold one lease. So that is tried first, on an object of ours beside the lease.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Protocol

from gameday.errors import Refused
from gameday.hosts.objectlink import ObjectLink
from gameday.hosts.words import one_line
from gameday.plan.objecturl import ObjectUrl

Record = dict[str, Any]
SIZE_MAX = 1 << 16


class LeaseStore(Protocol):
    """What a lease needs of where it lies. OSError: it cannot be reached, or does not answer."""

    name: str

    def prepare(self, token: str) -> None:
        """See that it can keep a lease. Raises Refused where it cannot."""

    def read(self) -> tuple[Record, str]:
        """Return the record and its tag; an empty record where there is none."""

    def make(self, record: Record) -> bool:
        """Write it where nothing is; tell whether nothing was."""

    def renew(self, record: Record, tag: str) -> bool:
        """Write over our own, which was read with this tag; tell whether it was still that."""

    def overtake(self, record: Record, found: Record, tag: str) -> bool:
        """Write over another's that has expired; tell whether it was still what was found."""

    def remove(self, tag: str) -> None:
        """Remove our own, which was read with this tag."""

    def close(self) -> None:
        """Give up what was needed to reach it."""


class FileStore:
    """A lease that is a file on a shared path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def prepare(self, token: str) -> None:
        """A file system needs no proof: links are exclusive everywhere."""

    def read(self) -> tuple[Record, str]:
        """Read the file.

        Raises:
            OSError: It cannot be read.
            Refused: It is no lease.
        """
        try:
            return _record(self.name, self.path.read_bytes()[:SIZE_MAX]), ""
        except FileNotFoundError:
            return {}, ""

    def make(self, record: Record) -> bool:
        """Make the file by a link, which is atomic on network file systems too."""
        fresh = self._write(record)
        try:
            os.link(fresh, self.path)
        except FileExistsError:
            return False
        finally:
            fresh.unlink()
        return True

    def renew(self, record: Record, tag: str) -> bool:  # noqa: ARG002 - a file has no tag
        """Replace the file."""
        self._write(record).replace(self.path)
        return True

    def overtake(self, record: Record, found: Record, tag: str) -> bool:  # noqa: ARG002 - as above
        """Replace the file while a file beside it keeps all others from doing so.

        Raises:
            Refused: Another is at it.
        """
        lock = self.path.with_name(f"{self.path.name}.takeover")
        try:
            os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        except FileExistsError:
            raise Refused(
                f"another drill is taking over the expired lease {self.name}",
                todo=f"If none is, remove {lock} and try again.",
            ) from None
        try:
            if self.read()[0] != found:
                return False
            return self.renew(record, "")
        finally:
            lock.unlink(missing_ok=True)

    def remove(self, tag: str) -> None:  # noqa: ARG002 - as above
        """Remove the file."""
        self.path.unlink()

    def close(self) -> None:
        """Nothing is held open."""

    def _write(self, record: Record) -> Path:
        """Write it into a file of our own beside the lease."""
        fresh = self.path.with_name(f".{self.path.name}.{record['token']}")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump(record, file)
            file.flush()
            os.fsync(file.fileno())
        return fresh


class ObjectStore:
    """A lease that is an S3 object."""

    def __init__(self, prefix: ObjectUrl, name: str) -> None:
        self._at = prefix.below(name)
        self._prefix = prefix
        self._link = ObjectLink()
        self.name = self._at.text

    def prepare(self, token: str) -> None:
        """Try on an object of ours whether this store knows conditional writes.

        Raises:
            OSError: It does not answer.
            Refused: It does not keep a condition.
        """
        beside = self._prefix.below(f"gameday-{token}.try")
        made = self._link.ask(beside, "make", body="1")
        again = self._link.ask(beside, "make", body="2")
        stale = self._link.ask(beside, "replace", body="3", tag='"00000000000000000000000000000000"')
        right = self._link.ask(beside, "replace", body="4", tag=made.tag)
        self._link.ask(beside, "remove", tag=right.tag or made.tag)
        if not made.is_done or again.is_done or stale.is_done or not right.is_done:
            raise Refused(
                f"{self._at.bucket} does not keep the conditions If-None-Match and If-Match of a write",
                todo="Two drills could hold one lease there. Use a store that knows conditional writes.",
            )

    def read(self) -> tuple[Record, str]:
        """Read the object.

        Raises:
            OSError: It cannot be read.
            Refused: It is no lease.
        """
        said = self._link.ask(self._at, "get")
        return (_record(self.name, said.body.encode()), said.tag) if said.is_there else ({}, "")

    def make(self, record: Record) -> bool:
        """Write the object where none is."""
        return self._link.ask(self._at, "make", body=json.dumps(record)).is_done

    def renew(self, record: Record, tag: str) -> bool:
        """Write over the object that was read."""
        return self._link.ask(self._at, "replace", body=json.dumps(record), tag=tag).is_done

    def overtake(self, record: Record, found: Record, tag: str) -> bool:  # noqa: ARG002 - the tag says it
        """Write over the object that was read."""
        return self.renew(record, tag)

    def remove(self, tag: str) -> None:
        """Delete the object that was read."""
        self._link.ask(self._at, "remove", tag=tag)

    def close(self) -> None:
        """End the process that talks to S3."""
        self._link.close()


def _record(name: str, data: bytes) -> Record:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused(
            f"the lease {name} is not readable: {one_line(str(error), 100)}",
            todo=f"When you know that no drill runs against this target, remove {name}.",
        ) from None
    return found if isinstance(found, dict) else {}
