"""`gameday writeup RUN`: the draft of the write-up, from the record, the findings and the programme."""

from __future__ import annotations

import argparse

from gameday.cli import exits
from gameday.cli.asked import ended_run, project_here
from gameday.cli.output import put
from gameday.errors import GameDayError
from gameday.evidence.casefile import open_case
from gameday.evidence.pages import as_html, markdown
from gameday.evidence.programme import Row
from gameday.evidence.trackfile import mended
from gameday.evidence.writeup import Next, writeup
from gameday.hosts.clock import utc_text
from gameday.runner.programme import read_ground


def write(asked: argparse.Namespace) -> int:
    """Write the draft of a run's write-up and return the exit code.

    Raises:
        UsageError: There is no such run.
        Refused: It is still running.
    """
    run_dir = ended_run(asked.run)
    case, today = open_case(run_dir), utc_text()[:10]
    mine, _ = mended(run_dir, case.run)
    page = writeup(case, Next(today, mine, _rows(today)))
    put((as_html(page) if asked.form == "html" else markdown(page)).encode(), asked.output)
    return exits.PASS


def _rows(today: str) -> tuple[Row, ...]:
    """Return the scenarios of the project that this is typed in; none where it is in no project."""
    try:
        return read_ground(project_here()).rows(today)
    except GameDayError:
        return ()
