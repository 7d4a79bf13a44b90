"""The life of a finding: added, assigned, accepted, closed by a retest; its history is never lost."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from gameday.cli.main import main
from gameday.errors import HistoryError, Refused, UsageError
from gameday.evidence import mending
from gameday.evidence.casefile import make_case
from gameday.evidence.trackfile import change, project_of, tracked
from gameday.evidence.tracking import Accepted, Assigned, Closed, State, ordered
from gameday.history.events import RunStarted

from .synthetic import completed, halted, write_run
from .test_report import trace_of

NOW, TODAY = "2026-11-24T12:00:00Z", "2026-11-24"
FIRST, SECOND, THIRD = "20260101T000000Z-aaaaaa", "20260201T000000Z-bbbbbb", "20260301T000000Z-cccccc"


def lean(story, run):
    """A story of that run, without most of its measurements."""
    story.ledger = story.ledger[:200]
    story.records = [
        (at, replace(event, run=run) if isinstance(event, RunStarted) else event)
        for at, event in story.records
    ]
    return story


def case_of(story):
    return make_case(story.plan, trace_of(story))


@pytest.fixture(scope="module")
def bad():
    return case_of(lean(halted(stuck=True), FIRST))


@pytest.fixture(scope="module")
def good():
    return case_of(lean(completed(), SECOND))


def do(project, decide, by="r.ito"):
    return change(project, decide, by=by, at_utc=NOW)


def added(project, case):
    return do(project, lambda before: mending.add(case, mending.proposed(case), before))


def test_what_failed_is_added_once_and_seen_again_later(tmp_path, bad):
    first = added(tmp_path, bad)
    owed = [f.name for f in bad.findings.findings if f.verdict in ("fail", "unknown")]
    assert [item.added.name for item in first] == owed
    assert [item.id for item in first] == [f"F-{n}" for n in range(1, len(owed) + 1)]
    assert added(tmp_path, bad) == ()
    again = added(tmp_path, case_of(lean(halted(stuck=True), THIRD)))
    assert [item.runs for item in again] == [(FIRST, THIRD)] * len(owed)
    assert len(tracked(tmp_path)) == len(owed)


def test_a_retest_that_passes_closes_and_the_finding_keeps_its_history(tmp_path, bad, good):
    (item, *_) = added(tmp_path, bad)
    do(tmp_path, lambda _: [(item.id, Assigned("m.okafor", "2026-12-01", "critical"))], by="a.chen")
    (closed,) = do(tmp_path, lambda now: [(item.id, mending.close(now[0], retest=good, reason=""))])
    assert closed.state is State.CLOSED and closed.closed.retest == SECOND
    assert (closed.owner, closed.severity) == ("m.okafor", "critical")
    assert [(type(e.change).__name__, e.by) for e in closed.history] == [
        ("Added", "r.ito"), ("Assigned", "a.chen"), ("Closed", "r.ito"),
    ]  # fmt: skip
    (back, *_) = added(tmp_path, case_of(lean(halted(stuck=True), THIRD)))
    assert back.state is State.OPEN and back.closed is None
    assert any(isinstance(e.change, Closed) for e in back.history)


def test_a_run_that_shows_nothing_does_not_close(tmp_path, bad, good):
    (item, *_) = added(tmp_path, bad)
    torn = replace(good, trace=replace(good.trace, faults=("history.jsonl:3: broken",)))
    other = replace(good, plan=replace(good.plan, source="experiments/other.yaml"))
    story = lean(completed(), SECOND)
    story.records = story.records[:-1]
    for run, why in (
        (bad, "not later"),
        (case_of(lean(completed(), "20250101T000000Z-early")), "not later"),
        (case_of(lean(halted(), SECOND)), "did not run to its end"),
        (case_of(story), "did not run to its end"),
        (torn, "damaged"),
        (other, "experiments/other.yaml"),
    ):
        with pytest.raises(Refused, match=why):
            mending.close(item, retest=run, reason="I say so")
    with pytest.raises(UsageError, match="--retest RUN, or --reason TEXT"):
        mending.close(item, retest=None, reason=" ")
    assert mending.close(item, retest=None, reason="the service is gone") == Closed("", "the service is gone")


def test_a_retest_in_which_the_finding_itself_fails_does_not_close(good):
    finding = replace(good.findings.findings[1], verdict="fail", why="too slow")
    worse = replace(good, findings=replace(good.findings, findings=(finding,)))
    (name, change_) = mending.add(worse, [finding], ())[0]
    from gameday.evidence.tracking import Entry, fold

    (item,) = fold([Entry(1, NOW, "a", name, change_)])
    later = replace(worse, trace=trace_of(lean(completed(), THIRD)))
    assert "is fail in it: too slow" in mending.unshown(item, later)


def test_an_accepted_risk_is_open_and_overdue_once_its_day_is_past(tmp_path, bad):
    (item, *_) = added(tmp_path, bad)
    with pytest.raises(UsageError, match="--accepted-by NAME and --until DAY"):
        mending.accept(item, accepted_by="", until="2027-01-01", reason="", today=TODAY)
    with pytest.raises(UsageError, match="is past"):
        mending.accept(item, accepted_by="cfo", until="2026-01-01", reason="", today=TODAY)
    change_ = mending.accept(item, accepted_by="cfo", until="2026-12-31", reason="Q1", today=TODAY)
    (accepted,) = do(tmp_path, lambda _: [(item.id, change_)])
    assert accepted.state_on("2026-12-31") is State.ACCEPTED and not accepted.is_overdue("2026-12-31")
    assert accepted.state_on("2027-01-01") is State.OPEN and accepted.is_overdue("2027-01-01")
    assert "ended on 2026-12-31" in accepted.words("2027-01-01")


def test_the_list_begins_with_what_is_overdue_and_then_what_is_worst(tmp_path, bad):
    items = added(tmp_path, bad)
    assert len(items) >= 3
    do(tmp_path, lambda _: [(items[2].id, Assigned("x", "2026-11-01", "low"))])
    do(tmp_path, lambda _: [(items[1].id, Assigned("x", "2027-11-01", "critical"))])
    do(tmp_path, lambda _: [(items[0].id, Accepted("x", "2027-01-01", ""))])
    found = [i.id for i in ordered(tracked(tmp_path), TODAY)]
    assert found[:2] == [items[2].id, items[1].id] and found[-1] == items[0].id


@pytest.mark.parametrize("day", ["2026-13-01", "tomorrow", "2026-11-23", "1"])
def test_a_day_is_a_day_to_come(day):
    with pytest.raises(UsageError):
        mending.to_come("--due", day, TODAY)


def test_changes_from_many_hands_at_once_are_all_kept(tmp_path, bad):
    (item, *_) = added(tmp_path, bad)

    def hand(name):
        for number in range(5):
            do(tmp_path, lambda _: [(item.id, Assigned(f"{name}-{number}", "", ""))], by=name)

    hands = [threading.Thread(target=hand, args=(f"h{n}",)) for n in range(6)]
    for thread in hands:
        thread.start()
    for thread in hands:
        thread.join()
    found = next(i for i in tracked(tmp_path) if i.id == item.id)
    assert sorted(e.change.owner for e in found.history[1:]) == sorted(
        f"h{n}-{k}" for n in range(6) for k in range(5)
    )


def test_an_edited_line_is_noticed_and_a_torn_one_gives_way(tmp_path, bad):
    added(tmp_path, bad)
    path = tmp_path / "findings" / "findings.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"at_utc":"20')
    before = tracked(tmp_path)
    (item,) = do(tmp_path, lambda _: [("F-1", Assigned("x", "", ""))])
    assert item.owner == "x" and len(tracked(tmp_path)) == len(before)
    assert path.read_bytes().startswith(whole)
    lines = path.read_bytes().splitlines(keepends=True)
    for broken in (
        b"".join(lines[1:]), lines[0] + b"".join(lines[2:]), whole.replace(b"r.ito", b"n.one", 1), b"[]\n", b"{}\n",
        b'{"a":' * 2000 + b"\n", b"\xff\n",
    ):  # fmt: skip
        path.write_bytes(broken)
        with pytest.raises(HistoryError, match="findings.jsonl:"):
            tracked(tmp_path)
        with pytest.raises(HistoryError):
            added(tmp_path, bad)
        assert path.read_bytes() == broken


def test_no_link_is_followed(tmp_path, bad):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "findings").symlink_to(elsewhere)
    with pytest.raises(HistoryError, match="is a link"):
        added(tmp_path, bad)
    assert not list(elsewhere.iterdir())


def run(*words):
    return main(["finding", *words])


def test_the_command_line_from_a_failed_run_to_its_retest(tmp_path, monkeypatch, capsys):
    runs = tmp_path / "runs" / "primary-loss"
    runs.mkdir(parents=True)
    write_run(runs / FIRST, lean(halted(stuck=True), FIRST))
    write_run(runs / SECOND, lean(completed(), SECOND))
    monkeypatch.chdir(tmp_path)
    assert run("list") == 0 and "no open finding" in capsys.readouterr().out
    assert run("add", FIRST, "--owner", "m.okafor", "--due", "2099-01-31", "--json") == 0
    items = json.loads(capsys.readouterr().out)
    assert {(i["owner"], i["due"], i["state"]) for i in items} == {("m.okafor", "2099-01-31", "open")}
    assert project_of(runs / FIRST) == tmp_path
    assert run("add", FIRST, "--text", "runbook step 3 names a host that is gone") == 0
    assert "seen: runbook step 3" in capsys.readouterr().out
    assert run("close", "F-1", "--retest", FIRST) == 3
    assert run("close", "F-1") == 2
    assert run("accept", "F-2") == 2
    assert run("assign", "F-99", "--owner", "x") == 2
    assert run("close") == 2
    assert run("add", FIRST, "--name", "no such thing") == 2
    capsys.readouterr()
    assert run("close", "F-1", "--retest", SECOND, "--by", "a.chen") == 0
    assert (
        run("accept", "F-2", "--accepted-by", "c.risk", "--until", "2099-12-31", "--reason", "moved in Q1")
        == 0
    )
    capsys.readouterr()
    assert run("assign", "F-1", "--owner", "x") == 3
    assert "add RUN` opens it again" in capsys.readouterr().err
    assert run("list", "--json") == 0
    open_ones = [i["id"] for i in json.loads(capsys.readouterr().out)]
    assert "F-1" not in open_ones and "F-2" not in open_ones and open_ones
    assert run("list", "--all", "--json") == 0
    found = {i["id"]: i for i in json.loads(capsys.readouterr().out)}
    assert found["F-1"]["retest"] == SECOND and found["F-1"]["history"][-1]["by"] == "a.chen"
    assert found["F-2"]["accepted"]["accepted_by"] == "c.risk"
