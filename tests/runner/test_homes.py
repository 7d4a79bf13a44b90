"""Actions work in their project, whatever folder the drill was started from, and are told of the record."""

from __future__ import annotations

import json
from dataclasses import replace

from gameday.history.events import Effect
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.plan.bind import RUN_DIR
from gameday.runner.crew import ActionHosts, configuration_of
from tests.engine.world import fault, plan
from tests.hosts.test_action_host import activity

OURS = """
import json, os
def note(path, configuration):
    with open(path, "w") as file:
        json.dump([os.getcwd(), configuration], file)
"""


def test_a_host_works_in_the_project_and_is_told_where_the_record_is(tmp_path):
    project, run_dir, said = tmp_path / "project", tmp_path / "elsewhere", tmp_path / "said"
    project.mkdir()
    run_dir.mkdir()
    (project / "ours.py").write_text(OURS)
    note = activity("note", module="ours", path=str(said))
    inbox = new_inbox()
    hosts = ActionHosts(
        plan(replace(fault("s", 0), do=note, undo=None, in_place=None)),
        log_dir=run_dir,
        configuration=configuration_of({"lab.url": "http://x"}, run_dir),
        clock=RunClock(),
        inbox=inbox,
        project=project,
    )
    try:
        hosts.wait_armed()
        hosts.get("s", "do").go("s", "do")
        event = inbox.get(timeout=20)[1]
        assert event.effect is Effect.HAPPENED, event
    finally:
        hosts.close()
    assert json.loads(said.read_text()) == [str(project), {"lab.url": "http://x", RUN_DIR: str(run_dir)}]
