"""SIGKILL at a dozen of the events of three drills; `make killpoints` does every one of them."""

from __future__ import annotations

import random

import pytest

from tests.bench.halt import Target
from tests.drills import SHORT, make_project
from tests.killpoints import BenchSite, LabSite, kill_at

SEED = 3
DRAWN = random.Random(SEED).sample(range(6, 30), 9)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"), **SHORT)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    target = Target()
    yield BenchSite(tmp_path_factory.mktemp("bench") / "project", target)
    target.close()


@pytest.mark.parametrize(("plan", "number"), [("primary-loss", 30), ("primary-loss", 39), ("latency", 22)])
def test_a_killed_runner_leaves_nothing_behind(project, lab, plan, number):
    assert kill_at(LabSite(project, lab), plan, number), "the drill ended before that event"


@pytest.mark.parametrize("number", DRAWN[:7])
def test_parallel_faults_of_a_killed_runner_are_all_undone(bench, number):
    assert kill_at(bench, "parallel-faults", number), "the drill ended before that event"


@pytest.mark.parametrize(("number", "mode"), [(DRAWN[7], "both"), (DRAWN[8], "watchdog")])
def test_a_killed_watchdog_or_both_dead_leave_nothing_behind(bench, number, mode):
    assert kill_at(bench, "parallel-faults", number, mode), "the drill ended before that event"
