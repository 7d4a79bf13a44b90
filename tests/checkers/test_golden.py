"""Recorded runs keep their findings, byte for byte; `gameday check` says so, or what differs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from gameday.checkers.document import as_document
from gameday.checkers.findings import CHECKER_VERSION
from gameday.evidence.findings_file import text_of
from gameday.history.read import read_trace
from gameday.runner.conclude import recompute
from tests.drills import ROOT
from tests.golden import HERE, NAMES, unpack


def test_the_golden_runs_are_a_whole_a_halted_and_a_crashed_one(tmp_path):
    outcomes = {name: json.loads((HERE / name / "findings.json").read_text())["outcome"] for name in NAMES}
    assert outcomes == {"primary-loss": "completed", "halted": "halted", "crashed": "crashed"}


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_run_keeps_its_findings_byte_for_byte(tmp_path, name):
    run_dir = unpack(name, tmp_path / name)
    trace = read_trace(run_dir)
    assert (trace.faults, trace.torn) == ((), 0)
    document = as_document(recompute(run_dir))
    assert text_of(document) == (run_dir / "findings.json").read_text()
    assert document["checker_version"] == CHECKER_VERSION


def gameday_check(run_dir, *more):
    done = subprocess.run(
        [sys.executable, "-m", "gameday", "check", str(run_dir), *more],
        cwd=run_dir.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_check_says_that_nothing_differs_or_what_does(tmp_path):
    run_dir = unpack("primary-loss", tmp_path / "run")
    path = run_dir / "findings.json"
    kept = path.read_text()
    code, out, said = gameday_check(run_dir, "--json")
    assert code == 0
    assert "the same, byte for byte" in said
    assert text_of(json.loads(out)) == kept
    assert path.read_text() == kept

    document = json.loads(kept)
    rta = next(f for f in document["findings"] if f["name"] == "RTA orders")
    rta["observed"] = "0.01 to 0.02 s"
    document["rta_s"]["max"] = 0.02
    path.write_text(text_of(document))
    code, out, said = gameday_check(run_dir)
    assert code == 1
    assert 'RTA orders: observed: "0.01 to 0.02 s" in findings.json' in said
    assert "rta_s: max: 0.02 in findings.json" in said
    assert path.read_text() == text_of(document)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "not an object"),
        ('{"findings": [7, {"name": "RTA x"}], "outcome": "completed", "more": 1}', "RTA x: only in"),
    ],
)
def test_a_findings_file_may_be_anybodys_work(tmp_path, text, said):
    from gameday.evidence.compared import differences

    run_dir = unpack("crashed", tmp_path / "run")
    document = as_document(recompute(run_dir))
    assert differences(run_dir, document) == []
    (run_dir / "findings.json").write_text(text)
    assert said in "\n".join(differences(run_dir, document))
    (run_dir / "findings.json").write_text(json.dumps(document))
    assert differences(run_dir, document) == ["the same content, written in other bytes"]
    (run_dir / "findings.json").unlink()
    assert differences(run_dir, document) is None
    (run_dir / "findings.json").symlink_to(run_dir / "plan.json")
    assert "is a link" in differences(run_dir, document)[0]
