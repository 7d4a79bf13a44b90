"""`gameday finding export`: open findings as issues of GitHub, GitLab or Jira, or as a file."""

from __future__ import annotations

import argparse
import os

from gameday.cli import exits
from gameday.cli.asked import project_here
from gameday.cli.output import put
from gameday.errors import UsageError
from gameday.evidence.issues import as_csv, as_markdown, issue_of
from gameday.evidence.trackfile import tracked
from gameday.evidence.tracking import State, Tracked, ordered
from gameday.hosts.trackers import TOKENS, URLS, Tracker


def export(asked: argparse.Namespace, today: str) -> int:
    """Hand on what is open (or the one finding that is asked for) and return the exit code.

    Raises:
        UsageError: It is not said where to, or there is no such finding.
        Refused: The tracker does not take it.
    """
    items = _chosen(asked, today)
    if asked.to in (None, "file"):
        made = as_markdown if asked.output.endswith((".md", ".markdown")) else as_csv
        put(made(items, today).encode(), asked.output)
        return exits.PASS
    tracker = _tracker(asked)
    if not items:
        print("no open finding: nothing to file")
    for item in items:
        where, is_new = tracker.file(issue_of(item, today))
        print(f"{item.id}: {'filed' if is_new else 'is there already'}: {where}")
    return exits.PASS


def _chosen(asked: argparse.Namespace, today: str) -> list[Tracked]:
    found = tracked(project_here())
    if asked.what:
        one = [item for item in found if item.id == asked.what]
        if not one:
            raise UsageError(
                f"{asked.what}: there is no such finding", todo="`gameday finding list --all` lists them."
            )
        return one
    return ordered((item for item in found if asked.all or item.state_on(today) is State.OPEN), today)


def _tracker(asked: argparse.Namespace) -> Tracker:
    kind, variable = asked.to, TOKENS[asked.to]
    if not asked.place:
        raise UsageError(
            f"finding export --to {kind}: --in is missing",
            todo="Say where: OWNER/NAME, a GitLab project's path, or a Jira project's key.",
        )
    if not (asked.url or URLS[kind]):
        raise UsageError(f"finding export --to {kind}: --url is missing", todo="Say --url https://HOST.")
    token = os.environ.get(variable, "")
    if not token or not token.isascii() or not token.isprintable():
        raise UsageError(
            f"finding export --to {kind}: {variable} is not set, or is no token",
            todo="Set it in the environment; it is never written anywhere.",
        )
    return Tracker(kind, asked.place, token, asked.url)
