"""RPA and reconciliation: what was acknowledged and is gone, in counts and in time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gameday.history.events import (
    Halted,
    LedgerEntry,
    LedgerMark,
    LedgerRead,
    Outcome,
    RunEnded,
    RunnerLost,
    StepEnded,
)
from gameday.plan.model import NS
from tests.checkers.made import events, find, findings_of, number, without
from tests.evidence.synthetic import FAULT_NS, MS, completed, make_plan

READ_BACK_NS = FAULT_NS + 28 * MS


def rpa(story):
    return find(story, "RPA orders")


def story_without_loss():
    story = completed()
    gone = lost_numbers(story)
    for occasion, at in (("after-failover", 10_600 * MS), ("end", 27 * NS + 50 * MS)):
        story.ledger += [LedgerEntry(n, LedgerMark.PRESENT, at, f"{n:064x}", occasion) for n in gone]
    return story


def lost_numbers(story):
    acked = {e.number for e in story.ledger if e.mark is LedgerMark.ACKED and e.at_ns < FAULT_NS}
    return sorted(acked - {e.number for e in story.ledger if e.mark is LedgerMark.PRESENT})


def entry_of(story, number, mark):
    return next(e for e in story.ledger if e.number == number and e.mark is mark)


def test_the_interval_holds_the_window_that_was_lost():
    story = completed()  # It loses all that was sent in the last 200 ms before the fault.
    found = rpa(story)
    lost = lost_numbers(story)
    assert (found.verdict, number(found, "lost")) == ("pass", len(lost))
    assert 5 <= len(lost) <= 10
    first = entry_of(story, lost[0], LedgerMark.ACKED)
    assert found.interval.min_ns <= FAULT_NS - first.at_ns <= found.interval.max_ns
    before = entry_of(story, lost[0] - 1, LedgerMark.INTENT)
    assert found.interval.max_ns == READ_BACK_NS - before.at_ns


def test_nothing_lost_is_a_bound_and_never_zero():
    found = rpa(story_without_loss())
    assert found.verdict == "pass"
    assert found.interval.min_ns == 0
    assert 0 < found.interval.max_ns < 60 * MS
    assert found.observed.startswith("at most")


def test_loss_need_not_be_a_suffix():
    story = story_without_loss()
    early = entry_of(story, 100, LedgerMark.ACKED)
    story.ledger = [e for e in story.ledger if not (e.number == 100 and e.mark is LedgerMark.PRESENT)]
    found = rpa(story)
    assert number(found, "lost") == 1
    assert found.interval.min_ns <= FAULT_NS - early.at_ns <= found.interval.max_ns
    assert found.verdict == "fail"  # Three seconds were at risk, one is allowed.


@pytest.mark.parametrize(("rpo", "verdict"), [(50 * MS, "fail"), (205 * MS, "unknown"), (NS, "pass")])
def test_the_upper_end_is_judged(rpo, verdict):
    plan = make_plan()
    plan = replace(plan, objectives=(replace(plan.objectives[0], rpo_ns=rpo),))
    assert rpa(completed(plan)).verdict == verdict


def seen(number, at=10_600 * MS, sha=None, occasion="after-failover", count=1):
    return LedgerEntry(number, LedgerMark.PRESENT, at, sha or f"{number:064x}", occasion, count)


@pytest.mark.parametrize(
    ("what", "more"),
    [
        ("phantom", seen(900_000)),
        ("duplicate", seen(50)),
        ("corrupt", None),
    ],
)
def test_data_that_is_not_clean_fails(what, more):
    story = story_without_loss()
    if more is not None:
        story.ledger.append(more)
    else:
        is_it = lambda e: e.number == 50 and e.mark is LedgerMark.PRESENT
        story.ledger = [replace(e, sha256="f" * 64) if is_it(e) else e for e in story.ledger]
    found = rpa(story)
    assert (found.verdict, number(found, what)) == ("fail", 1)


def test_a_write_counted_twice_by_the_target_is_a_duplicate():
    story = story_without_loss()
    is_it = lambda e: e.number == 50 and e.occasion == "after-failover"
    story.ledger = [replace(e, count=2) if is_it(e) else e for e in story.ledger]
    assert number(rpa(story), "duplicate") == 1


def test_a_write_that_certainly_failed_and_is_there_is_a_phantom():
    story = story_without_loss()
    is_it = lambda e: e.number == 50 and e.mark is LedgerMark.ACKED
    story.ledger = [replace(e, mark=LedgerMark.FAILED) if is_it(e) else e for e in story.ledger]
    assert number(rpa(story), "phantom") == 1


def test_unknown_writes_may_be_there_or_not():
    story = story_without_loss()
    unknown = [e.number for e in story.ledger if e.mark is LedgerMark.UNKNOWN]
    story.ledger.append(seen(unknown[0]))
    found = rpa(story)
    assert found.verdict == "pass"
    assert number(found, "unknown_recovered") == 1
    assert number(found, "unknown_lost") == len(unknown) - 1


def test_acknowledged_after_the_loss_and_gone_is_split_brain():
    story = story_without_loss()
    late = next(e for e in story.ledger if e.mark is LedgerMark.UNKNOWN and e.at_ns > READ_BACK_NS + 50 * MS)
    story.ledger = [replace(e, mark=LedgerMark.ACKED) if e is late else e for e in story.ledger]
    found = rpa(story)
    assert found.verdict == "fail"
    assert "split brain" in found.why
    assert number(found, "acked_after_onset_then_lost") == 1


def test_what_was_lost_only_after_failing_back_is_a_finding_of_its_own():
    story = story_without_loss()
    story.ledger = [e for e in story.ledger if not (e.number == 100 and e.occasion == "end")]
    assert rpa(story).verdict == "pass"
    found = find(story, "data after fail-back")
    assert (found.verdict, found.observed) == ("fail", "1 more lost")


def test_without_a_ledger_or_its_read_back_it_is_unknown():
    assert rpa(completed(make_plan(ledger=None))).verdict == "unknown"
    story = completed()
    without(story, LedgerRead)
    assert rpa(story).verdict == "unknown"
    story = completed()
    events(story, LedgerRead, ok=False)
    assert rpa(story).verdict == "unknown"


def test_without_a_read_back_of_the_fault_it_is_unknown():
    story = completed()
    story.records = [
        (at, replace(e, in_place=None, read_back_ns=None) if isinstance(e, StepEnded) else e)
        for at, e in story.records
    ]
    assert rpa(story).verdict == "unknown"
    without(story, StepEnded)
    assert rpa(story).verdict == "unknown"


def test_a_run_cut_short_is_unknown_but_a_certain_loss_is_not():
    story = completed()
    story.add(20 * NS, RunnerLost("watchdog", "it died"))
    assert rpa(story).verdict == "unknown"
    story = completed()
    story.add(20 * NS, Halted("operator r.ito", "enough"))
    events(story, RunEnded, outcome=Outcome.HALTED)
    assert rpa(story).verdict == "unknown"
    plan = make_plan()
    story = completed(replace(plan, objectives=(replace(plan.objectives[0], rpo_ns=10 * MS),)))
    story.add(20 * NS, RunnerLost("watchdog", "it died"))
    assert rpa(story).verdict == "fail"


def test_an_objective_without_rpo_has_no_data_finding():
    plan = make_plan()
    story = completed(replace(plan, objectives=(replace(plan.objectives[0], rpo_ns=None),)))
    assert not [f for f in findings_of(story).findings if f.name.startswith(("RPA", "data"))]
