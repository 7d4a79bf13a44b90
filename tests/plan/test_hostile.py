"""Malformed and hostile files: each is refused with place and reason, and nothing at all is touched.

`hostile.py` says what they are; a border that is added there is tested here.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from gameday.cli import main as cli
from gameday.errors import PlanError
from gameday.plan.stored import plan_digest
from tests.plan.hostile import (
    BORDERS,
    PLAN,
    POLICY,
    ROOT,
    anything,
    by_hand,
    garbled,
    make_project,
    must_refuse,
    policies_by_hand,
    traps,
)

PLACE = re.compile(r"\S+:\d+:\d+: \S")
GOOD = (ROOT / PLAN.files[0]).read_text()
HAND = by_hand(GOOD)
POLICIES = policies_by_hand((ROOT / POLICY.files[0]).read_text())
CPU_S = 10.0  # Ten times what the slowest of them takes.


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = make_project(tmp_path_factory.mktemp("hostile") / "project")
    traps(folder)
    return folder


def snapshot(folder):
    return {
        path.relative_to(folder): (path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in folder.rglob("*")
        if path.name != "hostile.yaml"
    }


def refused(border, path):
    """Read a file and say how it was refused; None when it is sound."""
    began = time.process_time()
    try:
        border.read(path)
    except PlanError as error:
        assert error.exit_code == 2 and error.problems
        for line in str(error).splitlines():
            assert PLACE.match(line), line
        assert all(len(problem.message) < 2000 for problem in error.problems), str(error)[:3000]
        return str(error)
    finally:
        assert time.process_time() - began < CPU_S
    return None


def test_the_files_they_are_made_from_are_sound(project):
    for border in BORDERS:
        for file in border.files:
            assert refused(border, project / file) is None


@pytest.mark.parametrize("name", HAND)
def test_what_people_and_attackers_come_up_with_is_refused(project, name, capfd):
    assert HAND[name] != GOOD.encode(), "this mutation changes nothing"
    path = project / "experiments" / "hostile.yaml"
    path.write_bytes(HAND[name])
    before, modules = snapshot(project), set(sys.modules)
    code = cli.main(["validate", str(path)])
    said = capfd.readouterr()
    if name == "an action from nowhere":
        assert code in (0, 2) and "antigravity" not in sys.modules  # Whether it may run is for arming to say.
        return
    assert code == 2, said.out + said.err
    assert PLACE.match(said.err) and "Traceback" not in said.err and not said.out
    assert all(len(line) < 2000 for line in said.err.splitlines())
    assert snapshot(project) == before and not (project.parent / "pwned").exists()
    assert {"antigravity", "locust", "chaoslib"}.isdisjoint(set(sys.modules) - modules)


def test_policies_that_people_and_attackers_come_up_with_are_refused(project):
    before, modules = snapshot(project), set(sys.modules)
    path = project / "hostile.yaml"
    for name, data in POLICIES.items():
        path.write_bytes(data)
        assert refused(POLICY, path), f"{name} was taken for sound"
    path.unlink()
    assert snapshot(project) == before and not (project / "pwned").exists()
    assert {"antigravity", "locust", "chaoslib"}.isdisjoint(set(sys.modules) - modules)


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_hostile_policy_is_exit_2_whatever_is_asked(project, command, capfd, monkeypatch):
    monkeypatch.chdir(project)
    path = project / "hostile.yaml"
    before = snapshot(project)
    for name in ("python object", "billion laughs", "a module that is a path", "noise"):
        path.write_bytes(POLICIES[name])
        code = cli.main([command, PLAN.files[1], "--policy", str(path)])
        said = capfd.readouterr()
        assert code == 2 and PLACE.search(said.err) and "Traceback" not in said.err, said.err
    path.unlink()
    assert snapshot(project) == before


@pytest.mark.parametrize("border", BORDERS, ids=lambda border: border.name)
def test_every_key_that_is_unknown_missing_or_of_another_type_is_refused(project, border):
    count = 0
    for file in border.files[:2]:
        path = (project / file).with_name("hostile.yaml")
        for name, text in must_refuse(border, file):
            path.write_text(text)
            assert refused(border, path), f"{file}: {name} was taken for sound"
            count += 1
    assert count >= 200


@pytest.mark.parametrize("border", BORDERS, ids=lambda border: border.name)
@seed(3)
@settings(
    max_examples=80,
    deadline=None,
    derandomize=False,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(number=st.integers(0, 2**32), which=st.integers(0, 2), bytewise=st.booleans())
def test_whatever_a_file_holds_it_is_sound_or_refused(project, border, number, which, bytewise):  # fmt: skip
    file = border.files[which % len(border.files)]
    path = (project / file).with_name("hostile.yaml")
    if bytewise:
        path.write_bytes(garbled((ROOT / file).read_bytes(), number))
    else:
        path.write_text(anything(border, file, number), errors="surrogatepass")
    if refused(border, path) is None and border is PLAN:
        plan_digest(border.read(path))  # What is sound has a digest, whatever it holds.


def test_run_refuses_before_it_touches_anything(project):
    """As a person meets it: a process of its own, its exit code, one clear line for each problem."""
    for name in ("python object", "a profile outside", "billion laughs"):
        path = project / "experiments" / "hostile.yaml"
        path.write_bytes(HAND[name])
        before = snapshot(project)
        done = subprocess.run(
            [sys.executable, "-m", "gameday", "run", str(path), "--plain"],
            cwd=project, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert PLACE.search(done.stderr) and "Traceback" not in done.stderr
        assert snapshot(project) == before
