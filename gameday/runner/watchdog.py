"""The dead man's switch: a process of its own that undoes when the runner cannot.

It is started before any fault and holds undo hosts of its own, armed. It acts only when the runner
is dead (its pipe ends) or late (no heartbeat for three seconds after the first, or for fifteen before it:
the runner begins to beat once it arms its hosts, and injects nothing until then). Then it kills the
runner first, so that one which was merely stopped can never wake up and inject; then it takes over the
history.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from pathlib import Path

from gameday.errors import GameDayError
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.secretvalues import redactor, sweep
from gameday.plan.bind import bind
from gameday.plan.stored import read_plan
from gameday.runner.crew import ActionHosts, configuration_of
from gameday.runner.guard import BEAT_LATE_S, CLEAN_END
from gameday.runner.takeover import Rescue, take_over

FIRST_BEAT_S = 15.0  # A stopped runner must not keep its lease for ever; a busy machine may be slow.


def main() -> int:
    """Wait for the runner's clean end; take over when it does not come."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    run_dir = Path(sys.argv[1])
    config = json.loads(_read_line())
    clock = RunClock(int(config["origin_boot_ns"]))
    inbox = new_inbox()
    plan = bind(read_plan(run_dir), config["values"])
    hosts = ActionHosts(
        plan,
        log_dir=run_dir / "hosts",
        configuration=configuration_of(config["values"], run_dir),
        clock=clock,
        inbox=inbox,
        project=Path(config["project"]),
        rescue=True,
    )
    try:
        hosts.wait_armed()
    except GameDayError as error:
        _say(str(error).replace("\n", " "))
        hosts.close()
        return 3
    _say("armed")
    reason = _watch()
    if reason:
        redact = redactor(config["values"])
        rescue = Rescue(run_dir, plan, hosts, clock, inbox, redact, tuple(config["names"]))
        take_over(rescue, by="watchdog", reason=reason, runner=(config["runner_pid"], config["runner_ticks"]))
    hosts.close()
    if reason:
        sweep(run_dir / "hosts", redact)
    return 0


def _read_line() -> bytes:
    """Read the first line byte by byte: what follows it are heartbeats and must stay in the pipe."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(0)  # The runner died before it told us anything; it cannot have injected.
        line += byte
    return line


def _watch() -> str:
    """Return why the runner must be replaced, or nothing after its clean end."""
    heard_s, late_s = time.monotonic(), FIRST_BEAT_S
    while True:
        ready, _, _ = select.select([0], [], [], 0.1)
        if ready:
            data = os.read(0, 4096)
            if CLEAN_END in data:
                return ""
            if not data:
                return "the runner ended without a word"
            heard_s, late_s = time.monotonic(), BEAT_LATE_S
        elif time.monotonic() - heard_s > late_s:
            return f"the runner gave no sign of life for {late_s:g} s"


def _say(line: str) -> None:
    try:
        os.write(1, line.encode() + b"\n")
    except OSError:
        return  # The runner is gone already; the pipe's end says so next.


if __name__ == "__main__":
    sys.exit(main())
