"""The right to begin is judged again when it counts: before the load, and before the first fault."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gameday.engine.people import People
from gameday.engine.state import begin
from gameday.history.codec import Roots
from gameday.history.events import Armed, Phase, Reading, RunEnded, Sample
from gameday.history.people import Need
from gameday.history.read import read_records
from gameday.history.store import HistoryWriter
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.plan.approvals import START
from gameday.plan.model import NS
from gameday.plan.policy import Blackout, Policy, Rules, Waiver, Window
from gameday.plan.stored import plan_digest, write_plan
from gameday.plan.lasting import left_ns
from gameday.runner.crew import ActionHosts, Crew
from gameday.runner.loop import Loop
from gameday.runner.ready import Ready
from gameday.runner.takeover import fold
from tests.engine.people_world import signed
from tests.engine.world import MS, fault, plan

CLOSES = datetime(2026, 11, 24, 17, 0, tzinfo=UTC)  # A Tuesday.
DRILL = plan(replace(fault("f", 0), undo=None, do=None, in_place=None))


def ready(rules=None, **more):
    policy = Policy("policy.yaml", (("lab", rules or Rules(modules=("*",))),), **more)
    return Ready(policy, Rules(), None, None, None, (), None, ())


def at(phase, **people):
    return replace(begin(DRILL), phase=phase, people=People(**people))


def test_a_window_must_hold_what_is_left_and_no_more():
    windows = ready(Rules(modules=("*",), windows=(Window((1,), 9 * 60, 17 * 60),)))
    for phase, held in ((Phase.BASELINE, False), (Phase.RUNNING, True)):
        last = CLOSES - timedelta(seconds=left_ns(DRILL, baseline_held=held) / NS)
        assert windows.against(at(phase), last) == ""
        assert "windows: Tue 1" in windows.against(at(phase), last + timedelta(seconds=1))


def test_blackouts_and_waivers_that_ended_meanwhile_count():
    frozen = ready(blackouts=(Blackout("2026-11-25", "2026-11-25", "freeze"),))
    midnight = CLOSES.replace(hour=0) + timedelta(days=1)
    assert frozen.against(at(Phase.RUNNING), CLOSES) == ""
    assert "blackouts: nothing may run" in frozen.against(at(Phase.RUNNING), midnight)
    waiver = Waiver("ttl", "", "", "once", "a.chen", "2026-11-24")
    waived = ready(Rules(modules=("*",), ttl_ns=1), waivers=(waiver,))
    assert waived.against(at(Phase.RUNNING), CLOSES) == ""
    assert "ttl: fault 'f' lives" in waived.against(at(Phase.RUNNING), midnight)


def test_a_signature_that_expired_while_the_others_were_waited_for_counts_no_more():
    early = signed(START, "a", expires_utc="2026-11-24T17:00:00Z")
    late = signed(START, "b", expires_utc="2026-11-24T18:00:00Z")
    state = at(Phase.RUNNING, start_needs=(Need("approver", 2, True),), approvals=(early, late))
    assert ready().against(state, CLOSES - timedelta(seconds=1)) == ""
    assert "approvals: what 1 approver signed has expired" in ready().against(state, CLOSES)


@pytest.mark.parametrize("refused", [Phase.BASELINE, Phase.RUNNING])
def test_what_is_not_permitted_any_more_is_neither_recorded_nor_begun(tmp_path, refused):
    drill = replace(DRILL, steady_state=replace(DRILL.steady_state, baseline_ns=30 * MS))
    write_plan(tmp_path, drill)
    clock, inbox, asked = RunClock(), new_inbox(), []

    def permit(state):
        asked.append(state.phase)
        return "no longer permitted" if state.phase is refused else ""

    hosts = ActionHosts(drill, log_dir=tmp_path, configuration={}, clock=clock, inbox=inbox)
    history = HistoryWriter(tmp_path, Roots(plan_digest(drill)))
    crew = Crew(drill, clock=clock, inbox=inbox, hosts=hosts)
    loop = Loop(begin(drill), history, crew, clock, inbox, "runner", beat=lambda: None, permit=permit)
    inbox.put((clock.now_ns(), Armed(hosts=0)))
    while not loop.state.is_over:
        assert clock.now_ns() < 20 * NS
        now = clock.now_ns()
        inbox.put((now, Sample("p", now, now + 1, Reading.GOOD)))
        loop.turn()
    history.close()
    kinds = [type(r.event).__name__ for r in read_records(tmp_path).records]
    assert asked == [Phase.BASELINE, Phase.RUNNING][: len(asked)] and asked[-1] is refused
    assert "StepStarted" not in kinds and RunEnded.__name__ not in kinds
    assert loop.state.is_refused and loop.state.halted.reason == "no longer permitted"
    again = fold(drill, read_records(tmp_path))
    assert again.is_refused and again.is_over, "whoever takes over sees the same"
