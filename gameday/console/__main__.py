"""`python -m gameday.console RUN_DIR [--plain]`: show a run as it goes, in a process of its own.

Stdin is a lifeline: its end says that the runner has left. Ctrl-C is the runner's affair and is
ignored here. Whatever goes wrong in a view, it ends quietly: losing it changes nothing.
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
from gameday.hosts.clock import boot_ns

PLAIN_EVERY_S = 0.1
FRAME_EVERY_S = 0.25


def main() -> int:
    """Follow one run to its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    words = [word for word in sys.argv[1:] if word != "--plain"]
    try:
        follower = Follower.of(Path(words[0]))
    except (GameDayError, IndexError) as error:
        print(f"gameday console: {error}", file=sys.stderr)
        return 2
    live = sys.stdout.isatty() and "--plain" not in sys.argv
    try:
        (_live if live else _plain)(follower)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0


def _runner_left(wait_s: float) -> bool:
    ready, _, _ = select.select([0], [], [], wait_s)
    return bool(ready) and not os.read(0, 1)


def _plain(follower: Follower) -> None:
    left = False
    while True:
        for record in follower.read():
            line = line_of(follower.plan, record)
            if line is not None:
                print(line, flush=True)
        if follower.ended is not None or left:
            return
        left = _runner_left(PLAIN_EVERY_S)


def _live(follower: Follower) -> None:
    from rich.live import Live  # noqa: PLC0415 - only on a terminal

    from gameday.console.live import draw  # noqa: PLC0415

    with Live(refresh_per_second=4, transient=False, auto_refresh=False) as screen:
        left = False
        while True:
            follower.read()
            now_ns = boot_ns() - follower.origin_boot_ns if follower.origin_boot_ns else 0
            screen.update(draw(follower, now_ns), refresh=True)
            if follower.ended is not None or left:
                return
            left = _runner_left(FRAME_EVERY_S)
            time.sleep(0)


if __name__ == "__main__":
    sys.exit(main())
