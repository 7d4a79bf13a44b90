"""The other findings, and how verdicts merge: unknown is not a pass, and nor is silence."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from gameday.checkers.check import check
from gameday.checkers.document import as_document
from gameday.checkers.findings import Verdict, merge
from gameday.history.events import (
    Effect,
    Halted,
    Phase,
    PhaseChanged,
    RunEnded,
    RunnerLost,
    StepEnded,
    UndoEnded,
)
from gameday.history.loadevents import LoadReported
from gameday.plan.model import NS
from tests.checkers.made import find, findings_of, number, trace_of, without
from tests.evidence.synthetic import completed, halted


@given(st.lists(st.sampled_from(list(Verdict)), max_size=6))
def test_fail_over_unknown_over_not_tested_over_pass(verdicts):
    weight = ["fail", "unknown", "not_tested", "pass"]
    expected = min(verdicts, key=weight.index, default="not_tested")
    assert merge(verdicts) == expected


def load(story):
    return find(story, "load orders")


def changed(**fields):
    story = completed()
    story.load = [replace(b, **fields) for b in story.load]
    return story


def test_achieved_load_counts_arrivals_that_started_on_time_whatever_the_answer():
    assert load(completed()).verdict == "pass"
    assert load(changed(good=0, bad=5, latency=())).verdict == "pass"


@pytest.mark.parametrize(
    ("fields", "verdict", "word"),
    [
        (dict(started=4, late=1), "unknown", "late or busy"),
        (dict(started=4, dropped=1, busy_ppm=950_000), "unknown", "late or busy"),
        (dict(started=4, dropped=1), "fail", "stalled target"),
        (dict(intended=0, started=0, good=0, bad=0), "unknown", "no request"),
        (dict(good=0, bad=0), "unknown", "no request"),
    ],
)
def test_load_that_fell_short_is_unknown_unless_the_target_did_it(fields, verdict, word):
    found = load(changed(**fields))
    assert found.verdict == verdict
    assert word in found.why
    assert findings_of(changed(**fields)).verdict in ("unknown", "fail")


def test_a_load_that_was_lost_or_never_measured_is_unknown():
    story = completed()
    story.add(9 * NS, LoadReported("orders", "lost", "it ended with -9"))
    assert load(story).verdict == "unknown"
    assert "it ended with -9" in load(story).why
    story = completed()
    story.load = []
    assert load(story).verdict == "unknown"


def test_the_steady_state_before_and_after():
    story = completed()
    assert [find(story, f"steady state {w}").verdict for w in ("before", "after")] == ["pass", "pass"]
    without(story, PhaseChanged)
    assert [find(story, f"steady state {w}").verdict for w in ("before", "after")] == ["unknown", "unknown"]
    story = completed()
    story.records = [
        (at, replace(e, reason="patience ended"))
        if isinstance(e, PhaseChanged) and e.phase is Phase.FINISHED
        else (at, e)
        for at, e in story.records
    ]
    assert find(story, "steady state after").verdict == "fail"
    story.add(26 * NS, Halted("operator r.ito", "enough"))
    assert find(story, "steady state after").verdict == "unknown"
    story = completed()
    story.add(26 * NS, RunnerLost("watchdog", "it died"))
    assert find(story, "steady state after").verdict == "unknown"


def test_an_undo_that_was_not_shown_to_work_leaves_a_fault():
    left = find(halted(stuck=True), "no fault is left")
    assert (left.verdict, left.observed) == ("fail", "1 left")
    assert "primary database dies" in left.why
    assert findings_of(halted(stuck=True)).stuck == ("1-dies",)
    story = halted()
    assert find(story, "no fault is left").verdict == "pass"
    without(story, UndoEnded)
    assert find(story, "no fault is left").verdict == "fail"


def test_a_superseded_undo_is_not_owed_but_the_one_that_took_its_place_is():
    story = completed()
    assert find(story, "no fault is left").verdict == "pass"
    without(story, UndoEnded)
    assert "promote b" in find(story, "no fault is left").why


def test_a_step_that_certainly_did_not_happen_owes_nothing():
    story = halted(stuck=True)
    story.records = [
        (at, replace(e, effect=Effect.DID_NOT_HAPPEN, in_place=False) if isinstance(e, StepEnded) else e)
        for at, e in story.records
        if not isinstance(e, RunEnded | UndoEnded)
    ]
    assert find(story, "no fault is left").verdict == "pass"


@pytest.mark.parametrize(
    ("by", "verdict"),
    [
        ("stop condition", "fail"),
        ("operator r.ito", "unknown"),
        ("baseline", "unknown"),
        ("load", "unknown"),
        ("watchdog", "unknown"),
    ],
)
def test_a_halt_says_how_long_until_the_last_fault_was_gone(by, verdict):
    story = halted()
    story.records = [(at, replace(e, by=by) if isinstance(e, Halted) else e) for at, e in story.records]
    found = find(story, "no stop condition")
    assert found.verdict == verdict
    assert number(found, "halt_to_gone_ns") == 500_000_000


def test_a_damaged_history_cannot_pass():
    story = completed()
    trace = replace(trace_of(story), faults=("line 7: the chain is broken",))
    assert check(story.plan, trace).verdict == "fail"


@pytest.mark.parametrize("story", [completed(), halted(), halted(stuck=True)])
def test_findings_json_is_json_with_bounds(story):
    found = as_document(findings_of(story))
    assert json.loads(json.dumps(found)) == found
    assert found["verdict"] in ("pass", "fail")
    assert set(found["rta_s"]) == {"min", "max"}
    for finding in found["findings"]:
        assert {"name", "verdict", "observed", "limit", "unit", "events"} <= set(finding)


def test_the_same_history_gives_the_same_findings():
    assert findings_of(completed()) == findings_of(completed())
