"""Write findings.json whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from gameday.errors import HistoryError

FINDINGS = "findings.json"


def write(run_dir: Path, document: dict[str, Any]) -> Path:
    """Write the findings of a run and return their path.

    Raises:
        HistoryError: The file is a link, or cannot be written.
    """
    return write_whole(run_dir / FINDINGS, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def write_whole(path: Path, text: str) -> Path:
    """Put a text in place of a file at once: a reader sees the old one or the new one.

    Raises:
        HistoryError: The place is a link, or cannot be written.
    """
    if path.is_symlink():
        raise HistoryError(f"{path} is a link, which is not written through", todo="Remove the link.")
    fresh = path.with_name(f".{path.name}.new")
    try:
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise HistoryError(f"{path} cannot be written: {error.strerror}") from error
    return path
