"""A runbook by hand and at a table: the same steps, other hands, and nothing that could pass for a test."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from gameday.cli.main import main
from gameday.evidence.casefile import open_case
from gameday.plan.byhand import BY_HAND, by_hand, is_table_top, mode_of, planned_ns, table_top
from gameday.plan.load import load_plan
from gameday.plan.model import StepKind
from gameday.plan.stored import plan_digest
from tests.commands import in_this_process
from tests.drills import ROOT, SHORT, Run, make_project
from tests.people.keys import People

PLAN = load_plan(ROOT / "experiments" / "primary-loss.yaml")


def test_by_hand_people_do_the_runbooks_and_owe_the_same_undos():
    hand = by_hand(PLAN)
    assert mode_of(hand) == BY_HAND and plan_digest(hand) != plan_digest(PLAN)
    for old, new in zip(PLAN.steps, hand.steps, strict=True):
        assert (new.undo, new.in_place, new.supersedes, new.target, new.complete, new.point_of_no_return) == (
            old.undo, old.in_place, old.supersedes, old.target, old.complete, old.point_of_no_return,
        )  # fmt: skip
        is_hand = old.runbook is not None and old.kind is StepKind.FAILOVER
        assert (new.kind is StepKind.MANUAL and new.do is None) == is_hand
        assert planned_ns(hand, new) == old.deadline_ns
        if is_hand:
            assert new.instructions.startswith("By hand: python -m gameday.actions ")
    assert (
        by_hand(load_plan(ROOT / "experiments" / "latency.yaml")).about
        == load_plan(ROOT / "experiments" / "latency.yaml").about
    )


def test_a_plan_may_say_which_runbook_is_done_by_hand(tmp_path):
    project = make_project(tmp_path / "project")
    path = project / "experiments" / "primary-loss.yaml"
    old = "- runbook: runbooks/promote-standby.yaml"
    path.write_text(path.read_text().replace(old, f"{old}\n    mode: by-hand\n   "))
    plan = load_plan(path)
    assert mode_of(plan) == BY_HAND
    kinds = {step.runbook: {s.kind for s in plan.steps if s.runbook == step.runbook} for step in plan.steps}
    assert kinds["runbooks/promote-standby.yaml"] == {StepKind.MANUAL}
    assert StepKind.MANUAL not in kinds["runbooks/failback.yaml"]


def test_at_a_table_nothing_is_left_that_could_touch_anything():
    table = table_top(PLAN)
    assert (
        is_table_top(table) and table.title.startswith("TABLE-TOP: ") and len(table.steps) == len(PLAN.steps)
    )
    assert not (table.load or table.probes or table.ledgers or table.objectives or table.stop_conditions)
    assert table.target.environment == "table-top" and not table.target.identity_url
    for step in table.steps:
        assert step.kind is StepKind.MANUAL and "TABLE-TOP" in step.instructions
        assert step.do is step.undo is step.in_place is None and not step.undo_by_hand
    assert plan_digest(table) != plan_digest(PLAN)


def test_a_runbook_is_a_page_for_the_wiki(tmp_path):
    project = make_project(tmp_path / "project")
    done = in_this_process(project, "runbook", "runbooks/promote-standby.yaml")
    assert done.returncode == 0 and done.stdout.startswith("# Promote the standby\n")
    assert "| 3 | promote b | gameday, or by hand |" in done.stdout and "point of no return" in done.stdout
    book = project / "runbooks" / "hostile.yaml"
    book.write_text(
        'title: "<script>x</script>"\nsteps: [{manual: "a|b", instructions: "=x\\n# y", timeout: 5m}]\n'
    )
    said = in_this_process(project, "runbook", "runbooks/hostile.yaml").stdout
    assert "# \\<script\\>" in said and r"a\|b" in said and "\n# y" not in said
    html = in_this_process(project, "runbook", "runbooks/hostile.yaml", "--as", "html").stdout
    assert "<script" not in html
    wrong = in_this_process(project, "runbook", "experiments/latency.yaml")
    assert wrong.returncode == 2 and "experiments/latency.yaml:" in wrong.stderr


def walk(run, project, timeout_s=200):
    """Say `done` to every step that waits, until the run ends."""
    give_up, said = time.monotonic() + timeout_s, set()
    while run.process.poll() is None:
        assert time.monotonic() < give_up, run.explain()
        for kind, data in run.kinds():
            if kind == "StepStarted" and data["step"] not in said:
                words = [
                    "done",
                    str(run.folder),
                    "--step",
                    data["step"],
                    "--note",
                    "as the page says",
                    "--by",
                    "a.chen",
                ]
                done = in_this_process(project, *words)
                if done.returncode == 0:
                    said.add(data["step"])
        time.sleep(0.05)
    return said


def sealed(project, run):
    """Seal a run and verify its bundle as an auditor does; return what the verifier computed anew."""
    done = in_this_process(project, "seal", str(run.folder))
    assert done.returncode == 0, done.stderr
    bundle = run.folder / "bundle"
    (project / "runner.pub").write_bytes((bundle / "attest" / "runner.pub").read_bytes())
    (project / "trust.yaml").write_text("runners: [runner.pub]\n")
    words = [sys.executable, "-m", "gameday", "verify", str(bundle), "--trust", str(project / "trust.yaml")]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert said.returncode == 4, said.stdout + said.stderr  # Nobody has stamped its time.
    lines = {line.split()[0]: line for line in said.stdout.splitlines() if line[:1].isalpha()}
    for name in ("integrity", "authenticity", "completeness", "recomputation"):
        assert lines[name].split()[1] == "pass", lines[name]
    return lines["recomputation"]


def test_what_people_carry_out_by_hand_is_approved_as_such(tmp_path):
    project = make_project(tmp_path / "project")
    path = project / "experiments" / "primary-loss.yaml"
    path.write_text(f"approvals: {{before_faults: [{{role: approver}}]}}\n{path.read_text()}")
    people = People(tmp_path / "keys", project)
    told = {}
    for more in ((), ("--by-hand",)):
        done = people.approve("experiments/primary-loss.yaml", "a.chen", *more)
        assert done.returncode == 0, done.stderr
        statements = [json.loads(p.read_text()) for p in (project / "approvals").glob("*.json")]
        told[more] = {one["subject"]["plan_sha256"] for one in statements}
    plan = load_plan(path)
    assert told[()] == {plan_digest(plan)}
    assert told["--by-hand",] == {plan_digest(by_hand(plan))}  # A later one of the same person replaces it.


def test_an_approval_is_not_written_through_a_link(tmp_path):
    project = make_project(tmp_path / "project")
    path = project / "experiments" / "primary-loss.yaml"
    path.write_text(f"approvals: {{before_faults: [{{role: approver}}]}}\n{path.read_text()}")
    people = People(tmp_path / "keys", project)
    assert people.approve("experiments/primary-loss.yaml", "a.chen").returncode == 0
    (file,) = (project / "approvals").glob("*.json")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    file.unlink()
    file.symlink_to(elsewhere)
    assert people.approve("experiments/primary-loss.yaml", "a.chen").returncode == 0
    assert elsewhere.read_text() == "precious"
    assert file.is_file() and not file.is_symlink()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_table_top_needs_no_target_tests_nothing_and_says_so(tmp_path):
    project = make_project(tmp_path / "project")
    (project / "policy.yaml").write_text("environments: {lab: {modules: ['*']}}\n")
    run = Run(project, "primary-loss", "--table-top", env={"GAMEDAY_LAB_DIR": str(tmp_path / "none")})
    said = walk(run, project)
    code, out = run.end(60)
    assert code == 4, out
    assert len(said) == len(PLAN.steps) and "TABLE-TOP" in out
    document = json.loads((run.folder / "findings.json").read_text())
    assert document["verdict"] == "not_tested" and document["outcome"] == "completed"
    found = {f["name"]: f for f in document["findings"]}
    assert (
        found["objective orders"]["verdict"] == "not_tested"
        and found["objective orders"]["limit"] == "RTO 30 s, RPO 1 s"
    )
    assert found["steps by hand"]["observed"].startswith(f"{len(PLAN.steps)} done")
    for name in ("plan.json", "report.html", "history.jsonl"):
        assert "TABLE-TOP" in (run.folder / name).read_text() or name == "history.jsonl"
    assert not {kind for kind, _ in run.kinds()} & {"LoadAsked", "UndoStarted", "LedgerAsked"}
    assert "not_tested" in sealed(project, run)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_by_hand_the_same_runbooks_bring_a_real_pair_back(tmp_path, lab):
    project = make_project(tmp_path / "project", **SHORT, **{"for: 25s, then: halt": "for: 200s, then: halt"})
    run = Run(project, "primary-loss", "--by-hand")
    hand, done = by_hand(load_plan(project / "experiments" / "primary-loss.yaml")), set()
    values = [f"{key}={value}" for key, value in lab.items()]
    give_up = time.monotonic() + 300
    while run.process.poll() is None:
        assert time.monotonic() < give_up, run.explain()
        for kind, data in run.kinds():
            step = next((s for s in hand.steps if kind == "StepStarted" and s.id == data["step"]), None)
            if step is None or step.kind is not StepKind.MANUAL or step.id in done:
                continue
            words = step.instructions.removeprefix("By hand: python -m gameday.actions ").split()
            acted = subprocess.run(
                [sys.executable, "-m", "gameday.actions", *words, *values],
                cwd=ROOT,
                capture_output=True,
                text=True,
            )
            assert acted.returncode == 0, (step.name, acted.stderr)
            assert in_this_process(project, "done", str(run.folder), "--step", step.id).returncode == 0
            done.add(step.id)
        time.sleep(0.05)
    code, out = run.end(60)
    document = json.loads((run.folder / "findings.json").read_text())
    found = {f["name"]: f for f in document["findings"]}
    assert document["outcome"] == "completed" and code in (0, 1), out  # Slow hands may miss the RTO.
    assert found["steps by hand"]["verdict"] == "pass" and found["no fault is left"]["verdict"] == "pass"
    assert "took_ns" in json.dumps(found["steps by hand"])
    assert main(["writeup", str(run.folder), "-o", str(tmp_path / "w.md")]) == 0
    assert open_case(run.folder).plan.about == hand.about
    sealed(project, run)
