"""The programme of drills as a page of the console: read from the project when it is asked for.

Reading takes a part of a second for a year of drills, and longer where there are thousands. So it is done
once at a time, and whoever asks within `FRESH_S` gets what was read for the one before.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from gameday.errors import GameDayError, Refused
from gameday.evidence.page import template
from gameday.evidence.quarters import Programme
from gameday.evidence.scorecard import document, page
from gameday.hosts.clock import utc_text
from gameday.runner.programme import read_programme

FRESH_S = 2.0


class Programmes:
    """Reads the programme of one project. `project` None: the console was started in none."""

    def __init__(self, project: Path | None) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._known: tuple[float, Programme] | None = None

    def read(self) -> Programme:
        """Return the programme as it stands, at most `FRESH_S` old.

        Raises:
            Refused: The console was started outside a project.
            PlanError: The policy has errors.
            RecordError: The register or the file of findings cannot be read, or was edited.
        """
        if self._project is None:
            raise Refused(
                "this console was started outside a project, so it knows no programme",
                todo="Start `gameday console` in the project's folder.",
            )
        with self._lock:
            if self._known is None or time.monotonic() - self._known[0] > FRESH_S:
                found = read_programme(self._project, today=utc_text()[:10])
                self._known = (time.monotonic(), found)
            return self._known[1]

    def document(self) -> dict[str, Any]:
        """Return it as `gameday scorecard --as json` does; raises as `read` does."""
        return document(self.read())

    def page(self) -> tuple[int, str]:
        """Return an HTTP status and the page; one that says why where it cannot be read."""
        try:
            return 200, page(self.read(), linked=True)
        except GameDayError as error:
            return 409, template("unread.html.j2").render(words=str(error), todo=error.todo)
