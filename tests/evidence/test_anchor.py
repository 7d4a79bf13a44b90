"""A run is in the register and stamped before it begins, and its end is entered however it ends."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import replace

import pytest

from gameday.errors import Refused
from gameday.evidence.note import parse
from gameday.history.codec import genesis
from gameday.history.events import RunStarted
from gameday.history.read import read_records, roots_of
from gameday.history.timestamped import TimeStamped
from gameday.hosts.stamping import stamp
from gameday.plan.keeping import Keeping
from gameday.plan.load import load_plan
from gameday.runner.anchor import anchor, enter_refusal, register_of
from gameday.runner.sealing import seal
from tests.drills import ROOT, SHORT, Run, make_project
from tests.evidence.sealed import by_hand
from tests.tsa import authority, openssl

NOBODY = "http://127.0.0.1:9/tsr"


@pytest.fixture(scope="module")
def plan():
    return load_plan(ROOT / "experiments" / "primary-loss.yaml")


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "runs" / "r1"
    folder.mkdir(parents=True)
    return folder


def test_the_start_is_entered_before_anything_is_recorded(plan, run_dir, tmp_path):
    found = anchor(run_dir, plan, tmp_path, Keeping())
    checkpoint = (run_dir / "register" / "at-start").read_bytes()
    assert found.roots.register_sha256 == hashlib.sha256(checkpoint).hexdigest()
    assert found.roots.start_token_sha256 == "" and not found.missing
    assert parse(checkpoint).size == 1
    assert json.loads((run_dir / "time" / "start.json").read_bytes()) == {
        "kind": "gameday-start-v1",
        "plan_sha256": found.roots.plan_sha256,
        "register_sha256": found.roots.register_sha256,
        "run": "r1",
    }
    [leaf] = register_of(tmp_path, Keeping()).leaves()
    assert (leaf["kind"], leaf["service"], leaf["drill_kind"]) == ("started", "orders", "dr")
    for _ in range(2):  # Said twice, entered once.
        enter_refusal(run_dir, plan, "password=hunter22 was wrong")
    leaves = register_of(tmp_path, Keeping()).leaves()
    assert [leaf["kind"] for leaf in leaves] == ["started", "refused"]
    assert "hunter22" not in json.dumps(leaves)


def test_a_stamp_that_the_policy_requires_refuses_and_leaves_its_trace(plan, run_dir, tmp_path):
    keeping = Keeping(stamp_url=NOBODY, stamps_required=True)
    found = anchor(run_dir, plan, tmp_path, keeping)
    with pytest.raises(Refused, match="requires a time stamp") as refused:
        found.check()
    assert refused.value.exit_code == 3


def test_a_stamp_that_is_missed_is_said_to_be_missing(plan, run_dir, tmp_path):
    found = anchor(run_dir, plan, tmp_path, Keeping(stamp_url=NOBODY))
    assert NOBODY in found.missing and "refused" in found.missing
    assert not (run_dir / "time" / "start.tsr").exists()


def test_a_register_that_cannot_be_written_refuses(plan, run_dir, tmp_path):
    (tmp_path / "register").write_text("in the way")
    with pytest.raises(Refused, match="cannot be written"):
        anchor(run_dir, plan, tmp_path, Keeping())


def test_a_token_of_a_real_authority_holds_by_openssl(tmp_path):
    with authority(tmp_path / "tsa") as url:
        found = stamp(b"what is stamped\n", url)
        gone = stamp(b"x", url.replace("http://", "https://"), 5.0)
    assert not found.missing and found.utc
    assert gone.missing and not gone.token
    (tmp_path / "data").write_bytes(b"what is stamped\n")
    (tmp_path / "token").write_bytes(found.token)
    said = openssl(
        "ts",
        "-verify",
        "-data",
        tmp_path / "data",
        "-in",
        tmp_path / "token",
        "-CAfile",
        tmp_path / "tsa" / "ca.pem",
    )
    assert b"OK" in said


@pytest.mark.slow
def test_a_drill_is_stamped_from_its_start_to_its_end(lab, tmp_path):
    """The chain grows from the register and the token, and later tokens cover what they say."""
    project = make_project(tmp_path / "p", **SHORT)
    with authority(tmp_path / "tsa") as url:
        (project / "policy.yaml").write_text(
            f"environments: {{lab: {{modules: ['*'], providers: [python, process, http]}}}}\n"
            f"time_stamps: {{url: '{url}', required: true}}\n"
        )
        run = Run(project, "primary-loss")
        code, out = run.end()
    assert code == 0, out
    trace = read_records(run.folder)
    assert not trace.faults
    first = trace.first(RunStarted)
    line = (run.folder / "history.jsonl").read_bytes().splitlines()[0]
    assert json.loads(line)["prev"] == genesis(
        replace(roots_of(first), register_sha256=sha(run.folder / "register" / "at-start"))
    )
    assert first.start_token_sha256 == sha(run.folder / "time" / "start.tsr")
    stamps = [record.event for record in trace.records if isinstance(record.event, TimeStamped)]
    assert len(stamps) >= 4 and all(item.token_sha256 for item in stamps), stamps
    lines = (run.folder / "history.jsonl").read_bytes().splitlines()
    for item in stamps:
        assert item.head_sha256 == hashlib.sha256(lines[item.covers_seq - 1]).hexdigest()
        name = run.folder / "time" / f"head-{item.covers_seq}"
        assert name.with_suffix(".txt").read_text() == f"{item.head_sha256}\n"
        assert item.token_sha256 == sha(name.with_suffix(".tsr"))
        openssl("ts", "-verify", "-data", name.with_suffix(".txt"), "-in", name.with_suffix(".tsr"),
                "-CAfile", tmp_path / "tsa" / "ca.pem")  # fmt: skip
    openssl("ts", "-verify", "-data", run.folder / "time" / "start.json", "-in",
            run.folder / "time" / "start.tsr", "-CAfile", tmp_path / "tsa" / "ca.pem")  # fmt: skip
    leaves = register_of(project, Keeping()).leaves()
    assert [leaf["kind"] for leaf in leaves] == ["started", "finished"]
    assert leaves[1]["verdict"] == "pass" and leaves[1]["events"] == len(lines)
    assert leaves[1]["head"] == hashlib.sha256(lines[-1]).hexdigest()


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_a_runner_that_dies_leaves_its_end_in_the_register(lab, tmp_path):
    """The watchdog enters `crashed`, and the run is sealed like any other."""
    project = make_project(tmp_path, **SHORT)
    run = Run(project, "primary-loss")
    run.wait_for(lambda kind, _: kind == "StepStarted")
    run.kill()
    run.wait_rescued()
    register = register_of(project, Keeping())
    give_up = time.monotonic() + 20
    while len(register.leaves()) < 2:
        assert time.monotonic() < give_up, run.explain()
        time.sleep(0.05)
    run.end()
    assert [leaf["kind"] for leaf in register.leaves()] == ["started", "crashed"]
    assert register.leaves()[1]["events"] == len((run.folder / "history.jsonl").read_bytes().splitlines())
    sealed = seal(run.folder)
    done = by_hand(sealed.bundle, {"RUNNER": os.environ["GAMEDAY_KEY"].replace(".key", ".pub")})
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.slow
def test_a_drill_without_the_stamp_it_needs_is_refused_with_a_record(lab, tmp_path):
    project = make_project(tmp_path, **SHORT)
    (project / "policy.yaml").write_text(
        "environments: {lab: {modules: ['*'], providers: [python, process, http]}}\n"
        f"time_stamps: {{url: '{NOBODY}', required: true}}\n"
    )
    run = Run(project, "primary-loss")
    code, out = run.end()
    assert code == 3 and "requires a time stamp at the start" in out, out
    assert [kind for kind, _ in run.kinds()][0] == "RunStarted"
    assert run.kinds()[-1][1]["outcome"] == "refused"
    leaves = register_of(project, Keeping()).leaves()
    assert [leaf["kind"] for leaf in leaves] == ["started", "refused"]
    assert "requires a time stamp" in leaves[1]["reason"]
