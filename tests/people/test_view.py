"""What a terminal shows while a drill waits for people: who, what, the command to type, the time left."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from gameday.console.follow import Follower
from gameday.console.live import draw
from gameday.engine.decide import step
from gameday.engine.state import begin
from gameday.history.codec import Roots
from gameday.history.events import Sample
from gameday.history.store import HistoryWriter
from gameday.plan.approvals import Requirement
from gameday.plan.model import NS
from gameday.plan.stored import plan_digest, write_plan
from tests.engine.people_world import PeopleWorld, before, by_hand, gate
from tests.engine.world import fault, hold, plan

DRILL = plan(
    fault("f", 0), by_hand("call", 1), gate("go on", 2), hold("h", 3, NS),
    approvals=before(Requirement(role="boss", live=True), timeout_ns=5 * NS),
)  # fmt: skip


def followed(folder, behave, until):
    """A follower of a run that was cut right after the event that `until` accepts."""
    folder.mkdir()
    write_plan(folder, DRILL)
    history = HistoryWriter(folder, Roots(plan_digest(DRILL)))
    state = begin(DRILL)
    for at, event in PeopleWorld(DRILL, behave=behave).run().events:
        state, decided = step(state, at, event)
        reports = [event] if event is not None and not isinstance(event, Sample) else []
        for record in (*reports, *decided):
            history.record(at, "2026-01-01T00:00:00Z", "runner", record, sync=False)
            if until(record):
                history.close()
                follower = Follower.of(folder)
                follower.drain()
                return follower, at
    raise AssertionError("it never came to that")


def frame(follower, now_ns, height, width):
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(draw(follower, now_ns, height=height, width=width))
    return console.file.getvalue()


def is_kind(name, part=""):
    return lambda event: type(event).__name__ == name and part in str(event)


WAITS = [
    (
        {},
        is_kind("GateWaiting", "start"),
        "the start waits for 1 boss, live",
        "gameday approve --as NAME --role boss",
    ),
    ({}, is_kind("StepStarted", "call"), "somebody: call", "gameday done | failed --note TEXT"),
    (
        {},
        is_kind("GateWaiting", "go on"),
        "go on waits for 1 approver, live",
        "gameday approve --as NAME --role approver",
    ),
    ({}, is_kind("UndoStarted", "call"), "undo call: undo call", "gameday done | failed --note TEXT"),
]


@pytest.mark.parametrize(("height", "width"), [(24, 80), (40, 120)])
@pytest.mark.parametrize(("behave", "until", "what", "command"), WAITS)
def test_the_screen_says_who_must_do_what_and_what_to_type(
    tmp_path, behave, until, what, command, height, width
):
    follower, at_ns = followed(tmp_path / "run", behave, until)
    shown = frame(follower, at_ns + NS, height, width)
    assert what in shown and command in shown and " s left" in shown
    assert len(shown.splitlines()) <= height and max(map(len, shown.splitlines())) <= width


def test_an_undo_by_hand_that_is_stuck_is_shown_with_its_words(tmp_path):
    follower, at_ns = followed(
        tmp_path / "run", {("call", "undo"): "hang"}, is_kind("UndoEnded", "nobody said")
    )
    shown = frame(follower, at_ns, 40, 120)
    assert "STUCK" in shown and "A PERSON IS NEEDED" in shown
