"""Read the files of a bundle and nothing else: every path from one folder's descriptor, no link followed.

A bundle comes from people who may want the verifier to read, or to be stopped by, something else: a
link to /etc/shadow, a pipe that never answers, a device, a name that climbs out, a file that never
ends. So each part of a path is opened by itself with O_NOFOLLOW, only regular files are opened at all,
and every file is read as a stream whose SHA-256 is kept: what was judged is what was digested.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from .lines import Broken, clean

BLOCK = 1 << 20
ENTRIES_MAX = 50_000
DEPTH_MAX = 8
FILE_MAX = 4 << 30
TOTAL_MAX = 16 << 30
SMALL_MAX = 8 << 20

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def is_sound(path: str) -> bool:
    """Tell whether a path may stand in a manifest: relative, in parts, NFC, at most 255 bytes."""
    parts = path.split("/")
    try:
        length = len(path.encode("utf-8"))
    except UnicodeEncodeError:
        return False
    return (
        0 < length <= 255
        and not any(part in ("", ".", "..") for part in parts)
        and "\0" not in path
        and len(parts) <= DEPTH_MAX
        and unicodedata.normalize("NFC", path) == path
    )


class Folder:
    """A bundle's folder, open. `digests` holds size and SHA-256 of every file that was read to its end."""

    def __init__(self, path: Path) -> None:
        """Open the folder that the auditor named.

        Raises:
            OSError: It is no folder or cannot be read.
        """
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.digests: dict[str, tuple[int, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def files(self) -> tuple[dict[str, int], list[str]]:
        """Return every regular file with its size, and what else is there that must not be.

        Raises:
            Broken: There are too many entries to be a bundle.
        """
        found: dict[str, int] = {}
        strange: list[str] = []
        todo, seen = [""], 0
        while todo:
            where = todo.pop()
            fd = self._folder(where)
            try:
                with os.scandir(fd) as entries:
                    for entry in entries:
                        seen += 1
                        if seen > ENTRIES_MAX:
                            raise Broken(f"the folder holds more than {ENTRIES_MAX} entries")
                        path = f"{where}/{entry.name}" if where else entry.name
                        if not is_sound(path):
                            strange.append(f"{clean(path)}: is no name that a bundle may hold")
                        elif entry.is_symlink():
                            strange.append(f"{path}: is a link")
                        elif entry.is_dir(follow_symlinks=False):
                            todo.append(path)
                        elif entry.is_file(follow_symlinks=False):
                            found[path] = entry.stat(follow_symlinks=False).st_size
                        else:
                            strange.append(f"{path}: is neither a file nor a folder")
            finally:
                os.close(fd)
        if sum(found.values()) > TOTAL_MAX:
            raise Broken(f"the folder holds more than {TOTAL_MAX} bytes")
        return found, strange

    def _folder(self, path: str) -> int:
        fd = os.dup(self._fd)
        for part in path.split("/") if path else ():
            try:
                inner = os.open(part, _FOLDER, dir_fd=fd)
            finally:
                os.close(fd)
            fd = inner
        return fd

    def open(self, path: str) -> Stream:
        """Open one regular file for reading.

        Raises:
            Broken: There is none of that name.
        """
        if not is_sound(path):
            raise Broken(f"{clean(path)}: is no name that a bundle may hold")
        parent, _, name = path.rpartition("/")
        try:
            folder = self._folder(parent)
            try:
                # Looked at before it is opened: to open a device can already do something.
                if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                    raise Broken(f"{path}: is not a regular file")
                fd = os.open(name, _FILE, dir_fd=folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise Broken(f"{path}: {error.strerror}") from None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise Broken(f"{path}: is not a regular file")
        return Stream(self, path, fd)

    def small(self, path: str, most: int = SMALL_MAX) -> bytes:
        """Return a whole file of at most `most` bytes.

        Raises:
            Broken: There is none, or it is larger.
        """
        with self.open(path) as stream:
            data = stream.read(most + 1)
            if len(data) > most:
                raise Broken(f"{path}: is larger than {most} bytes")
        return data

    def has(self, path: str) -> bool:
        """Tell whether something of that name is there, whatever it is."""
        parent, _, name = path.rpartition("/")
        try:
            folder = self._folder(parent)
        except OSError:
            return False
        try:
            os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return False
        finally:
            os.close(folder)
        return True

    def digest(self, path: str) -> tuple[int, str]:
        """Return size and SHA-256 of a file, reading it only if it was not read before."""
        if path not in self.digests:
            with self.open(path) as stream:
                for _ in stream.blocks():
                    pass
        return self.digests[path]

    def lines(self, path: str, most: int) -> Iterator[tuple[bytes, bool]]:
        """Yield the lines of a file without their newline, and whether each had one.

        Raises:
            Broken: A line is longer than `most` bytes.
        """
        with self.open(path) as stream:
            rest = b""
            for block in stream.blocks():
                parts = (rest + block).split(b"\n")
                rest = parts.pop()
                if len(rest) > most or any(len(part) > most for part in parts):
                    raise Broken(f"{path}: a line is longer than {most} bytes")
                for part in parts:
                    yield part, True
            if rest:
                yield rest, False


class Stream:
    """A file that is read from its beginning, and digested as it is read."""

    def __init__(self, folder: Folder, path: str, fd: int) -> None:
        self._folder, self.path, self._fd = folder, path, fd
        self._sha256 = hashlib.sha256()
        self.at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes; fewer only at the end of the file."""
        parts: list[bytes] = []
        while count > 0 and (part := os.read(self._fd, min(count, BLOCK))):
            self._sha256.update(part)
            self.at += len(part)
            count -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def blocks(self) -> Iterator[bytes]:
        """Yield the rest of the file, a block at a time.

        Raises:
            Broken: It is larger than anything the verifier reads.
        """
        while block := self.read(BLOCK):
            if self.at > FILE_MAX:
                raise Broken(f"{self.path}: is larger than {FILE_MAX} bytes")
            yield block

    def close(self) -> None:
        """Close the file. Its digest is kept if it was read to the end."""
        if self._fd < 0:
            return
        if not os.read(self._fd, 1):
            self._folder.digests[self.path] = (self.at, self._sha256.hexdigest())
        os.close(self._fd)
        self._fd = -1
