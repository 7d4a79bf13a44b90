"""A bundle in the making: whole on stable storage under its name, or not there at all.

Files are copied, never linked: a bundle stands alone. What is copied is read once, and the digest that
enters the manifest is of what was written. Nothing but plain files is taken along, and no link is
followed, because a run folder may lie where others can write.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.canonical import canonical
from gameday.errors import HistoryError, Refused

MANIFEST = "manifest.json"
REDACTED = b"[redacted]"
WHY_REDACTED = "secret values were replaced before anything was hashed or written"
_CHUNK = 1 << 20
_APART = ("attest/", "register/", "addenda/")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file as the manifest lists it, and how often something was redacted in it."""

    path: str
    size: int
    sha256: str
    redacted: int = 0


class Draft:
    """A folder that is filled under another name, then put in its place at once."""

    def __init__(self, final: Path) -> None:
        self.final = final
        self.folder = final.with_name(f".{final.name}.{secrets.token_hex(4)}.new")
        self.listed: list[Listed] = []

    def copy(self, source: Path, name: str) -> None:
        """Copy one plain file in.

        Raises:
            Refused: It is no plain file.
        """
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Refused(f"{source} is no plain file", todo="Remove it, then seal again.")
            self._put(name, iter(lambda: file.read(_CHUNK), b""))

    def write(self, name: str, data: bytes) -> Listed:
        """Write one file and return how it is listed."""
        return self._put(name, iter((data,)))

    def digests(self, folder: str) -> list[dict[str, Any]]:
        """Return path and digest of each file below a folder, sorted by path."""
        below = sorted((item for item in self.listed if item.path.startswith(folder)), key=lambda i: i.path)
        return [{"path": item.path, "sha256": item.sha256} for item in below]

    def files(self) -> list[dict[str, Any]]:
        """Return every file that a manifest lists, sorted by path."""
        mine = [i for i in self.listed if i.path != MANIFEST and not i.path.startswith(_APART)]
        mine.sort(key=lambda item: item.path)
        return [{"path": item.path, "bytes": item.size, "sha256": item.sha256} for item in mine]

    def redactions(self) -> list[dict[str, Any]]:
        """Return in which files something was redacted, how often, and why."""
        found = sorted((item.path, item.redacted) for item in self.listed if item.redacted)
        return [{"path": path, "count": count, "why": WHY_REDACTED} for path, count in found]

    def place(self) -> None:
        """Put the whole folder in its place, on stable storage."""
        for folder in (*(p for p in self.folder.rglob("*") if p.is_dir()), self.folder):
            _sync(folder)
        self.folder.rename(self.final)
        _sync(self.final.parent)

    def _put(self, name: str, chunks: Iterator[bytes]) -> Listed:
        path = self.folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest, size, redacted, carry = hashlib.sha256(), 0, 0, b""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                redacted += (carry + chunk).count(REDACTED)
                carry = (carry + chunk)[1 - len(REDACTED) :]
            file.flush()
            os.fsync(fd)
        item = Listed(name, size, digest.hexdigest(), redacted)
        self.listed.append(item)
        return item


@contextmanager
def drafted(final: Path) -> Iterator[Draft]:
    """Give a draft for `final`; whatever goes wrong, no part of it is left.

    Raises:
        Refused: `final` is there already.
        HistoryError: It cannot be written.
    """
    if os.path.lexists(final):
        raise Refused(f"{final} is there already", todo="What is sealed stays as it is.")
    draft = Draft(final)
    try:
        draft.folder.mkdir(mode=0o700)
        yield draft
    except OSError as error:
        raise HistoryError(f"{final} cannot be written: {error.filename or ''} {error.strerror}") from error
    finally:
        shutil.rmtree(draft.folder, ignore_errors=True)


def manifest(draft: Draft, about: dict[str, Any]) -> bytes:
    """Return the manifest of everything in a draft: one line of canonical JSON."""
    return canonical({**about, "files": draft.files()}) + b"\n"


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
