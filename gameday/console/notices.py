"""Tell people that a drill begins, halts and ends: a process of its own that reads the run folder.

It is never in the run's way. What becomes of each notice stands in notices.jsonl in the run folder and, while
the run hears, in its history as a note.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from gameday.canonical import from_json
from gameday.console.follow import Follower
from gameday.console.sender import SENT, Delivery, Sender
from gameday.errors import GameDayError
from gameday.evidence import noticewords
from gameday.history.events import Halted, Phase, PhaseChanged
from gameday.history.record import Record
from gameday.plan.notices import END, HALT, START, Notice

EVERY_S = 0.2
LEFT_S = 120.0
FINDINGS_S = 60.0
POLICY = "policy.json"


def main() -> int:
    """Follow a run to its end, then say what could not be delivered."""
    run_dir = Path(sys.argv[1])
    follower = Follower.of(run_dir)
    channels = _channels(run_dir)
    sender = Sender(run_dir / SENT, follower.plan.target.environment)
    has_begun, left_at_s = False, None
    while follower.ended is None:
        for record in follower.drain():
            has_begun |= _tell(sender, channels, follower, record, has_begun=has_begun)
        for delivery in sender.arrived():
            _note(run_dir, delivery)
        if left_at_s is None and _has_left():
            left_at_s = time.monotonic()
        if left_at_s is not None and time.monotonic() > left_at_s + LEFT_S:
            break
        time.sleep(EVERY_S)
    if has_begun:
        outcome = str(follower.ended.outcome) if follower.ended is not None else "crashed"
        told = noticewords.end(follower.plan, follower.run, outcome, _findings(run_dir))
        sender.send(channels, END, told)
    for delivery in sender.wait():
        if not delivery.delivered:
            print(f"gameday: {delivery.words}", file=sys.stderr, flush=True)  # noqa: T201 - its own program
    return 0


def _tell(
    sender: Sender, channels: tuple[Notice, ...], follower: Follower, record: Record, *, has_begun: bool
) -> bool:
    """Send what there is to tell of a record; tell whether the drill began with it."""
    match record.event:
        case PhaseChanged(phase=Phase.BASELINE) if not has_begun:
            sender.send(channels, START, noticewords.start(follower.plan, follower.run))
            return True
        case Halted() as event if has_begun:
            sender.send(channels, HALT, noticewords.halt(follower.plan, follower.run, event))
        case _:
            pass
    return False


def _channels(run_dir: Path) -> tuple[Notice, ...]:
    stored = json.loads((run_dir / POLICY).read_bytes())
    return tuple(from_json(Notice, item, "notices") for item in stored.get("notices", ()))


def _note(run_dir: Path, delivery: Delivery) -> None:
    """Leave a note in the history, where the run still hears; what was not delivered is said there."""
    from gameday.runner.control import ask  # noqa: PLC0415 - once there is something to say

    with suppress(GameDayError, OSError):
        ask(run_dir, "note", by="notices", text=delivery.words)


def _findings(run_dir: Path) -> dict[str, Any]:
    """Return findings.json once it is there; whoever ran the drill writes it after the end."""
    until_s = time.monotonic() + FINDINGS_S
    while time.monotonic() < until_s:
        with suppress(OSError, ValueError):
            found = json.loads((run_dir / "findings.json").read_bytes())
            return found if isinstance(found, dict) else {}
        time.sleep(EVERY_S)
    return {}


def _has_left() -> bool:
    """Tell whether whoever started this is gone: its end of the pipe is closed."""
    ready, _, _ = select.select([0], [], [], 0)
    return bool(ready) and not os.read(0, 4096)


if __name__ == "__main__":
    sys.exit(main())
