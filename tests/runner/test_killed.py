"""SIGKILL of the runner at a handful of events; `make killpoints` does every one of them."""

from __future__ import annotations

import pytest

from tests.drills import SHORT, make_project
from tests.killpoints import kill_at


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"), **SHORT)


@pytest.mark.parametrize(
    ("plan", "number"), [("primary-loss", 27), ("primary-loss", 30), ("primary-loss", 39), ("latency", 22)]
)
def test_a_killed_runner_leaves_nothing_behind(project, lab, plan, number):
    assert kill_at(project, lab, plan, number), "the drill ended before that event"
