"""What an experiment and its controls mean, before anything is started."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gameday.canonical import from_json, to_json
from gameday.chaostoolkit.papers import arguments_of, plan_of, steps_of, terms_of
from gameday.chaostoolkit.rollback import why_not
from gameday.errors import PlanError
from gameday.plan.model import Plan, StepKind
from tests.chaostoolkit.world import MEND, control, guard, python, shell

EXPERIMENT = {
    "title": "Break it",
    "method": [
        python("begin", "gameday.chaostoolkit.actions", "start_ledger", writer="http", every="1s"),
        {"type": "probe", "name": "look", "provider": {"type": "http", "url": "http://127.0.0.1:1"}},
        shell("break", "touch broken"),
        python("pods", "chaosk8s.pod.actions", "terminate_pods", all=True),
    ],
    "rollbacks": [MEND],
    "controls": [guard("http://127.0.0.1:1"), control("evidence", {"seal": True})],
}


def told(**more):
    return {**arguments_of(EXPERIMENT, "gameday.chaostoolkit.guard"), **more}


def test_each_action_that_may_leave_something_owes_all_rollbacks():
    steps = {step.id: step for step in steps_of(EXPERIMENT)}
    assert list(steps) == ["method-0", "method-2", "method-3"]
    assert steps["method-2"].kind is StepKind.FAULT and "mended" in steps["method-2"].undo.provider
    assert not steps["method-0"].owes_undo  # It is ours, and leaves nothing.
    assert not steps["method-3"].owes_undo  # Its controller makes new pods.


def test_without_rollbacks_a_person_must_look():
    (step,) = steps_of({"method": [shell("break", "touch broken")]})
    assert step.undo is None and step.owes_undo


def test_the_plan_keeps_its_form_and_what_the_guard_is_told():
    plan = plan_of(EXPERIMENT, told(), {}, None, Path.cwd())
    assert plan == from_json(Plan, to_json(plan), "plan")
    assert [probe.name for probe in plan.probes] == ["users"]
    assert [condition.in_a_row for condition in plan.stop_conditions] == [3]
    bare = plan_of(EXPERIMENT, {}, {}, None, Path.cwd())
    assert (bare.probes, bare.stop_conditions, bare.ledger) == ((), (), None)
    assert replace(bare, source="") != replace(plan, source="")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"stop_conditions": [{"probe": "user", "bad": "3 in a row"}]}, "no such probe; there are users"),
        ({"stop_conditions": [{"probe": "users", "bad": "often"}]}, "often"),
        ({"probes": {"users": {"htpp": {}, "every": "1s", "timeout": "1s"}}}, "did you mean 'http'?"),
        ({"patience": "soon"}, "patience: 'soon' is no duration"),
        ({"when_stuck": "shrug"}, "when_stuck: 'shrug': expected kill or wait"),
        ({"probe": {}}, "guard: unknown key 'probe'"),
    ],
)
def test_what_is_wrong_is_said(more, said):
    with pytest.raises(PlanError, match="."):
        try:
            terms_of(told(**more), {})
            plan_of(EXPERIMENT, told(**more), {}, None, Path.cwd())
        except PlanError as error:
            assert said in str(error)
            raise


def test_a_rollback_that_says_it_failed_took_nothing_back():
    assert why_not({"type": "process"}, {"status": 1}) == "exit 1"
    assert why_not({"type": "process"}, {"status": 0}) == ""
    assert why_not({"type": "http"}, {"status": 503}) == "HTTP 503"
    assert why_not({"type": "python"}, None) == ""
