"""What a lab says of itself in its folder, and whether that is still so."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

STATE_FILE = "lab.json"
MARK_FILE = "this-folder-belongs-to-gameday-lab"


def default_folder() -> Path:
    """Return where the lab lives unless told otherwise."""
    return Path(os.environ.get("GAMEDAY_LAB_DIR") or Path(".gameday") / "lab")


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None when it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text[text.rfind(")") + 2 :].split()
    return None if fields[0] == "Z" else int(fields[19])


def read_state(folder: Path) -> dict[str, Any] | None:
    """Return what the lab in `folder` says of itself; None when there is none."""
    try:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) else None


def is_up(state: dict[str, Any] | None) -> bool:
    """Tell whether the very process that wrote the state still runs."""
    return state is not None and start_ticks(int(state["pid"])) == state["start_ticks"]
