"""`gameday runbook FILE`: a runbook rendered for the wiki, from the file that drills run."""

from __future__ import annotations

import argparse
from pathlib import Path

from gameday.cli import exits
from gameday.cli.output import put
from gameday.evidence.pages import as_html, markdown
from gameday.evidence.runbookpage import runbook_page
from gameday.plan.load import find_project
from gameday.plan.runbook import load_runbook


def runbook(asked: argparse.Namespace) -> int:
    """Write the page of a runbook and return the exit code.

    Raises:
        PlanError: The file is no runbook, or something is wrong with it.
    """
    path = Path(asked.file)
    book = load_runbook(path, find_project(path))
    page = runbook_page(book.title, book.purpose, book.owner, book.steps, book.source)
    put((as_html(page) if asked.form == "html" else markdown(page)).encode(), asked.output)
    return exits.PASS
