"""Local faults in whole drills: undone at the end, by the watchdog, and by nobody at all."""

from __future__ import annotations

import os
import signal
import time

import pytest

from gameday.actions import faults
from gameday.console.byhand import by_hand
from gameday.history.events import HostStarted, StepEnded, UndoEnded
from tests.actions.conftest import wait
from tests.drills import SHORT, Run, make_project

STARTED = "StepEnded"


@pytest.fixture
def project(tmp_path, lab):
    del lab
    changes = {**SHORT, "hold: 6s": "hold: 20s", "rate: 20/s": "rate: 5/s"}
    return make_project(tmp_path / "project", **changes)


def name_of(project, plan, name):
    """Give the fault of a plan a name of its own, so that tests do not meet."""
    path = project / "experiments" / f"{plan}.yaml"
    text = path.read_text()
    assert "processes: 1}" in text or "node: a}" in text
    text = text.replace("processes: 1}", f"processes: 1, name: {name}}}").replace(
        "node: a}", f"node: a, name: {name}}}"
    )
    path.write_text(text)


def marker(run, role):
    found = [
        r.event for r in run.trace().records if isinstance(r.event, HostStarted) and r.event.role == role
    ]
    return found[-1]


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["cpu-pressure", "connections-exhausted"])
def test_the_fault_is_there_during_the_drill_and_gone_after_it(project, plan, unique):
    path = project / "experiments" / f"{plan}.yaml"
    path.write_text(path.read_text().replace("hold: 20s", "hold: 2s").replace("hold: 6s", "hold: 2s"))
    name_of(project, plan, unique)
    run = Run(project, plan)
    run.wait_for(lambda kind, data: kind == STARTED)
    assert faults.workers(unique)
    code, out = run.end()
    assert not faults.workers(unique)
    events = [record.event for record in run.trace().records]
    ended = next(event for event in events if isinstance(event, StepEnded))
    undone = next(event for event in events if isinstance(event, UndoEnded))
    assert (ended.in_place, undone.undone) == (True, True), out
    assert by_hand(run.folder, [ended.step])[0][1] == f"pkill -KILL -f 'gameday-fault {unique}$'"
    assert code in (0, 1, 4), out  # What a busy machine makes of the SLOs is not ours to say.


@pytest.mark.slow
def test_the_watchdog_undoes_it_when_the_runner_is_killed(project, unique):
    name_of(project, "cpu-pressure", unique)
    run = Run(project, "cpu-pressure")
    run.wait_for(lambda kind, data: kind == STARTED)
    assert faults.workers(unique)
    run.kill()
    wait(lambda: not faults.workers(unique), 20, "the watchdog's undo")
    run.wait_rescued()
    assert any(isinstance(r.event, UndoEnded) and r.event.undone for r in run.trace().records)


@pytest.mark.slow
def test_it_ends_with_its_ttl_when_runner_and_watchdog_are_killed(project, unique):
    path = project / "experiments" / "cpu-pressure.yaml"
    path.write_text(path.read_text().replace("ttl: 30s", "ttl: 4s"))
    name_of(project, "cpu-pressure", unique)
    run = Run(project, "cpu-pressure")
    run.wait_for(lambda kind, data: kind == STARTED)
    os.kill(marker(run, "watchdog").pid, signal.SIGKILL)
    run.kill()
    began = time.monotonic()
    assert faults.workers(unique)
    wait(lambda: not faults.workers(unique), 30, "the end of its ttl")
    assert time.monotonic() - began > 1
