"""No secret in the log of an experiment's host: what user code prints leads there, and chaoslib's logger too.

What is written through Python is masked on its way, line by line. What a program of the user's own wrote to
the descriptors that it inherited cannot be, so the log is gone over once more when the host's work is done:
each secret in it is overwritten where it stands.
"""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path
from typing import Any, TextIO

from gameday.history.redact import Redactor

LOG_MAX = 64 << 20


class Masked:
    """A text stream that masks secrets. A line is written when it is whole, or at a flush."""

    def __init__(self, stream: TextIO, redact: Redactor) -> None:
        self._stream = stream
        self._redact = redact
        self._rest = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Take a text."""
        with self._lock:
            *lines, self._rest = (self._rest + str(text)).split("\n")
            for line in lines:
                self._stream.write(self._redact.text(line) + "\n")
        return len(text)

    def flush(self) -> None:
        """Write what there is."""
        with self._lock:
            self._stream.write(self._redact.text(self._rest))
            self._rest = ""
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def mask_output(redact: Redactor) -> None:
    """Mask what is printed and logged from here on in this process, which has no other use for them."""
    sys.stdout, sys.stderr = Masked(sys.stdout, redact), Masked(sys.stderr, redact)
    logger = logging.getLogger("chaostoolkit")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.handlers = [handler]


def clean_log(redact: Redactor) -> None:
    """Overwrite each secret that stands in this process's log, in place: others may be writing to it."""
    sys.stdout.flush()
    sys.stderr.flush()
    path = Path("/proc/self/fd/2").readlink()
    if not path.is_file() or path.stat().st_size > LOG_MAX:
        return
    with path.open("r+b") as file:
        for start, length in redact.places(file.read()):
            file.seek(start)
            file.write(b"*" * length)
