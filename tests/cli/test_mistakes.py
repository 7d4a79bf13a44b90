"""Ordinary mistakes get one clear line, the right exit code, and never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from unittest.mock import patch

import pytest

from gameday.cli.exits import exit_code
from tests.commands import in_this_process
from tests.drills import ROOT, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


HERE = {"frobnicate", "validate", "plan", "show", "check", "report", "runs", "halt", "schema", "init"}


def gameday(project, *words, **env):
    """Carry out one command: here where it starts nothing, else in a process of its own."""
    if words and words[0] in HERE and not env:
        with patch.dict(os.environ, {"GAMEDAY_LAB_DIR": str(project / "no-lab")}):
            return in_this_process(project, *words)
    full = {**os.environ, "PYTHONPATH": str(ROOT), "GAMEDAY_LAB_DIR": str(project / "no-lab"), **env}
    done = subprocess.run(
        [sys.executable, "-m", "gameday", *words], cwd=project, capture_output=True, text=True, env=full
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["frobnicate"], 2, "invalid choice"),
        (["run"], 2, "the following arguments are required: PLAN"),
        (["run", "experiments/none.yaml"], 2, "cannot be read: No such file"),
        (["validate", "runbooks/failback.yaml"], 2, "key 'kind' is missing"),
        (["run", "experiments/latency.yaml"], 3, "the lab is not up"),
        (["run", "experiments/latency.yaml", "--rehearse"], 3, "the lab is not up"),
        (["drill", "nowhere.yaml"], 2, "no such file"),
        (["show"], 2, "no run in"),
        (["show", "2031"], 2, "there is no such run"),
        (["halt", "--reason", "x"], 2, "no run in"),
        (["lever", "engage"], 2, "--reason is missing"),
        (["init", "."], 2, "is there already"),
        (["lab", "status"], 3, "the lab is not up"),
    ],
)
def test_a_mistake_gets_a_clear_line(project, words, code, said):
    done = gameday(project, *words)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert 1 <= done.stderr.strip().count("\n") + 1 <= 8


def test_no_postgresql_is_said_with_what_to_do(project, tmp_path):
    done = gameday(project, "drill", GAMEDAY_PG_BINDIR=str(tmp_path))
    assert done.returncode == 3
    assert "GAMEDAY_PG_BINDIR" in done.stderr


def change(project, name, old, new):
    text = (project / "experiments" / "latency.yaml").read_text()
    assert old in text
    (project / "experiments" / f"{name}.yaml").write_text(text.replace(old, new))
    return f"experiments/{name}.yaml"


def test_a_plan_for_another_environment_is_refused(project, lab):
    plan = change(project, "prod", "environment: lab", "environment: prod")
    policy = project / "prod-policy.yaml"
    policy.write_text("environments: {prod: {}}")
    lab_dir = os.environ["GAMEDAY_LAB_DIR"]
    done = gameday(project, "run", plan, "--policy", policy.name, GAMEDAY_LAB_DIR=lab_dir)
    assert done.returncode == 3
    assert "environment is 'lab', the plan is for 'prod'" in done.stderr


def test_a_target_that_does_not_exist_is_refused(project, lab):
    text = (project / "experiments" / "primary-loss.yaml").read_text()
    text = text.replace(
        "gameday.actions.postgres.kill, with: {node: a}", "gameday.actions.postgres.kill, with: {node: z}"
    )
    text = text.replace("  - runbook: runbooks/promote-standby.yaml", "  - hold: 1s\n#")
    text = text.replace("  - runbook: runbooks/failback.yaml", "")
    (project / "experiments" / "z.yaml").write_text(text)
    done = gameday(project, "run", "experiments/z.yaml", GAMEDAY_LAB_DIR=os.environ["GAMEDAY_LAB_DIR"])
    assert done.returncode == 3, done.stderr
    assert "'node:z' does not exist; it has node:a, node:b" in done.stderr


def test_an_action_that_does_not_exist_is_refused_before_anything_happens(project, lab):
    plan = change(
        project, "noaction", "gameday.actions.network.add_latency", "gameday.actions.network.add_magic"
    )
    done = gameday(project, "run", plan, GAMEDAY_LAB_DIR=os.environ["GAMEDAY_LAB_DIR"])
    assert done.returncode == 2
    assert "has no `undo`" in done.stderr


def test_a_load_profile_that_does_not_import_is_refused(project, lab):
    (project / "loadprofiles" / "broken.py").write_text("import nosuchmodule\n")
    plan = change(project, "broken", "loadprofiles/orders.py", "loadprofiles/broken.py")
    done = gameday(project, "run", plan, "--plain", GAMEDAY_LAB_DIR=os.environ["GAMEDAY_LAB_DIR"])
    assert done.returncode == 3, done.stderr
    assert "loadprofiles/broken.py" in done.stderr and "nosuchmodule" in done.stderr


def test_a_rehearsal_is_ready_and_has_no_verdict(project, lab):
    before = list(project.glob("runs/*/*"))
    done = gameday(
        project,
        "run",
        "experiments/primary-loss.yaml",
        "--rehearse",
        GAMEDAY_LAB_DIR=os.environ["GAMEDAY_LAB_DIR"],
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skip  probe place-order: it writes" in done.stdout
    assert "no verdict" in done.stdout
    assert list(project.glob("runs/*/*")) == before


@pytest.mark.parametrize(
    ("not_red", "state", "code"),
    [("", "warn", 0), ("payments-untouched", "BAD ", 3)],
)
@pytest.mark.slow
def test_a_rehearsal_judges_a_red_probe_as_the_run_would(project, lab, not_red, state, code):
    plan = change(project, "red", "/payments/health", "/payments/nowhere")
    rules = f"environments: {{lab: {{modules: ['*'], not_red: [{not_red}]}}}}\n"
    (project / "red-policy.yaml").write_text(rules)
    words = ("run", plan, "--rehearse", "--policy", str(project / "red-policy.yaml"))
    done = gameday(project, *words, GAMEDAY_LAB_DIR=os.environ["GAMEDAY_LAB_DIR"])
    assert done.returncode == code, done.stdout + done.stderr
    assert f"{state}  probe payments-untouched: bad" in done.stdout, done.stdout


def test_plan_says_in_words_what_will_happen(project):
    done = gameday(project, "plan", "experiments/primary-loss.yaml")
    assert done.returncode == 0
    for words in (
        "FAULT primary database dies",
        "point of no return",
        "undone by postgres.start(node=a)",
        "halts when",
    ):
        assert words in done.stdout


def test_init_leaves_a_gitignore_that_is_there_as_it_is(tmp_path):
    (tmp_path / ".gitignore").write_text("mine/\n")
    done = gameday(tmp_path, "init", ".")
    assert done.returncode == 0 and "stays as it is: add .gameday/, runs/, register/ to it" in done.stdout
    assert (tmp_path / ".gitignore").read_text() == "mine/\n"


def test_init_makes_a_project_whose_plans_are_sound(tmp_path):
    done = gameday(tmp_path, "init", "mine")
    assert done.returncode == 0
    plans = sorted(str(p) for p in (tmp_path / "mine" / "experiments").glob("*.yaml"))
    assert len(plans) >= 4
    assert gameday(tmp_path, "validate", *plans).returncode == 0
    shown = gameday(tmp_path / "mine", "plan", "experiments/primary-loss.yaml")
    assert "What the policy says (policy.yaml, digest" in shown.stdout
    assert "ttl                2m   [plan]" in shown.stdout and "leftovers: no earlier run" in shown.stdout


def test_doctor_and_schema_answer(project):
    assert gameday(project, "doctor").returncode == 0
    assert (
        '"PlanIn"' in gameday(project, "schema").stdout or "properties" in gameday(project, "schema").stdout
    )


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (dict(verdict="pass", outcome="completed"), 0),
        (dict(verdict="fail", outcome="completed"), 1),
        (dict(verdict="pass", outcome="completed", stuck=True), 5),
        (dict(verdict="fail", outcome="halted", failed_over=True), 5),
        (dict(verdict="unknown", outcome="completed"), 4),
        (dict(verdict="not_tested", outcome="halted"), 4),
        (dict(verdict="pass", outcome="crashed"), 4),
        (dict(verdict="pass", outcome="halted", interrupted=True), 4),
        (dict(verdict="pass", outcome="refused"), 3),
    ],
)
def test_exit_codes_first_that_applies(facts, code):
    assert exit_code(**{"stuck": False, "failed_over": False, "interrupted": False, **facts}) == code
