"""Follow the files of a running drill by byte offset. Reads only; never in the way of the writer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CHUNK_MAX = 4 << 20


class Tail:
    """One growing file of JSON lines. Half a line waits for its other half; a file may come later."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._skipping = False

    def read(self) -> list[dict[str, Any]]:
        """Return the lines completed since the last call, at most `CHUNK_MAX` bytes of them."""
        data = self._grown()
        whole = data.rfind(b"\n") + 1
        if not whole and len(data) == CHUNK_MAX:
            self._at += CHUNK_MAX  # No record is that long: pass over it instead of waiting for ever.
            self._skipping = True
            return []
        self._at += whole
        lines = data[:whole].splitlines()
        if self._skipping and lines:
            del lines[0]
            self._skipping = False
        return [item for item in map(_item, lines) if item is not None]

    def _grown(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                return file.read(CHUNK_MAX)
        except OSError:
            return b""


def _item(line: bytes) -> dict[str, Any] | None:
    try:
        item = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return item if isinstance(item, dict) else None
