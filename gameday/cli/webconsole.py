"""`gameday console`: the page that follows a run, in a process of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from gameday.cli import exits
from gameday.cli.asked import project_here, run_here
from gameday.errors import GameDayError, UsageError
from gameday.runner.folder import run_dirs


def console(asked: argparse.Namespace) -> int:
    """Serve the page of one run, or of whatever run is the latest, until interrupted.

    Raises:
        UsageError: No such run, no such address, or an address that others could reach.
    """
    from gameday.console.web.feed import Feed  # noqa: PLC0415 - the web comes with many modules
    from gameday.console.web.serve import address, serve  # noqa: PLC0415 - as above

    place = address(asked.listen, beyond_loopback=asked.beyond_loopback)
    project = _project()
    if asked.run:
        about = run_here(asked.run)
        feed = Feed(lambda: about)
    else:
        about = project or project_here()
        feed = Feed(_newest(about), stays=True)
    if asked.beyond_loopback:
        _say("others may reach this console; what it sends is not encrypted")
    serve(
        feed, about, place, _link, project=project, beyond_loopback=asked.beyond_loopback, warn=_say,
        more_links=_on_enter if sys.stdin.isatty() else None,
    )  # fmt: skip
    return exits.PASS


def _project() -> Path | None:
    try:
        return project_here()
    except UsageError:
        return None  # One run can be followed from anywhere; there is no programme then.


def _newest(project: Path) -> Callable[[], Path | None]:
    """Return a function that finds the latest run, and reads histories only when a run has come."""
    known: tuple[frozenset[Path], Path | None] = (frozenset(), None)

    def newest() -> Path | None:
        nonlocal known
        try:
            runs = frozenset(run_dirs(project))
            if runs != known[0]:
                known = (runs, run_here(None))
        except (GameDayError, OSError):
            return None  # There is none yet.
        return known[1]

    return newest


def _link(url: str) -> None:
    print(f"gameday console: {url}\n  The link works once; who is in can invite others.", flush=True)


def _on_enter(link: Callable[[], None]) -> None:
    for _ in sys.stdin:
        link()


def _say(words: str) -> None:
    print(f"gameday console: {words}", file=sys.stderr, flush=True)
