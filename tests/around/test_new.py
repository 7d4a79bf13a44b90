"""`gameday new`: the plan it writes is sound at once, and nothing is ever written over or half."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from gameday.plan.load import load_plan
from gameday.plan.newtext import LAB_URL, Answers, plan_text
from tests.commands import in_this_process
from tests.drills import ROOT, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.mark.parametrize("kind", ["dr", "game-day", "capacity"])
def test_a_plan_for_the_lab_is_sound_without_a_warning(project, kind):
    done = in_this_process(project, "new", kind, "--service", "orders", "--yes")
    assert done.returncode == 0, done.stderr
    plan = load_plan(project / "experiments" / f"orders-{kind}.yaml")
    assert not plan.warnings and plan.kind == kind and plan.service == "orders"
    before = (project / "experiments" / f"orders-{kind}.yaml").read_bytes()
    again = in_this_process(project, "new", kind, "--service", "orders", "--rto", "1m", "--yes")
    assert again.returncode == 2 and "is there already; nothing was written" in again.stderr
    assert (project / "experiments" / f"orders-{kind}.yaml").read_bytes() == before


@pytest.mark.parametrize("rto", ["4s", "15m", "12h"])
def test_a_plan_for_elsewhere_fits_its_objective(project, rto):
    name = f"experiments/shop-{rto}.yaml"
    words = ("new", "dr", name, "--service", 'sh"op: #1', "--environment", "staging", "--rto", rto, "--yes",
             "--target", "https://shop.example", "--action", "gameday.actions.process.stop", "--with", "match=shop")  # fmt: skip
    done = in_this_process(project, *words)
    assert done.returncode == 0, done.stderr
    plan = load_plan(project / name)
    assert not plan.warnings and plan.service == 'sh"op: #1'
    assert any(step.kind == "manual" for step in plan.steps)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--action", "a.b"], "has no `undo`"),
        (["--rto", "soon"], "'soon' is no duration"),
        (["--rpo", "1"], "no duration"),
        (["--with", "node"], "expected KEY=VALUE"),
        (["--with", "start=[a, {b: c}]"], "expected a list of words"),
        (["--with", "start=[a"], "expected a list of words"),
        (["--runbook", "runbooks/not-there.yaml"], "is no file of the project"),
        (["--environment", "staging"], "--target is missing"),
    ],
)
def test_what_is_no_sound_plan_is_not_written(project, more, said):
    done = in_this_process(project, "new", "dr", "experiments/no.yaml", "--service", "orders", *more, "--yes")
    assert done.returncode == 2 and said in done.stderr
    assert not (project / "experiments" / "no.yaml").exists()


def test_an_answer_is_never_a_key_of_its_own():
    hostile = 'x"\nsteps: []\n# ${env.HOME} $title'
    answers = Answers("game-day", hostile, hostile, hostile, "lab", LAB_URL, "/", "a.b", (("k", hostile),))
    import yaml

    plan = yaml.safe_load(plan_text(answers))
    assert plan["service"] == plan["owner"] == hostile and len(plan["steps"]) == 2


@pytest.mark.slow
def test_questions_are_asked_at_a_terminal(tmp_path):
    project = make_project(tmp_path / "project")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gameday", "new", "dr"],
        cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, b"orders\n\n\n\n\npayments-sre\n20s\n\n\n")
    assert process.wait(30) == 0, os.read(ours, 65536)
    plan = load_plan(project / "experiments" / "orders-dr.yaml")
    assert plan.objectives[0].rto_ns == 20 * 10**9 and dict(plan.about)["owner"] == "payments-sre"


def test_a_runbook_of_ones_own_brings_it_back_and_lists_are_lists(project):
    name = "experiments/own.yaml"
    words = ("new", "dr", name, "--service", "shop", "--environment", "staging", "--target", "http://127.0.0.1:8081",
             "--action", "gameday.actions.process.kill", "--with", "match=shop", "--with", "at_most=2",
             "--with", "start=[shop, -p, 8081]", "--runbook", "runbooks/promote-standby.yaml", "--yes")  # fmt: skip
    done = in_this_process(project, *words)
    assert done.returncode == 0, done.stderr
    plan = load_plan(project / name)
    fault = plan.steps[0]
    assert fault.name == "process kill, match shop"
    assert json.loads(fault.do.provider)["arguments"]["start"] == ["shop", "-p", 8081]
    assert {step.runbook for step in plan.steps[1:]} >= {"runbooks/promote-standby.yaml"}
    assert not any(step.kind == "manual" for step in plan.steps)


def test_a_target_of_ones_own_that_is_not_there_is_not_told_to_start_the_lab(project):
    name = "experiments/away.yaml"
    words = ("new", "game-day", name, "--service", "shop", "--environment", "lab", "--target", "http://127.0.0.1:1",
             "--action", "gameday.actions.process.stop", "--with", "match=shop", "--yes")  # fmt: skip
    assert in_this_process(project, *words).returncode == 0
    done = in_this_process(project, "run", name, "--rehearse")
    assert done.returncode == 3, done.stdout
    assert "See that the target runs" in done.stderr and "gameday lab" not in done.stderr
