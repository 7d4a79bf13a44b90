"""`gameday notify`: tell people of a drill to come; and the process that tells them of one that runs."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from gameday.cli import exits
from gameday.cli.briefs import check_open, moment
from gameday.console.sender import DEADLINE_S, LOADING_S, SENT, Sender
from gameday.errors import Refused
from gameday.evidence import noticewords
from gameday.plan.load import find_project, load_plan
from gameday.plan.notices import BEFORE
from gameday.plan.policy import Policy
from gameday.plan.policyfile import find_policy
from gameday.plan.when import zone_of

FOLDER = "notices"


def notify(asked: argparse.Namespace) -> int:
    """Send the notice before a drill, and return 1 where a channel did not take it.

    Raises:
        Refused: No channel is due, or the policy lets no drill run at that time.
    """
    path = Path(asked.plan)
    project = find_project(path)
    policy = find_policy(project, asked.policy)
    plan = load_plan(path, policy=policy)
    said = ""
    if asked.at:
        at = moment(asked.at, datetime.now(UTC))
        check_open(plan, policy, at)
        said = f"{at.astimezone(zone_of(policy)):%A %d %B %Y, %H:%M} {policy.zone}"
    environment = plan.target.environment
    if not any(notice.is_due(BEFORE, environment) for notice in policy.notices):
        raise Refused(
            f"{policy.file} names no channel that is told before a drill in {environment!r}",
            todo='Add `notices: [{to: "${env.NAME}", when: [before, start, halt, end]}]` to it.',
        )
    sender = Sender(project / FOLDER / SENT, environment)
    sender.send(policy.notices, BEFORE, noticewords.before(plan, said))
    code = exits.PASS
    for delivery in sender.wait():
        print(delivery.words, file=sys.stdout if delivery.delivered else sys.stderr)
        code = code if delivery.delivered else exits.FAIL
    return code


@contextlib.contextmanager
def telling(policy: Policy) -> Iterator[Callable[[Path], None]]:
    """Yield what begins to tell people of the run in a folder; at the end it is waited for, not for long."""
    children: list[subprocess.Popen[bytes]] = []

    def begin(run_dir: Path) -> None:
        if policy.notices:
            command = [sys.executable, "-m", "gameday.console.notices", str(run_dir)]
            with contextlib.suppress(OSError):
                child = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
                children.append(child)

    try:
        yield begin
    finally:
        for child in children:
            assert child.stdin is not None
            child.stdin.close()
            try:
                child.wait(LOADING_S + DEADLINE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                print("gameday: notices: their sender did not end in time and was killed", file=sys.stderr)
