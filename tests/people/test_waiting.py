"""Real drills that wait for people: signed live, refused, halted, done by hand, killed while they wait."""

from __future__ import annotations

import json
import time

import pytest

from gameday.actions import http
from gameday.runner.listing import outcome_of
from tests.drills import SHORT, Run, make_project
from tests.people.keys import People

GATE = "approvals: {before_faults: [{role: approver, live: true}], timeout: %s}\n"
HAND = """\
  - manual: tell the support desk
    who: the observer
    instructions: call 1234
    timeout: %s
    undo: tell the support desk that it is over
    target: support
    undo_timeout: %s
"""


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("project"), **SHORT)
    return People(tmp_path_factory.mktemp("keys"), project)


def drill(people, name, *, top="", before="", after=""):
    """A drill of a slow users' path that ends by itself after a second, with people in it."""
    text = (people.project / "experiments" / "latency.yaml").read_text()
    head, steps = text.split("steps:\n")
    steps = steps.replace("latency_ms: 350, jitter_ms: 50", "latency_ms: 20").replace(
        "hold: 15s", "hold: 300ms"
    )
    path = people.project / "experiments" / f"{name}.yaml"
    path.write_text(f"{head}{top}steps:\n{before}{steps}{after}")
    return Run(people.project, name)


def whole(lab):
    return http.lab(lab, "GET", "/state")["whole"]


def wait_whole(lab, run):
    give_up = time.monotonic() + 20
    while not whole(lab):
        assert time.monotonic() < give_up, run.explain()
        time.sleep(0.02)


def kinds(run, kind):
    return [data for found, data in run.kinds() if found == kind]


def is_step(part):
    return lambda kind, data: kind == "StepStarted" and part in data["step"]


def is_undo(part):
    return lambda kind, data: kind == "UndoStarted" and part in data["step"]


def test_a_live_signature_and_a_step_by_hand_carry_a_drill_through(people, lab):
    run = drill(people, "carried", top=GATE % "60s", before=HAND % ("60s", "60s"))
    run.wait_for(lambda kind, data: kind == "GateWaiting")
    assert not kinds(run, "StepStarted")
    stranger = people.approve(str(run.folder), "a.chen", key="mallory")
    assert stranger.returncode == 3 and "is not that of 'a.chen'" in stranger.stderr
    author = people.approve(str(run.folder), "r.ito")
    assert author.returncode == 3
    claim = people.approve(str(run.folder), "b.dee", "--unsigned")
    assert claim.returncode == 0 and "counts for nothing" in claim.stdout
    signed = people.approve(str(run.folder), "a.chen")
    assert signed.returncode == 0, signed.stderr
    assert "proxy:users, frozen" in signed.stderr and "still needed: nobody" in signed.stdout
    run.wait_for(is_step("tell-the-support"))
    done = people.gameday("done", str(run.folder), "--note", "they know", "--by", "o.bs")
    assert done.returncode == 0, done.stderr
    run.wait_for(is_undo("tell-the-support"), 60)
    assert people.gameday("done", str(run.folder), "--note", "they know that too").returncode == 0
    code, out = run.end()
    assert code == 0, out
    assert (
        "APPROVE   the start waits for 1 approver, live: `gameday approve --as NAME --role approver`" in out
    )
    assert "BY HAND   the observer: tell the support desk. call 1234; then say `gameday done" in out
    given = kinds(run, "ApprovalGiven")
    assert [(g["principal"], g["verified"]) for g in given] == [("b.dee", False), ("a.chen", True)]
    folder = run.folder / "approvals"
    assert (folder / "allowed_signers").exists() and (folder / f"{given[1]['file']}.sig").exists()
    kept = json.loads((folder / given[1]["file"]).read_text())
    assert kept["subject"]["run"] == run.folder.name and kept["subject"]["targets"] == ["proxy:users"]
    report = (run.folder / "report.html").read_text()
    assert given[1]["fingerprint"].replace("+", "&#43;") in report or given[1]["fingerprint"] in report
    assert "they know that too" in report and "within 1 min" in report and "as people say" in report
    assert whole(lab)


@pytest.mark.slow
def test_nobody_at_the_first_gate_is_a_refusal_and_nothing_is_injected(people, lab):
    run = drill(people, "refused", top=GATE % "1s")
    code, out = run.end()
    assert code == 3, out
    assert "nothing was injected" in out and "Traceback" not in out
    assert kinds(run, "RunEnded")[0]["outcome"] == "refused"
    assert not kinds(run, "StepStarted") and not kinds(run, "LoadAsked")
    late = people.approve(str(run.folder), "a.chen")
    assert late.returncode == 3 and "is over (refused)" in late.stderr
    assert whole(lab)


@pytest.mark.slow
def test_nobody_at_a_later_gate_halts_undoes_and_is_unknown(people, lab):
    gate = "  - approval: go on with it\n    roles: [commander]\n    timeout: 1s\n  - hold: 1s\n"
    run = drill(people, "later", after=gate)
    code, out = run.end()
    assert code == 4, out
    assert "1 commander did not sign" in out
    ended = [d for d in kinds(run, "UndoEnded") if d["undone"]]
    assert len(ended) == 1 and kinds(run, "RunEnded")[0]["outcome"] == "halted"
    assert whole(lab)


@pytest.mark.slow
def test_a_step_that_failed_by_hand_halts_and_its_undo_is_asked_for(people, lab):
    run = drill(people, "failed", after=HAND % ("60s", "60s"))
    run.wait_for(is_step("tell-the-support"))
    unsaid = people.gameday("failed", str(run.folder))
    assert unsaid.returncode == 2 and "--note is missing" in unsaid.stderr
    assert people.gameday("failed", str(run.folder), "--note", "nobody answers").returncode == 0
    run.wait_for(is_undo("tell-the-support"))
    assert people.gameday("done", str(run.folder), "--note", "left a message").returncode == 0
    code, out = run.end()
    assert code == 1, out
    assert "nobody answers" in out and whole(lab)


@pytest.mark.slow
def test_an_undo_by_hand_that_nobody_does_is_stuck_with_its_words_until_recovered(people, lab):
    run = drill(people, "stuck", before=HAND % ("60s", "1s"))
    run.wait_for(is_step("tell-the-support"))
    assert people.gameday("done", str(run.folder), "--note", "they know").returncode == 0
    code, out = run.end()
    assert code == 5, out
    assert "A PERSON IS NEEDED" in out and "by hand: tell the support desk that it is over" in out
    assert whole(lab)
    import subprocess
    import sys

    again = subprocess.Popen(
        [sys.executable, "-m", "gameday", "recover", str(run.folder)],
        cwd=people.project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    give_up = time.monotonic() + 40
    while len(kinds(run, "UndoStarted")) < 3:
        assert time.monotonic() < give_up and again.poll() is None, run.explain()
        time.sleep(0.01)
    said = people.gameday("done", str(run.folder), "--note", "did it")
    out, _ = again.communicate(timeout=60)
    assert said.returncode == 0, said.stderr
    assert again.returncode == 4, out
    assert "BY HAND: undo tell the support desk: tell the support desk that it is over" in out


@pytest.mark.slow
def test_a_runner_killed_at_its_first_gate_leaves_nothing(people, lab):
    run = drill(people, "gate-killed", top=GATE % "60s")
    run.wait_for(lambda kind, data: kind == "GateWaiting")
    killed(run, lab)
    assert not kinds(run, "StepStarted")


@pytest.mark.slow
def test_a_runner_killed_at_a_later_gate_is_undone(people, lab):
    gate = "  - approval: go on with it\n    timeout: 60s\n  - hold: 1s\n"
    run = drill(people, "later-killed", after=gate)
    run.wait_for(lambda kind, data: kind == "GateWaiting")
    killed(run, lab)
    assert [d["undone"] for d in kinds(run, "UndoEnded")] == [True]
    assert [d["passed"] for d in kinds(run, "GateEnded")] == [False]


@pytest.mark.slow
def test_a_runner_killed_in_a_manual_step_is_undone_and_the_watchdog_hears_people(people, lab):
    run = drill(people, "hand-killed", after=HAND % ("60s", "30s"))
    run.wait_for(is_step("tell-the-support"))
    run.kill()
    run.wait_for(is_undo("tell-the-support"))
    give_up = time.monotonic() + 10
    while (said := people.gameday("done", str(run.folder), "--note", "called them")).returncode:
        assert time.monotonic() < give_up, said.stderr
        time.sleep(0.05)
    run.wait_rescued()
    run.end()
    wait_whole(lab, run)
    undone = {d["step"] for d in kinds(run, "UndoEnded") if d["undone"]}
    assert len(undone) == 2, run.explain()
    assert kinds(run, "RunEnded")[-1]["stuck"] == [] and outcome_of(run.trace()) == "crashed"


def killed(run, lab):
    run.kill()
    run.wait_rescued()
    run.end()
    wait_whole(lab, run)
    trace = run.trace()
    assert not trace.faults and outcome_of(trace) == "crashed"


@pytest.mark.slow
def test_ctrl_c_at_a_gate_ends_the_waiting(people, lab):
    import signal

    run = drill(people, "interrupted", top=GATE % "60s")
    run.wait_for(lambda kind, data: kind == "GateWaiting")
    run.kill(signal.SIGINT)
    code, out = run.end()
    assert code == 4, out
    assert not kinds(run, "StepStarted") and whole(lab)
