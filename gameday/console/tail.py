"""Follow the files of a running drill by byte offset. Reads only; never in the way of the writer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CHUNK_MAX = 4 << 20


class Tail:
    """One growing file of JSON lines. Half a line waits for its other half."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def read(self) -> list[dict[str, Any]]:
        """Return the lines that have been completed since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read(CHUNK_MAX)
        except OSError:
            return []
        whole = data.rfind(b"\n") + 1
        self._at += whole
        found = []
        for line in data[:whole].splitlines():
            try:
                item = json.loads(line)
            except ValueError:
                continue
            if isinstance(item, dict):
                found.append(item)
        return found
