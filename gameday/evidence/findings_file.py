"""Write findings.json (and what is written beside it) whole or not at all.

A reader sees the file before or the file after, never half of one, and after a power cut there is
one of the two. Links are refused: a run folder may lie where others can write.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from gameday.errors import HistoryError

FINDINGS = "findings.json"


def write(run_dir: Path, document: dict[str, Any]) -> Path:
    """Write the findings of a run and return their path.

    Raises:
        HistoryError: The file is a link, or cannot be written.
    """
    return write_whole(run_dir / FINDINGS, text_of(document))


def text_of(document: dict[str, Any]) -> str:
    """Return the text of findings.json."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def write_whole(path: Path, text: str) -> Path:
    """Put a text in place of a file at once, on stable storage, readable by its owner alone.

    Raises:
        HistoryError: The place is a link, or cannot be written.
    """
    if path.is_symlink():
        raise HistoryError(f"{path} is a link, which is not written through", todo="Remove the link.")
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        _write(fresh, text)
        fresh.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise HistoryError(
            f"{path} cannot be written: {error.strerror}",
            todo="The history is untouched: mend this, then `gameday report` writes it again.",
        ) from error
    return path


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    # Half a surrogate pair has no UTF-8; spelt out it is still JSON, and still readable.
    with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
