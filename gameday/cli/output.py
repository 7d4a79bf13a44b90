"""Where what was made goes: to the terminal or a pipe, or into a file that is no link."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gameday.cli.asked import writing


def put(data: bytes, where: str) -> None:
    """Write `data` to a file and say which, or to the standard output where that is `-`."""
    if where == "-":
        sys.stdout.flush()
        try:
            sys.stdout.buffer.write(data)
        except AttributeError:  # Somebody listens in this process, to texts alone.
            sys.stdout.write(data.decode())
        sys.stdout.flush()
        return
    path = Path(where)
    with writing(path):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
    print(path)
