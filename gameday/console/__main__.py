"""`python -m gameday.console RUN_DIR [--plain]`: show a run as it goes, in a process of its own.

Stdin is a lifeline: its end says that the runner has left, and what is on disk by then is shown
before the view ends. Ctrl-C is the runner's affair and is ignored here. Nothing is ever written but
to stdout; a terminal that goes away ends the view quietly, because losing it changes nothing.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from pathlib import Path

from gameday.console.follow import Follower
from gameday.console.plain import line_of
from gameday.errors import GameDayError
from gameday.history.record import Record
from gameday.hosts.clock import boot_ns

PLAIN_EVERY_S = 0.1
FRAME_EVERY_S = 0.25
USAGE = "usage: python -m gameday.console RUN_DIR [--plain]"


def main() -> int:
    """Follow one run to its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    words = [word for word in sys.argv[1:] if word != "--plain"]
    if len(words) != 1 or words[0].startswith("-"):
        print(USAGE, file=sys.stderr)  # noqa: T201 - a program of its own
        return 2
    try:
        follower = Follower.of(Path(words[0]))
    except GameDayError as error:
        print(f"gameday console: {error.diagnostics()}", file=sys.stderr)  # noqa: T201 - as above
        return 2
    live = sys.stdout.isatty() and "--plain" not in sys.argv
    try:
        _reconfigure()
        (_live if live else _plain)(follower)
        sys.stdout.flush()
    except OSError:  # The terminal or the pipe is gone; so is whoever was looking.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


def _reconfigure() -> None:
    """Let a terminal that knows ASCII only see question marks rather than nothing."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")


def _runner_left(wait_s: float) -> bool:
    """Wait a little; return True once stdin has ended."""
    until_s = time.monotonic() + wait_s
    while (left_s := until_s - time.monotonic()) > 0:
        try:
            ready, _, _ = select.select([0], [], [], left_s)
            if ready and not os.read(0, 4096):
                return True
        except (OSError, ValueError):
            return True
    return False


def _plain(follower: Follower) -> None:
    left = False
    while True:
        _print(follower, follower.drain())
        if follower.ended is not None or left:
            return
        left = _runner_left(PLAIN_EVERY_S)


def _print(follower: Follower, records: list[Record]) -> None:
    for record in records:
        line = line_of(follower.plan, record)
        if line is not None:
            print(line, flush=True)  # noqa: T201 - a program of its own


def _live(follower: Follower) -> None:
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.live import Live  # noqa: PLC0415 - as above

    from gameday.console.live import draw  # noqa: PLC0415 - as above

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as screen:
        left = False
        while True:
            follower.drain()
            over = follower.ended is not None or left
            size = console.size
            frame = draw(follower, _now_ns(follower), height=size.height - 1, width=size.width)
            screen.update(frame, refresh=True)
            if over or not sys.stdout.isatty():  # A terminal that is gone is no terminal any more.
                return
            left = _runner_left(FRAME_EVERY_S)


def _now_ns(follower: Follower) -> int:
    """Return where the run stands; its last instant once it is over."""
    if follower.ended is not None:
        return follower.ended_ns
    return boot_ns() - follower.origin_boot_ns if follower.origin_boot_ns else 0


if __name__ == "__main__":
    sys.exit(main())
