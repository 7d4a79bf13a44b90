"""Our guard, evidence and ledger in a real `chaos run`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from gameday.checkers.findings import Verdict
from gameday.history.events import (
    Halted,
    HostStarted,
    KillAsked,
    Noted,
    RunEnded,
    RunnerLost,
    StepEnded,
    StepStarted,
    UndoEnded,
)
from gameday.history.read import read_records, read_trace
from gameday.plan.stored import plan_digest, read_plan
from gameday.runner.conclude import recompute
from tests.chaostoolkit.world import MEND, Chaos, Target, control, guard, python, run, shell
from tests.drills import ROOT

pytestmark = pytest.mark.slow
SECRET = "canary-5b1d9c"
ALWAYS = {
    "type": "probe", "name": "always", "tolerance": True,
    "provider": {"type": "python", "module": "os.path", "func": "isabs", "arguments": {"s": "/"}},
}  # fmt: skip


@pytest.fixture
def target(tmp_path):
    target = Target(tmp_path)
    yield target
    target.server.shutdown()


def folder_of(project):
    return (project / "runs" / "latest").resolve()


def events(folder, kind):
    return [(r.at_ns, r.event) for r in read_trace(folder).records if isinstance(r.event, kind)]


def wait_for(condition, timeout_s=60.0):
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.05)


def has(folder, kind):
    """The run has an event of that kind by now."""
    try:
        return any(isinstance(r.event, kind) for r in read_records(folder_of(folder)).records)
    except Exception:
        return False


def whole(folder):
    trace = read_trace(folder)
    assert trace.faults == () and trace.torn == 0
    assert plan_digest(read_plan(folder)) == trace.records[0].event.plan_sha256
    done = subprocess.run(
        [sys.executable, "-m", "gameday", "check", str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert "the same, byte for byte" in done.stderr, done.stderr
    return {finding.name: finding for finding in recompute(folder).findings}


def verified(project):
    """The bundle, by the auditor's own program and nothing but the public key."""
    trust = project / "trust.yaml"
    trust.write_text("runners: [key.pub]\n")
    return subprocess.run(
        [sys.executable, "-m", "gameday", "verify", str(folder_of(project) / "bundle"), "--trust", str(trust)],
        cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
    )  # fmt: skip


def test_a_breach_halts_undoes_and_leaves_a_sealed_record(target, tmp_path):
    """Under the default strategy `chaos` drops the rollbacks; its programs' children would live on."""
    chaos = run(
        tmp_path,
        {
            "title": "Break the shop",
            "secrets": {"shop": {"password": SECRET}},
            "steady-state-hypothesis": {"title": "Always so", "probes": [ALWAYS]},
            "controls": [guard(target.url), control("evidence", {"service": "orders", "seal": True})],
            "method": [
                shell("break", "touch broken; sleep 30 & echo $! > child; wait"),
                shell("never", "touch never"),
            ],
            "rollbacks": [MEND],
        },
        "--hypothesis-strategy=continuously",  # It must not put the guard out of force.
        "--hypothesis-frequency=0.05",
    )
    said = chaos.ends()
    folder = folder_of(tmp_path)
    assert chaos.process.returncode == 1, said
    assert "gameday halted this experiment: probe users: 3 bad samples in a row" in said
    assert (tmp_path / "mended").read_text() == "mended\n" and not (tmp_path / "broken").exists()
    assert not (tmp_path / "never").exists()
    pid = int((tmp_path / "child").read_text())
    assert not os.path.exists(f"/proc/{pid}/exe") or "sleep" not in os.readlink(f"/proc/{pid}/exe")
    found = whole(folder)
    (halted_ns, halted), *_ = events(folder, Halted)
    ended = [at for at, event in events(folder, StepEnded) if event.step == "method-0"]
    assert ended[0] - halted_ns < 1_500_000_000
    assert halted.breach_before_ns <= halted_ns
    assert [e.undone for _, e in events(folder, UndoEnded)] == [True]
    assert found["no stop condition was breached"].verdict is Verdict.FAIL
    assert found["no fault is left"].verdict is Verdict.UNKNOWN  # Played; but nobody reads it back.
    assert found["steady state after"].verdict is Verdict.PASS
    journal = json.loads((tmp_path / "journal.json").read_text())
    assert journal["status"] == "interrupted"
    assert journal["gameday"]["folder"] == str(folder) and journal["gameday"]["verdict"] == "fail"
    for path in (*folder.rglob("*"), *(tmp_path / "register").rglob("*")):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    checked = verified(tmp_path)
    for question in ("integrity", "authenticity", "completeness", "recomputation"):
        assert f"{question} pass" in " ".join(checked.stdout.split()), checked.stdout + checked.stderr


def test_a_calm_run_is_recorded_and_undone_by_chaos_itself(target, tmp_path):
    look = {
        "type": "probe",
        "name": "look",
        "tolerance": 200,
        "provider": {"type": "http", "url": target.url},
    }
    chaos = run(
        tmp_path,
        {
            "title": "Calm",
            "steady-state-hypothesis": {"title": "It answers", "probes": [look]},
            "controls": [control("evidence", {"operator": "r.ito"})],
            "method": [shell("touch", "touch it"), {key: look[key] for key in ("type", "name", "provider")}],
            "rollbacks": [shell("untouch", "rm it")],
        },
    )
    said = chaos.ends()
    assert chaos.process.returncode == 0, said
    found = whole(folder_of(tmp_path))
    assert json.loads((tmp_path / "journal.json").read_text())["status"] == "completed"
    ((_, undone),) = events(folder_of(tmp_path), UndoEnded)
    assert undone.undone and undone.detail.startswith("rollbacks played: 1")
    assert found["steady state after"].verdict is Verdict.PASS
    assert recompute(folder_of(tmp_path)).outcome == "completed"
    notes = [event.text for _, event in events(folder_of(tmp_path), Noted)]
    assert notes == ["the hypothesis is met", "look: succeeded", "untouch: succeeded"]


def test_it_does_not_go_on_unguarded(target, tmp_path):
    chaos = run(
        tmp_path,
        {
            "title": "Unguarded",
            "controls": [guard(target.url)],
            "method": [shell("wait", "touch began; sleep 60"), shell("never", "touch never")],
            "rollbacks": [MEND],
        },
        "--rollback-strategy=always",
    )
    wait_for(lambda: (tmp_path / "began").exists())
    hosts = [r.event for r in read_records(folder_of(tmp_path)).records if isinstance(r.event, HostStarted)]
    os.kill(next(host.pid for host in hosts if host.host == "companion"), signal.SIGKILL)
    chaos.ends(30)
    assert not (tmp_path / "never").exists()
    assert read_trace(folder_of(tmp_path)).faults == ()


def test_an_action_in_c_is_killed_and_undone_without_chaos(target, tmp_path):
    """Python runs no signal handler inside one long call into C: only the process can be killed."""
    (tmp_path / "stuck.py").write_text(
        "import hashlib, pathlib\n"
        "def break_it():\n"
        "    pathlib.Path('broken').touch()\n"
        "    hashlib.pbkdf2_hmac('sha256', b'x', b'y', 400_000_000)\n"
    )
    chaos = run(
        tmp_path,
        {
            "title": "Stuck in C",
            "controls": [guard(target.url, patience="1s")],
            "method": [python("break", "stuck", "break_it")],
            "rollbacks": [MEND],
        },
    )
    chaos.ends()
    assert chaos.process.returncode == -signal.SIGKILL
    wait_for(lambda: has(tmp_path, RunEnded))
    folder = folder_of(tmp_path)
    wait_for(lambda: (folder / "report.html").exists() and (folder / "findings.json").exists())
    assert (tmp_path / "mended").exists() and not (tmp_path / "broken").exists()
    found = whole(folder)
    (halted_ns, _), *_ = events(folder, Halted)
    (undone_ns, undone), *_ = events(folder, UndoEnded)
    assert undone.undone and undone_ns - halted_ns < 15_000_000_000
    assert any("chaos did not end within 1 s" in event.text for _, event in events(folder, Noted))
    assert events(folder, KillAsked) and not events(folder, RunnerLost)
    assert found["no stop condition was breached"].verdict is Verdict.FAIL


def test_chaos_killed_is_undone_and_recorded(target, tmp_path):
    """Chaos Toolkit alone leaves the fault, the child, and no journal."""
    chaos = run(
        tmp_path,
        {
            "title": "Killed",
            "controls": [control("evidence", {})],
            "method": [shell("break", "touch broken; sleep 60")],
            "rollbacks": [shell("fails", "exit 3"), MEND],
        },
    )
    wait_for(lambda: (tmp_path / "broken").exists() and has(tmp_path, StepStarted))
    os.kill(chaos.process.pid, signal.SIGKILL)
    chaos.ends()
    wait_for(lambda: has(tmp_path, RunEnded))
    folder = folder_of(tmp_path)
    wait_for(lambda: (folder / "report.html").exists())
    assert not (tmp_path / "broken").exists()
    found = whole(folder)
    ((_, undone),) = events(folder, UndoEnded)
    assert (undone.undone, undone.detail) == (False, "fails: exit 3")
    assert found["no fault is left"].verdict is Verdict.FAIL
    assert recompute(folder).outcome == "crashed"


def test_the_ledger_counts_what_is_lost(target, tmp_path):
    chaos = run(
        tmp_path,
        {
            "title": "Lose writes",
            "controls": [
                guard(target.url, stop_conditions=[{"silence": "30s"}]),
                control("evidence", {"service": "orders", "objectives": [
                    {"service": "orders", "measured_by": "users", "rto": "30s", "rpo": "5s"}]}),
            ],
            "method": [
                python("begin", "gameday.chaostoolkit.actions", "start_ledger", writer="http",
                       url=f"{target.url}/orders", every="100ms"),
                shell("before", "sleep 2"),
                shell("break", "touch broken; sleep 1.5; rm broken; sleep 1"),
                python("end", "gameday.chaostoolkit.actions", "stop_ledger"),
            ],
        },
        "--rollback-strategy=always",
    )  # fmt: skip
    said = chaos.ends()
    assert chaos.process.returncode == 0, said
    found = whole(folder_of(tmp_path))
    numbers = dict(found["RPA orders"].numbers)
    assert numbers["lost"] == 3 and numbers["acked"] > 10
    assert found["RPA orders"].interval is not None
    assert "3 of" in found["RPA orders"].observed
    assert target.rows == []  # What was written for the measurement is gone.


def test_nothing_is_injected_without_a_record(target, tmp_path):
    (tmp_path / "runs").write_text("no folder\n")
    chaos = run(
        tmp_path,
        {
            "title": "No record",
            "controls": [guard(target.url)],
            "method": [shell("break", "touch broken")],
            "rollbacks": [],
        },
    )
    assert "gameday: the run folder" in chaos.ends()
    assert not (tmp_path / "broken").exists()


def test_chaos_validate_says_what_is_wrong(tmp_path):
    experiment = {
        "title": "Wrong", "description": "x", "method": [],
        "controls": [guard("http://127.0.0.1:1", patience="soon", stop_conditions=[{"probe": "user", "bad": "twice"}])],
    }  # fmt: skip
    (tmp_path / "it.json").write_text(json.dumps(experiment))
    chaos = Chaos(tmp_path, "validate", "it.json")
    said = chaos.ends()
    assert chaos.process.returncode == 1
    assert "patience: 'soon' is no duration" in said and "Traceback" not in said


def test_chaos_discover_finds_ours(tmp_path):
    chaos = Chaos(tmp_path, "discover", "gameday", "--no-install")
    said = chaos.ends()
    found = json.loads((tmp_path / "discovery.json").read_text())
    assert found["extension"]["name"] == "gameday", said
    names = {(item["type"], f"{item['mod']}.{item['name']}") for item in found["activities"]}
    assert ("action", "gameday.chaostoolkit.actions.start_ledger") in names
    assert ("action", "gameday.actions.postgres.kill") in names
    assert ("probe", "gameday.actions.postgres.is_down") in names
    assert not any(name.startswith("gameday.actions.faults.") for _, name in names)
