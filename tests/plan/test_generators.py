"""`processes` and `workers`: refused where they make no sense, named in preflight, served by one command."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from gameday.cli.main import main
from gameday.errors import PlanError
from gameday.plan.load import load_plan
from gameday.runner.generators import generators
from tests.drills import ROOT, make_project

HERE = "rate: 50/s, host"


def plan_with(folder, keys):
    project = make_project(folder / "project", **{HERE: f"rate: 50/s, {keys}, host"})
    return load_plan(project / "experiments" / "latency.yaml")


def test_they_reach_the_plan(tmp_path):
    (load,) = plan_with(tmp_path, "workers: {expect: 3}").load
    assert (load.workers, load.bind, load.processes) == (3, "127.0.0.1:5557", 1)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("processes: 2, workers: {expect: 2}", "give one of them"),
        (
            "workers: {expect: 2, bind: somewhere}",
            "'somewhere' is no address to listen at: expected HOST:PORT",
        ),
        ("workers: {expect: 2, bind: '127.0.0.1:0'}", "expected HOST:PORT"),
        ("processes: 0", "greater than or equal to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, keys, words):
    with pytest.raises(PlanError, match=words):
        plan_with(tmp_path, keys)


def test_preflight_counts_the_cores_and_names_the_workers_command():
    plan = load_plan(ROOT / "experiments" / "latency.yaml")
    (load,) = plan.load
    cores = len(os.sched_getaffinity(0))

    def checks(**more):
        return [(c.state, c.detail) for c in generators(replace(plan, load=(replace(load, **more),)))]

    assert checks() == []
    ((state, said),) = checks(processes=cores + 1)
    assert state == "warn" and f"{cores + 1} processes asked and {cores} cores here" in said
    ((state, said),) = checks(workers=2, bind="127.0.0.1:5557")
    assert state == "ok"
    assert "gameday load worker --master 127.0.0.1:5557 --profile loadprofiles/orders.py --sha256 " in said
    ((state, said),) = checks(workers=2, bind="0.0.0.0:5557")
    assert state == "warn" and "neither authentication nor encryption" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--profile", "x.py"], "--master is missing: expected HOST:PORT"),
        (["--master", "nowhere"], "--master nowhere: expected HOST:PORT"),
        (["--master", "10.0.0.7:99999"], "expected HOST:PORT"),
        (["--master", "10.0.0.7:5557", "--profile", "absent.py"], "--profile absent.py: expected a file"),
    ],
)
def test_a_worker_says_what_it_needs(words, said, capsys):
    assert main(["load", "worker", *words]) == 2
    assert said in capsys.readouterr().err
