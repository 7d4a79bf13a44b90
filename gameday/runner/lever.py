"""The safety lever of a project folder: engaged, it halts what runs and refuses what would start.

One small file, `.gameday/lever.json`: who engaged it, when and why. A file that is there but cannot
be read counts as engaged: when nobody can tell, nothing starts.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from gameday.errors import NotAuthorised
from gameday.hosts.clock import utc_text


class Lever:
    """The lever of one project."""

    def __init__(self, project: Path) -> None:
        self.path = project / ".gameday" / "lever.json"

    def engage(self, *, by: str, reason: str) -> None:
        """Engage it. Engaging twice keeps the later name and reason."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".new")
        record = {"by": by, "reason": reason, "utc": utc_text()}
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(record, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)

    def release(self) -> bool:
        """Release it; tell whether it was engaged."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        return True

    def reason(self) -> str:
        """Return who engaged it and why; empty when it is released."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            return f"engaged by {found['by']} at {found['utc']}: {found['reason']}"
        except FileNotFoundError:
            return ""
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"the lever {self.path} cannot be read ({error}), so it counts as engaged"

    def check(self) -> None:
        """Refuse a start while it is engaged.

        Raises:
            NotAuthorised: It is engaged, or cannot be read.
        """
        reason = self.reason()
        if reason:
            raise NotAuthorised(
                f"the safety lever is {reason}", todo="When it is safe: `gameday lever release`."
            )
