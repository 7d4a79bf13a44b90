"""Coverage: every scenario has a row, a run that was dropped still counts, and what is overdue is first."""

from __future__ import annotations

import json

import pytest

from gameday.canonical import canonical
from gameday.cli.main import main
from gameday.errors import PlanError, RecordError
from gameday.evidence.programme import Drilled, Scenario, cover, from_register, from_runs
from gameday.evidence.tracking import Added, Assigned, Entry, fold
from gameday.plan.policyfile import load_policy

from .synthetic import halted, write_run

TODAY = "2026-11-24"


def drill(run, plan, day, end="finished", verdict="pass"):
    return Drilled(run, plan, "orders", "dr", f"{day}T10:00:00Z", end, verdict)


def rows_of(scenarios, drills, tracked=(), days=90):
    return cover(scenarios, drills, tracked, today=TODAY, retest_days=days)


def test_each_scenario_has_a_row_and_what_is_overdue_stands_first():
    scenarios = [Scenario(name, "orders", "dr") for name in ("fresh", "old", "never", "failed")]
    drills = [
        drill("1", "fresh", "2026-11-01"), drill("2", "old", "2026-08-01"),
        drill("3", "failed", "2026-10-01"), drill("4", "failed", "2026-11-20", verdict="fail"),
        drill("5", "retired", "2026-01-01"),
    ]  # fmt: skip
    rows = {row.scenario.plan: row for row in rows_of(scenarios, drills)}
    assert list(rows)[:2] == ["never", "old"]
    assert (rows["never"].is_overdue, rows["never"].last, rows["never"].due) == (True, None, "")
    assert (rows["old"].due, rows["old"].is_overdue) == ("2026-10-30", True)
    assert (rows["fresh"].due, rows["fresh"].is_overdue) == ("2027-01-30", False)
    assert (rows["failed"].last.verdict, rows["failed"].demonstrated) == ("fail", "2026-10-01")
    assert rows["retired"].is_gone and not rows["retired"].is_overdue


@pytest.mark.parametrize(
    "end, verdict",
    [
        ("halted", "pass"),
        ("crashed", "pass"),
        ("refused", ""),
        ("", ""),
        ("finished", "unknown"),
        ("finished", "fail"),
    ],
)
def test_only_a_drill_that_ran_to_its_end_and_passed_demonstrates(end, verdict):
    (row,) = rows_of([Scenario("p", "orders", "dr")], [drill("1", "p", "2026-11-23", end, verdict)])
    assert (row.demonstrated, row.is_overdue, row.runs) == ("", True, 1)


@pytest.mark.parametrize("days, overdue", [(23, False), (22, True)])
def test_a_demonstration_is_good_through_its_last_day(days, overdue):
    (row,) = rows_of([Scenario("p", "orders", "dr")], [drill("1", "p", "2026-11-01")], days=days)
    assert row.is_overdue is overdue


def test_open_findings_stand_beside_their_scenario():
    added = Added("r", "p", "orders", "RTA orders", "fail", "why", "high")
    tracked = fold(
        [Entry(1, "", "a", "F-1", added), Entry(2, "", "a", "F-1", Assigned("x", "2026-01-01", ""))]
    )
    (row,) = rows_of([Scenario("p", "orders", "dr")], [], tracked)
    assert ([item.id for item in row.open_findings], row.overdue_findings) == (["F-1"], 1)


def register(tmp_path, *leaves):
    folder = tmp_path / "register"
    folder.mkdir(parents=True)
    path = folder / "leaves.jsonl"
    lines = [
        canonical({"index": n, "at_utc": f"2026-11-0{n + 1}T00:00:00Z", **leaf})
        for n, leaf in enumerate(leaves)
    ]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


STARTED = {
    "kind": "started",
    "plan": "experiments/x.yaml",
    "plan_sha256": "0",
    "service": "orders",
    "drill_kind": "dr",
}


def test_the_register_is_the_population(tmp_path):
    path = register(
        tmp_path,
        {**STARTED, "run": "1"}, {"kind": "finished", "run": "1", "verdict": "pass", "head": "", "events": 1},
        {**STARTED, "run": "2"}, {"kind": "crashed", "run": "2", "verdict": "unknown", "head": "", "events": 1},
        {**STARTED, "run": "3"}, {"kind": "voided", "run": "3", "reason": "wrong system", "by": "a"},
        {**STARTED, "run": "4"}, {"kind": "key-added", "keyid": "k", "reason": "", "run": ""},
    )  # fmt: skip
    found = from_register(path)
    assert [(d.run, d.end, d.verdict) for d in found] == [
        ("1", "finished", "pass"),
        ("2", "crashed", "unknown"),
        ("4", "", ""),
    ]
    assert found[0].started_utc == "2026-11-01T00:00:00Z"
    assert from_register(tmp_path / "none.jsonl") is None
    path.write_bytes(path.read_bytes() + b"[1]\n")
    with pytest.raises(RecordError, match="leaves.jsonl:9"):
        from_register(path)


def test_the_command_says_where_its_drills_come_from(tmp_path, monkeypatch, capsys):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "broken.yaml").write_text("title: 3\n")
    story = halted()
    story.ledger, story.samples, story.load = [], [], []
    run_dir = tmp_path / "runs" / "primary-loss" / "20260101T000000Z-abcdef"
    write_run(run_dir, story)
    (run_dir / "findings.json").write_text('{"verdict": "fail"}')
    (tmp_path / "runs" / "primary-loss" / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["coverage"]) == 0
    said = capsys.readouterr().out
    assert "no register" in said and "is no plan that can be run" in said and "fail (halted)" in said
    register(tmp_path, {**STARTED, "run": "1"})
    assert main(["coverage", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "register/leaves.jsonl" in told["source"] and told["retest_days"] == 90
    assert {row["plan"] for row in told["scenarios"]} == {"experiments/broken.yaml", "experiments/x.yaml"}
    assert from_runs([run_dir, run_dir.parent / "empty"])[0].end == "halted"


def test_the_policy_says_after_how_many_days_a_scenario_is_due(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("environments: {lab: }\nretest_days: 30\n")
    assert load_policy(path).retest_days == 30
    for wrong in ("0", "soon", "99999", "1.5"):
        path.write_text(f"environments: {{lab: }}\nretest_days: {wrong}\n")
        with pytest.raises(PlanError, match="policy.yaml:2"):
            load_policy(path)
