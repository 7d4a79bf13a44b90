"""Ordinary troubles of a machine: no name for the user, folders that are gone, no socket. None is a defect."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gameday.cli.asked import login
from gameday.errors import Refused
from gameday.runner.arming import check_whole, runtime_dir
from tests.cli.test_mistakes import gameday
from tests.drills import ROOT, SHORT, Run, make_project


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "project", **SHORT)


@pytest.mark.skipif(os.getuid() != 0, reason="to be a user without a name takes root")
def test_a_user_without_a_name_is_a_number():
    code = "import os, pwd; from gameday.cli.asked import login; os.setuid(54321); print(login())"
    env = {name: value for name, value in os.environ.items() if name not in ("LOGNAME", "USER", "LNAME")}
    env = {**env, "PYTHONPATH": str(ROOT), "USERNAME": ""}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.stdout == "uid-54321\n", done.stderr
    assert login()


@pytest.mark.parametrize("kind", ["gone", "another's", "a file"])
def test_a_runtime_folder_that_cannot_be_used_is_passed_over(tmp_path, monkeypatch, kind):
    base, temp = tmp_path / "run", tmp_path / "tmp"
    temp.mkdir()
    if kind == "a file":
        base.write_text("")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/etc/.." if kind == "another's" and os.getuid() else str(base))
    monkeypatch.setattr("tempfile.tempdir", str(temp))
    if kind == "another's" and os.getuid() == 0:
        base.mkdir()
        os.chown(base, 54321, -1)
    assert runtime_dir() == temp / f"gameday-{os.getuid()}"
    monkeypatch.setattr("tempfile.tempdir", str(temp / "nowhere"))
    with pytest.raises(Refused, match="No such file or directory; sockets need a private folder"):
        runtime_dir()


def test_a_lab_that_went_down_meanwhile_is_a_refusal(tmp_path):
    values = {"lab.control": "http://127.0.0.1:1", "lab.state_file": str(tmp_path / "lab.json")}
    for text in (None, "{", "[]", "{}", '{"token": "t"}'):
        if text is not None:
            (tmp_path / "lab.json").write_text(text)
        with pytest.raises(Refused, match="the lab's state"):
            check_whole(values)


def test_init_where_nothing_can_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for where in ("file", "file/below", "x" * 300):
        done = gameday(tmp_path, "init", where)
        assert done.returncode == 2 and "cannot be written: " in done.stderr, done.stderr
        assert done.stderr.count("\n") == 2


def test_a_statement_that_cannot_be_written_or_is_no_text_is_one_line(project, tmp_path):
    plan = project / "experiments" / "latency.yaml"
    asks = "approvals: {before_faults: [{role: approver}]}\nsteps:\n"
    plan.write_text(plan.read_text().replace("steps:\n", asks))
    (project / "approvals").mkdir()
    (project / "approvals" / "allowed_signers").write_text("a.chen ssh-ed25519 AAAA\n")
    words = ("approve", "experiments/latency.yaml", "--as", "a.chen")
    done = gameday(project, *words, "--write", "/nowhere/x")
    assert done.returncode == 2 and "/nowhere/x: cannot be written: No such file" in done.stderr
    binary = tmp_path / "s.json"
    binary.write_bytes(b"\xff\xfe")
    binary.with_name("s.json.sig").write_bytes(b"x")
    done = gameday(project, *words, "--statement", str(binary))
    assert done.returncode == 2 and f"{binary}: it or its signature is no text" in done.stderr
    (project / "approvals" / "latency.a.chen.approver.json").mkdir()
    done = gameday(project, *words, "--unsigned")
    assert done.returncode == 2 and "cannot be written: Is a directory" in done.stderr


@pytest.mark.slow
def test_a_run_without_a_control_socket_says_so_and_is_halted_by_the_file(project, tmp_path, lab):
    too_long = tmp_path / ("x" * 100)
    too_long.mkdir(mode=0o700)
    env = {"XDG_RUNTIME_DIR": str(too_long)}
    run = Run(project, "latency", env=env)
    run.wait_for(lambda kind, data: kind == "Noted" and data["by"] == "control socket")
    run.wait_for(lambda kind, _: kind == "Armed")
    done = gameday(project, "halt", str(run.folder), "--reason", "enough", **env)
    assert done.returncode == 0 and f"put down {run.folder}/halt" in done.stdout, done.stderr
    run.wait_for(lambda kind, data: kind == "Halted" and "halt file" in data["by"])
    assert run.end()[0] == 4
    late = gameday(project, "halt", str(run.folder), "--reason", "enough", **env)
    assert late.returncode == 3 and "a halt file was put down" in late.stderr
