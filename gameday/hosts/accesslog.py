"""Lines of an access log, plain or gzip, from a file or a pipe, one at a time: logs outgrow memory."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from gameday.errors import UsageError

LINE_MAX = 64 * 1024
_GZIP = b"\x1f\x8b"


@contextlib.contextmanager
def opened(path: str) -> Iterator[tuple[BinaryIO, str]]:
    """Open a log, `-` for standard input; yield it and what to call it.

    Raises:
        UsageError: It cannot be opened, or is neither a file nor a pipe.
    """
    if path == "-":
        yield _plain(cast("io.BufferedReader", sys.stdin.buffer)), "standard input"
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below, beyond this try
    except OSError as error:
        todo = "Expected a file, or - for standard input."
        raise UsageError(
            f"load record: {path}: {(error.strerror or 'cannot be read').lower()}", todo=todo
        ) from None
    with file:
        kind = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(kind) and not stat.S_ISFIFO(kind):
            raise UsageError(
                f"load record: {path}: is neither a file nor a pipe",
                todo="Where a container logs to its console: docker logs NAME | gameday load record -",
            )
        yield _plain(file), path


def _plain(file: io.BufferedReader) -> BinaryIO:
    """Unpack what is packed, whatever its name says."""
    if file.peek(2)[:2] == _GZIP:
        return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=file)))
    return file


def lines_of(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Return the lines of a log. One longer than `LINE_MAX` is cut there; its rest is passed over.

    Raises:
        UsageError: It is damaged, or reading fails.
    """
    try:
        while line := file.readline(LINE_MAX):
            yield line
            while len(line) == LINE_MAX and not line.endswith(b"\n"):
                line = file.readline(LINE_MAX)
    except (OSError, EOFError, zlib.error) as error:
        todo = "Is it still being written, or cut? `gzip -t` tells."
        raise UsageError(f"load record: {name}: cannot be unpacked to its end: {error}", todo=todo) from None
