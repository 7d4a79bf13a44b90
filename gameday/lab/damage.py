"""A backup that rots: some bytes of its largest table file change, and can be put back.

Nothing about the file says so: its name, its size and its time stay. Only its checksum differs.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from gameday.lab.errors import LabError

RECORD = "damage"
BYTES = 64


def flip(backup: Path) -> None:
    """Invert some bytes in the middle of the backup's largest data file. Doing it twice is harmless."""
    record = backup.parent / RECORD
    if record.exists():
        return
    files = [path for path in (backup / "base").rglob("*") if path.is_file() and not path.is_symlink()]
    if not files:
        raise LabError(f"the backup {backup.name} has no data files")
    path = max(files, key=lambda item: (item.stat().st_size, str(item)))
    where = path.stat().st_size // 2
    record.write_text(json.dumps({"path": str(path), "where": where}), encoding="utf-8")
    _invert(path, where)


def heal(backups: Path) -> None:
    """Put the bytes back, where any were changed."""
    record = backups / RECORD
    if not record.exists():
        return
    found = json.loads(record.read_text(encoding="utf-8"))
    path = Path(found["path"])
    if path.exists():
        _invert(path, int(found["where"]))
    record.unlink()


def _invert(path: Path, where: int) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(where)
        data = file.read(BYTES)
        file.seek(where)
        file.write(bytes(byte ^ 0xFF for byte in data))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
