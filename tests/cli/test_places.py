"""A command acts on the project it is typed in, however deep, or says that there is none."""

from __future__ import annotations

import json
import os

import pytest

from gameday.plan.load import load_plan
from gameday.runner.lever import project_lever
from tests.cli.test_mistakes import gameday
from tests.drills import make_project
from tests.runner.test_preflight import a_run


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "project")


def test_the_lever_is_that_of_the_project_above(project):
    done = gameday(project / "experiments", "lever", "engage", "--reason", "real incident", "--by", "m")
    lever = project_lever(project)
    assert done.returncode == 0 and "engaged by m" in lever.read()
    assert str(lever.path) in done.stdout and not (project / "experiments" / ".gameday").exists()
    for words in (["status"], ["release"]):
        assert str(lever.path) in gameday(project / "loadprofiles", "lever", *words).stdout
    assert lever.read() == ""


@pytest.mark.parametrize(
    "words",
    [["lever", "engage", "--reason", "x"], ["lever", "status"], ["halt", "--reason", "x"], ["runs"],
     ["recover"], ["approve"], ["done"], ["note", "x"], ["show", "2026"]],
)  # fmt: skip
def test_where_there_is_no_project_it_says_so_and_leaves_nothing(tmp_path, words):
    done = gameday(tmp_path, *words)
    assert done.returncode == 2 and "is in no project" in done.stderr
    assert not list(tmp_path.iterdir())


def test_runs_are_found_from_anywhere_in_the_project_and_by_path_from_anywhere(project, tmp_path):
    folder = a_run(project, load_plan(project / "experiments" / "primary-loss.yaml"), [], runner=False)
    listed = json.loads(gameday(project / "runbooks", "runs", "--json").stdout)
    assert [row["path"] for row in listed] == [str(folder)]
    for where, run in ((folder, ()), (tmp_path, (str(folder),)), (folder.parent, (folder.name,)),
                       (project / "runbooks", (os.path.relpath(folder, project),))):  # fmt: skip
        done = gameday(where, "halt", *run, "--reason", "x")
        assert f"the run in {folder} does not answer" in done.stderr, (where, run)
