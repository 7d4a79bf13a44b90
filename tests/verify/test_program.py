"""The command: what an auditor types, sees and gets back; and that it stands alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from gameday.verify.__main__ import main
from gameday.verify.trust import Unusable, read_trust, read_yaml

ROOT = Path(__file__).resolve().parents[2]


def test_five_lines_then_what_was_measured_and_signed(bundle, world, capsys):
    assert main([str(bundle), "--trust", str(world.trust / "trust.yaml")]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = ["integrity", "authenticity", "time", "completeness", "recomputation"]
    assert [line.split()[:2] for line in lines[:5]] == [[name, "pass"] for name in names]
    assert all(len(line.split(maxsplit=2)[2]) > 20 for line in lines[:5])
    rest = "\n".join(lines[5:])
    assert "measured: RTA orders" in rest and "signatures: approver a.bell" in rest and "addendum 1" in rest


def test_as_json_and_the_exit_codes(bundle, world, capsys, tmp_path):
    trust = str(world.trust / "trust.yaml")
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    shutil.move(bundle, run_dir / "bundle")
    assert main([str(run_dir), "--trust", trust, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "pass" and [row["verdict"] for row in document["lines"]] == ["pass"] * 5
    free = str(world.write_trust("rootless.yaml", timestamp_roots=""))
    assert main([str(run_dir), "--trust", free]) == 4
    (run_dir / "bundle" / "report.html").write_bytes(b"x")
    assert main([str(run_dir), "--trust", trust]) == 1
    assert main([str(tmp_path / "nowhere"), "--trust", trust]) == 2
    assert "expected the folder of a bundle" in capsys.readouterr().err
    assert main([str(run_dir), "--trust", str(tmp_path / "none.yaml")]) == 2
    with pytest.raises(SystemExit) as stopped:
        main([str(run_dir)])
    assert stopped.value.code == 2


def test_gameday_passes_the_words_on(bundle, world):
    done = subprocess.run(
        [sys.executable, "-m", "gameday", "verify", str(bundle), "--trust", str(world.trust / "trust.yaml")],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.startswith("integrity"), done.stderr


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("runners: runner.pub", "is a list"),
        ("runners: [a]\nrunners: [b]", "there twice"),
        ("colour: red", "unknown"),
        ("runners: [{a: b}]", "no plain word"),
        ("checkpoint: &x y", "no plain word"),
        ("checkpoint:\n  - a", "no plain word"),
        ("  nested:\n    deep: 1", "expected `key: value`"),
        ("- item", "expected `key: value`"),
        ("runners: [a,\n b]", "is a list"),
        ('checkpoint: "a', "no plain word"),
        ("checkpoint: !!python/object x", "no plain word"),
    ],
)
def test_a_trust_file_that_is_refused(text, why):
    with pytest.raises(Unusable, match=re.escape(why)):
        read_yaml(text, "trust.yaml")


def test_a_trust_file_in_every_form_that_is_allowed():
    text = """# mine
---
runners: [runner.pub, "other key.pub"]   # two
timestamp_roots:
  - tsa-ca.pem
  - 'tsa 2.pem'
checkpoint: kept/checkpoint
approvals: []
"""
    assert read_yaml(text, "t") == {
        "runners": ["runner.pub", "other key.pub"], "timestamp_roots": ["tsa-ca.pem", "tsa 2.pem"],
        "checkpoint": "kept/checkpoint", "approvals": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"runners": "[]"}, "at least one runner"),
        ({"runners": "[tsa-ca.pem]"}, "no public key"),
        ({"timestamp_roots": "[runner.pub]"}, "no certificates"),
        ({"checkpoint": "runner.pub"}, "is no checkpoint"),
        ({"allowed_signers": "runner.pub"}, "expected NAME"),
        ({"allowed_signers": ""}, "need allowed_signers"),
        ({"checkpoint": "missing"}, "No such file"),
    ],
)
def test_what_the_auditor_brought_cannot_be_used(world, changes, why):
    with pytest.raises(Unusable, match=re.escape(why)):
        read_trust(world.write_trust("bad.yaml", **changes))


@pytest.mark.slow
def test_it_installs_alone_and_verifies(bundle, world, tmp_path):
    """Its own distribution in an environment of its own: no gameday, no Locust, no Chaos Toolkit."""
    shutil.copytree(
        ROOT / "gameday" / "verify", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__")
    )
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    run = lambda *words: subprocess.run(  # noqa: E731
        words, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    made = run(python, "-m", "pip", "install", "-q", str(tmp_path / "src"))
    assert made.returncode == 0, made.stderr
    listed = json.loads(run(python, "-m", "pip", "list", "--format", "json").stdout)
    assert {row["name"] for row in listed} - {"pip", "setuptools"} == {
        "cffi", "cryptography", "gameday-verify", "pycparser", "rfc3161-client",
    }  # fmt: skip
    command = tmp_path / "env" / "bin" / "gameday-verify"
    done = run(command, str(bundle), "--trust", str(world.trust / "trust.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    (bundle / "report.html").write_bytes(b"x")
    assert run(command, str(bundle), "--trust", str(world.trust / "trust.yaml")).returncode == 1
