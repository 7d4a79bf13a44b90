"""Whatever an activity does at its timeout, nothing of it is left, and the run goes on to its end."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from tests.experiments.sidebyside import BIN, alone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
# Children of children, each with a session of its own and its parent gone; SIGTERM is ignored by all.
FORKS = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
depth = int(sys.argv[1])
for _ in range(3):
    if depth and not os.fork():
        os.setsid()
        os.execv(sys.executable, [sys.executable, *sys.argv[:1], str(depth - 1), sys.argv[2]])
time.sleep(0.2 if depth == 2 and sys.argv[3:] else 300)
"""
MODULE = """
import subprocess, sys, time
def hang(argument):
    subprocess.Popen(["sleep", argument])
    time.sleep(300)
def spin():
    while True: pass
"""


def act(name, provider):
    return {"type": "action", "name": name, "provider": provider}


def left(argument):
    def words(path):
        try:
            return (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return []

    return [path.name for path in Path("/proc").glob("[0-9]*") if argument.encode() in words(path)]


def test_a_fork_bomb_and_hanging_providers_are_ended_at_their_timeout(tmp_path):
    (tmp_path / "forks.py").write_text(FORKS)
    (tmp_path / "mine.py").write_text(MODULE)
    program = {"type": "process", "path": "python3", "arguments": ["forks.py", "2", "4711.25"], "timeout": 3}
    shell = {"type": "process", "path": "sh", "arguments": "-c 'sleep 4712.25 & sleep 4712.25'", "timeout": 1}
    python = {"type": "python", "module": "mine", "func": "hang", "arguments": {"argument": "4713.25"}}
    data = {
        "title": "t", "description": "d",
        "method": [
            act("forks", program), act("shell", shell), act("python", {**python, "timeout": 1}),
            act("spin", {"type": "python", "module": "mine", "func": "spin", "timeout": 1}),
            act("last", {"type": "process", "path": "true"}),
        ],
        "rollbacks": [act("undo", {"type": "process", "path": "touch", "arguments": ["undone"]})],
    }  # fmt: skip
    path = tmp_path / "it.json"
    path.write_text(json.dumps(data))
    ours = alone(path, folder=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    assert ours.word == "completed" and ours.code == 0, ours.said
    assert ours.activities[0] == ["failed"] * 4 + ["succeeded"] and (tmp_path / "undone").exists()
    durations = [run["duration"] for run in ours.journal["run"][:4]]
    assert max(durations) < 60, durations
    give_up_s = time.monotonic() + 20
    while any(map(left, ("4711.25", "4712.25", "4713.25"))):
        assert time.monotonic() < give_up_s, [left(word) for word in ("4711.25", "4712.25", "4713.25")]
        time.sleep(0.1)


def test_a_run_of_an_experiment_is_listed_checked_reported_sealed_and_verified(tmp_path):
    path = tmp_path / "experiments" / "it.json"
    path.parent.mkdir()
    true = {"type": "process", "path": "true"}
    look = {"type": "probe", "name": "look", "tolerance": 0, "provider": true}
    path.write_text(
        json.dumps(
            {
                "title": "Lose nothing", "description": "d", "method": [act("act", true)],
                "rollbacks": [act("undo", true)], "steady-state-hypothesis": {"title": "h", "probes": [look]},
            }
        )
    )  # fmt: skip
    ours = alone(path, folder=tmp_path, cwd=tmp_path)
    assert ours.code == 0, ours.said
    run, bundle = tmp_path / "run", tmp_path / "run" / "bundle"

    def say(*words):
        done = subprocess.run(
            [str(BIN / "gameday"), *map(str, words)], cwd=tmp_path, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout + done.stderr

    findings = (run / "findings.json").read_bytes()
    for words in (("check", run), ("show", run), ("report", run)):
        code, said = say(*words)
        assert code == 0, said
    assert (run / "findings.json").read_bytes() == findings and b"experiment" in findings
    assert "Lose nothing" in (run / "report.html").read_text()
    code, said = say("seal", run)
    assert code == 0 and (bundle / "journal.json").read_bytes() == (run / "journal.json").read_bytes(), said
    (tmp_path / "runner.pub").write_bytes((bundle / "attest" / "runner.pub").read_bytes())
    (tmp_path / "trust.yaml").write_text("runners: [runner.pub]\n")
    verify = ("verify", bundle, "--trust", tmp_path / "trust.yaml")
    code, said = say(*verify)
    assert code in (0, 4) and "FAIL" not in said.upper().split(), said
    journal = bundle / "journal.json"
    journal.write_text(journal.read_text().replace("Lose nothing", "Lose it all"))
    assert say(*verify)[0] == 1
    code, said = say("export", run, "--as", "junit")
    assert code == 0, said
