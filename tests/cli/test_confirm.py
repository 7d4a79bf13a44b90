"""At a terminal a person confirms what is no lab, by its name."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys

import pytest

from tests.cli.test_mistakes import gameday
from tests.drills import ROOT, make_project


@pytest.fixture
def project(tmp_path):
    folder = make_project(tmp_path / "project", **{"environment: lab": "environment: shop-eu"})
    (folder / "policy.yaml").write_text("environments: {shop-eu: {modules: [gameday.actions.*]}}\n")
    return folder


def run(project, answer, *more):
    """Type `answer` at the terminal of a run, and return its exit code and what it said."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gameday", "run", "experiments/latency.yaml", *more],
        cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, answer)
    said = b""
    while True:
        try:
            more_said = os.read(ours, 65536)
        except OSError:  # The terminal's other side is closed: the run is over.
            break
        if not more_said:
            break
        said += more_said
    os.close(ours)
    return process.wait(30), said.decode()


@pytest.mark.parametrize("answer", [b"yes\n", b"\x04"])
def test_anything_but_its_name_is_a_refusal(project, answer):
    code, said = run(project, answer)
    assert code == 3 and "touches shop-eu: the users' path is slow" in said
    assert "not confirmed; nothing was touched" in said and "Traceback" not in said
    assert not (project / "runs").exists()


def test_every_step_that_acts_is_named_not_the_faults_alone(project):
    shutil.copy(project / "experiments" / "primary-loss.yaml", project / "experiments" / "latency.yaml")
    code, said = run(project, b"no\n")
    assert code == 3
    for name in ("primary database dies", "promote b (failover)", "load of loadprofiles/orders.py"):
        assert name in said.partition("Type shop-eu")[0], said


def test_drill_is_for_the_lab_alone_and_warns_as_run_does(project):
    path = project / "experiments" / "latency.yaml"
    path.write_text(path.read_text().replace("for: 1s, then: halt", "for: 10m, then: halt"))
    done = gameday(project, "drill", "experiments/latency.yaml")
    assert done.returncode == 3 and "'shop-eu'; `gameday drill` is for the built-in lab alone" in done.stderr
    assert done.stderr.startswith("warning: ")
    assert not (project / "no-lab").exists() and not (project / "runs").exists()


@pytest.mark.parametrize(("answer", "more"), [(b"shop-eu\n", ()), (b"", ("--yes",))])
def test_its_name_or_yes_goes_on_to_the_next_check(project, answer, more):
    code, said = run(project, answer, *more)
    assert code == 3 and "not confirmed" not in said and "Traceback" not in said
    assert ("Type shop-eu to begin" in said) == (not more)
