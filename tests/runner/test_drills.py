"""Whole drills on the real lab, as processes: a pass, a halt, Ctrl-C, SIGTERM, two at once, mistakes."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time

import pytest

from gameday.actions import http
from gameday.errors import Refused
from gameday.history.events import TargetsResolved
from gameday.runner.arming import names_of
from gameday.runner.lease import SharedLease
from gameday.runner.machinelease import MachineLease
from tests.drills import ROOT, SHORT, Run, make_project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"), **SHORT)


@pytest.mark.slow
def test_a_fault_that_is_there_already_refuses_and_nothing_is_touched(project, lab):
    """The lab of another project counts as whole only without toxics, so a stranger's fault is looked for too."""
    http.ask(
        "POST", lab["lab.toxiproxy"] + "/proxies/users/toxics", {"name": "gameday-latency", "type": "latency"}
    )
    run = Run(project, "latency")
    code, out = run.end()
    assert code == 3, out
    assert "toxic gameday-latency on proxy users" in out


@pytest.mark.slow
def test_two_drills_are_kept_apart_by_a_shared_lease(project, lab, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"environments: {{lab: {{modules: ['*']}}}}\nleases: {tmp_path}\nlease_expires: 2s\n")
    run = Run(project, "latency", "--policy", str(policy))
    run.wait_for(lambda kind, data: kind == "Armed")
    lease = next(tmp_path.glob("*.lease"))
    system = json.loads(lease.read_text())["system"]
    assert system.startswith("lab/gameday-lab-")
    elsewhere = SharedLease(tmp_path, system, holder="o.bs", run="theirs", expires_s=2.0)
    with pytest.raises(Refused, match="another drill holds this target's lease"):
        elsewhere.take()  # Another machine has no part in our local lease.
    theirs = json.loads(lease.read_text()) | {"token": "stranger", "holder": "stranger"}
    lease.with_suffix(".new").write_text(json.dumps(theirs))
    lease.with_suffix(".new").replace(lease)
    run.wait_for(lambda kind, data: kind == "Halted" and data["by"] == "lease")
    code, out = run.end()
    assert "was taken by" in out and code in (1, 4), out
    assert whole(lab)
    lease.unlink()
    elsewhere.take()
    code, out = Run(project, "latency", "--policy", str(policy)).end()
    elsewhere.release()
    assert code == 3 and "another drill holds this target's lease" in out, out


def is_step(name):
    return lambda kind, data: kind == "StepStarted" and name in data["step"]


def findings(run):
    return json.loads((run.folder / "findings.json").read_text())


def took_s(run, step):
    """How long a step took, from its record to the record of its end."""
    at_ns = {
        type(record.event).__name__: record.at_ns
        for record in run.trace().records
        if getattr(record.event, "step", "").endswith(step)
        and type(record.event).__name__ in ("StepStarted", "StepEnded")
    }
    return (at_ns["StepEnded"] - at_ns["StepStarted"]) / 1e9


def whole(lab):
    return http.lab(lab, "GET", "/state")["whole"]


def test_the_main_drill_passes_with_intervals_and_leaves_the_lab_whole(project, lab):
    run = Run(project, "primary-loss")
    code, out = run.end()
    assert code == 0, out
    found = findings(run)
    assert found["verdict"] == "pass" and found["outcome"] == "completed"
    assert 0 < found["rta_s"]["min"] < found["rta_s"]["max"] < 5
    assert found["rta_s"]["max"] - found["rta_s"]["min"] <= 2 * (0.1 + 0.4)
    # An asynchronous standby may lack the last write or two; more would show in the time.
    assert found["ledger"]["lost"] <= 5 and found["ledger"]["acked"] > 20
    assert found["rpa_s"]["min"] <= found["rpa_s"]["max"] < 0.5
    assert "RTA orders" in out and "DEMONSTRATED" in out
    report = (run.folder / "report.html").read_text()
    assert "<svg" in report and "<script" not in report
    assert not run.trace().faults
    kinds = run.kinds()
    policy = next(data for kind, data in kinds if kind == "PolicyApplied")
    stored = (run.folder / "policy.json").read_bytes().strip()
    assert policy["file"] == "no policy file" and policy["sha256"] == hashlib.sha256(stored).hexdigest()
    assert ["ttl", "2m", "plan"] in policy["values"]
    targets = next(data for kind, data in kinds if kind == "TargetsResolved")
    assert targets["targets"] == ["node:a"] and targets["population"] == 2
    assert ["node:b", "outside the selector region=a: its region is 'b'"] in targets["excluded"]
    checks = dict(c[:2] for k, d in kinds if k == "Preflighted" for c in d["checks"])
    assert checks["fault 'primary database dies'"] == "ok" and checks["probe place-order"] == "skip"
    order = [kind for kind, _ in kinds]
    assert order.index("PolicyApplied") < order.index("Preflighted") < order.index("Armed")
    assert whole(lab)


@pytest.mark.slow
def test_a_lagging_standby_shows_as_lost_writes(project, lab):
    run = Run(project, "replication-lag")
    code, out = run.end()
    assert code == 0, out
    found = findings(run)
    assert found["ledger"]["lost"] > 3
    # The link withholds 200 ms; whatever the old primary acknowledged while it was dying is lost as well.
    dying_s = took_s(run, "primary-database-dies")
    assert found["rpa_s"]["min"] <= 0.2 + dying_s + 0.05
    assert 0.15 <= found["rpa_s"]["max"] < 0.5 + dying_s
    assert whole(lab)


def test_a_breach_halts_undoes_and_fails(project, lab):
    run = Run(project, "latency")
    code, out = run.end()
    assert code == 1, out
    found = findings(run)
    assert found["outcome"] == "halted" and found["halted_by"] == "stop condition"
    residual = next(f for f in found["findings"] if f["name"] == "no fault is left")
    assert residual["verdict"] == "pass"
    assert whole(lab)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupt_halts_undoes_and_leaves_evidence(project, lab, number):
    run = Run(project, "primary-loss")
    run.wait_for(is_step("notice-that-orders"))
    run.kill(number)
    run.kill(number)
    code, out = run.end()
    assert code == 4, out
    found = findings(run)
    assert found["outcome"] == "halted" and found["halted_by"].startswith("operator")
    assert found["verdict"] == "unknown"
    assert (run.folder / "report.html").exists()
    undone = [d["step"] for k, d in run.kinds() if k == "UndoEnded" and d["undone"]]
    assert undone == ["1-primary-database-dies"]
    assert whole(lab)


def test_an_interrupt_after_the_point_of_no_return_completes_and_says_who_is_needed(project, lab):
    run = Run(project, "primary-loss")
    run.wait_for(is_step("hold"))
    run.kill(signal.SIGINT)
    code, out = run.end()
    assert code == 5, out
    assert "A PERSON IS NEEDED" in out
    state = http.lab(lab, "GET", "/state")
    assert state["whole"] and state["users_path"] == "b"


@pytest.mark.slow
def test_halt_note_and_mark_work_from_another_terminal(project, lab):
    run = Run(project, "primary-loss")
    run.wait_for(is_step("hold"))
    for words in (["note", "pager went off", str(run.folder)], ["mark", "detected", str(run.folder), "--by", "a.chen"],
                  ["halt", str(run.folder), "--reason", "real incident"]):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "gameday", *words], cwd=project, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    run.end()
    kinds = run.kinds()
    assert any(k == "Noted" and d["mark"] == "detected" and "a.chen" in d["by"] for k, d in kinds)
    assert any(k == "Halted" and d["reason"] == "real incident" for k, d in kinds)


@pytest.mark.slow
def test_two_drills_on_one_target_are_kept_apart(project, lab):
    run = Run(project, "latency")
    run.wait_for(lambda kind, data: kind == "Armed")
    second = Run(project, "latency")
    code, out = second.end()
    assert code == 3
    assert "another drill is running against this target" in out
    assert not second.folder.exists()
    run.kill(signal.SIGINT)
    run.end()


@pytest.mark.slow
def test_the_safety_lever_refuses_and_halts(project, lab):
    def gameday(*words):
        return subprocess.run(
            [sys.executable, "-m", "gameday", *words], cwd=project, capture_output=True, text=True
        )

    run = Run(project, "primary-loss")
    run.wait_for(lambda kind, data: kind == "Armed")
    assert gameday("lever", "engage", "--reason", "freeze", "--by", "m").returncode == 0
    try:
        code, out = run.end()
        assert code == 4, out
        assert "freeze" in out
        refused = gameday("run", "experiments/latency.yaml", "--plain")
        assert refused.returncode == 3 and "engaged by m" in refused.stderr
    finally:
        gameday("lever", "release")


@pytest.mark.slow
def test_a_killed_watchdog_is_replaced_or_the_run_halts(project, lab):
    run = Run(project, "primary-loss")
    run.wait_for(is_step("hold"))
    import os

    pid = next(d["pid"] for k, d in run.kinds() if k == "HostStarted" and d["role"] == "watchdog")
    os.kill(pid, signal.SIGKILL)
    code, out = run.end()
    kinds = run.kinds()
    again = [d for k, d in kinds if k == "HostStarted" and d["role"] == "watchdog"]
    assert len(again) == 2 or any(k == "Halted" for k, d in kinds), out
    assert whole(lab)


def test_a_stopped_runner_is_fenced_and_undone(project, lab):
    run = Run(project, "latency")
    run.wait_for(lambda kind, data: kind == "StepEnded")
    run.kill(signal.SIGSTOP)
    lease = MachineLease(names_of(json.loads(run.trace().first(TargetsResolved).identity), lab["lab.url"]))
    run.wait_for(lambda kind, data: kind == "RunnerLost")
    with pytest.raises(Refused, match="another drill"):
        lease.take()  # Until all is undone, nobody else drills it.
    run.wait_rescued()
    run.process.wait(5)
    assert run.process.returncode == -signal.SIGKILL
    give_up = time.monotonic() + 5
    while not whole(lab):
        assert time.monotonic() < give_up
        time.sleep(0.05)


@pytest.mark.slow
def test_recover_finishes_what_both_dead_left_behind(project, lab):
    import os

    run = Run(project, "latency")
    run.wait_for(lambda kind, data: kind == "StepEnded")
    pid = next(d["pid"] for k, d in run.kinds() if k == "HostStarted" and d["role"] == "watchdog")
    run.kill(signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    run.kill(signal.SIGKILL)
    run.end()
    assert not whole(lab)
    shown = subprocess.run(
        [sys.executable, "-m", "gameday", "runs"], cwd=project, capture_output=True, text=True
    )
    done = subprocess.run(
        [sys.executable, "-m", "gameday", "recover", str(run.folder)],
        cwd=project,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 4, done.stdout + done.stderr
    assert "crashed" in done.stdout
    assert whole(lab)
    assert shown.returncode == 0
    again = subprocess.run(
        [sys.executable, "-m", "gameday", "recover", str(run.folder)],
        cwd=project,
        capture_output=True,
        text=True,
    )
    assert again.returncode == 3 and "nothing is left to undo" in again.stderr
