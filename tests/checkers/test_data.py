"""RPA and reconciliation: what was acknowledged and is gone, in counts and in time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gameday.history.events import (
    Effect,
    Halted,
    LedgerEntry,
    LedgerMark,
    LedgerRead,
    Outcome,
    Reading,
    RunEnded,
    RunnerLost,
    Sample,
    StepEnded,
    StepStarted,
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


def test_an_earlier_fault_that_only_hiccups_does_not_end_the_old_authority():
    """A slow link and a bad sample or two, then the loss: what was acknowledged in between is no split brain."""
    plan = make_plan()
    slow = replace(plan.steps[0], id="0-slow", name="the link is slow", target="proxy:replication-a")
    story = completed()
    story.plan = replace(plan, steps=(slow, *plan.steps))
    at = FAULT_NS - 2 * NS
    story.add(at, StepStarted("0-slow"))
    story.add(at + 5 * MS, StepEnded("0-slow", Effect.HAPPENED, in_place=True, read_back_ns=at + 4 * MS))
    story.samples.append(Sample("place-order", at + 10 * MS, at + 60 * MS, Reading.BAD, "timeout"))
    alone, found = rpa(completed()), rpa(story)
    assert (found.verdict, found.interval) == (alone.verdict, alone.interval)
    assert number(found, "acked_after_onset_then_lost") == 0


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


def test_when_none_of_its_writes_survived_the_loss_has_no_upper_end():
    story = completed()
    before = {e.number for e in story.ledger if e.mark is LedgerMark.ACKED and e.at_ns < FAULT_NS}
    story.ledger = [e for e in story.ledger if not (e.mark is LedgerMark.PRESENT and e.number in before)]
    found = rpa(story)
    assert (found.verdict, found.interval.max_ns) == ("fail", None)
    assert found.interval.min_ns >= 5 * NS
    plan = make_plan()
    story.plan = replace(plan, objectives=(replace(plan.objectives[0], rpo_ns=60 * NS),))
    assert rpa(story).verdict == "unknown"


def test_an_acknowledgement_that_was_under_way_when_the_authority_died_bounds_nothing_from_below():
    story = completed()
    lost = lost_numbers(story)
    last = max(e.at_ns for e in story.ledger if e.mark is LedgerMark.ACKED and e.number in lost)
    is_it = lambda e: e.mark is LedgerMark.ACKED and e.at_ns == last
    story.ledger = [replace(e, at_ns=FAULT_NS + 15 * MS) if is_it(e) else e for e in story.ledger]
    first = entry_of(story, lost[0], LedgerMark.ACKED)
    assert rpa(story).interval.min_ns == FAULT_NS - first.at_ns


def test_what_the_new_authority_acknowledged_says_nothing_about_the_old_one():
    """It took over by itself, and acknowledged before the fault had been read back."""
    plan = make_plan(recovery="system")
    story = completed(replace(plan, steps=plan.steps[:1]))
    story.records = [
        (
            at,
            replace(e, read_back_ns=FAULT_NS + 4 * NS)
            if isinstance(e, StepEnded) and e.step == "1-dies"
            else e,
        )
        for at, e in story.records
        if not (isinstance(e, StepStarted | StepEnded) and e.step != "1-dies")
    ]
    gone = lost_numbers(story)
    story.ledger += [seen(n) for n in gone]
    found = rpa(story)
    assert number(found, "lost") == 0
    assert found.interval.max_ns >= 4 * NS
    assert "read back 4.00 s" in number(found, "wide_because")
