"""Several stores at once: a recovery point for each, and how far they lie apart."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from gameday.checkers.document import as_document
from gameday.checkers.stores import check_stores
from gameday.checkers.view import view_of
from gameday.history.events import LedgerEntry, LedgerMark, LedgerRead
from gameday.plan.model import NS, Ledger
from tests.checkers.made import find, findings_of, number, trace_of
from tests.evidence.synthetic import FAULT_NS, MS, completed, make_plan

NAMES = ("orders", "carts")
READ_NS = 10_600 * MS


def two_stores(lost_ms, **objective):
    """A run in which each store lost all that was sent in its last so many milliseconds (0: nothing)."""
    story = completed()
    ledgers = [Ledger("orders", "{}", 20 * MS, 400 * MS, name) for name in NAMES]
    plan = make_plan(ledger=ledgers[0])
    objectives = tuple(replace(o, **objective) for o in plan.objectives)
    story.plan = replace(plan, more_ledgers=tuple(ledgers[1:]), objectives=objectives)
    written = [e for e in story.ledger if e.mark is not LedgerMark.PRESENT]
    story.ledger = [replace(e, ledger=name) for e in written for name in NAMES]
    records = []
    for at_ns, event in story.records:
        both = isinstance(event, LedgerRead)
        records += [(at_ns, replace(event, ledger=name)) for name in NAMES] if both else [(at_ns, event)]
    story.records[:] = records
    sent = {e.number: e.at_ns for e in written if e.mark is LedgerMark.INTENT}
    acked = [e for e in written if e.mark is LedgerMark.ACKED]
    for name, ms in zip(NAMES, lost_ms, strict=True):
        cut_ns = FAULT_NS - ms * MS
        kept = [e for e in acked if not cut_ns <= sent[e.number] < FAULT_NS]
        for occasion, at in (("after-failover", READ_NS), ("end", 27 * NS + 50 * MS)):
            story.ledger += [
                LedgerEntry(e.number, LedgerMark.PRESENT, at, e.sha256, occasion, ledger=name)
                for e in kept
                if e.at_ns < at
            ]
    return story


def test_each_store_has_a_recovery_point_of_its_own():
    found = findings_of(two_stores((0, 500)))
    names = [f.name for f in found.findings if f.name.startswith(("RPA", "data after"))]
    assert names == [f"{what} orders ({name})" for name in NAMES for what in ("RPA", "data after fail-back")]
    story = two_stores((0, 500))
    assert number(find(story, "RPA orders (orders)"), "lost") == 0
    assert 20 <= number(find(story, "RPA orders (carts)"), "lost") <= 26
    document = as_document(found)
    assert document["ledger"]["lost"] == number(find(story, "RPA orders (carts)"), "lost")


def test_an_objective_that_names_its_ledger_is_judged_by_that_one():
    found = findings_of(two_stores((0, 500), ledger="orders"))
    assert [f.name for f in found.findings if f.name.startswith("RPA")] == ["RPA orders (orders)"]


def test_stores_that_lost_nothing_are_consistent():
    found = find(two_stores((0, 0)), "consistency across stores")
    assert found.verdict == "pass"
    assert "every store holds every acknowledged write" in found.observed


@pytest.mark.parametrize(
    ("lost", "verdict"), [((0, 500), "pass"), ((3000, 0), "fail"), ((1000, 0), "unknown")]
)
def test_the_window_between_stores_is_judged_by_the_recovery_point_objective(lost, verdict):
    found = find(two_stores(lost), "consistency across stores")
    assert found.verdict == verdict, found
    assert ("that of orders" in found.why) == (lost[0] > lost[1]) or verdict == "unknown"


def test_the_window_contains_the_truth_whatever_was_lost():
    dice = random.Random(4)
    for _ in range(12):
        lost = (dice.randrange(0, 3000), dice.randrange(0, 3000))
        story = two_stores(lost)
        (found,) = check_stores(view_of(story.plan, trace_of(story)))
        truth_ns = abs(lost[0] - lost[1]) * MS
        assert found.interval.min_ns <= truth_ns <= found.interval.max_ns, (lost, found)
        assert found.interval.max_ns - found.interval.min_ns <= 4 * 24 * MS + 30 * MS
        until_ns = FAULT_NS - max(lost) * MS
        low, high = (number(found, f"consistent_until_{end}_ns") for end in ("min", "max"))
        assert low <= until_ns <= high, (lost, found)


def test_a_store_that_was_not_read_back_leaves_it_unknown():
    story = two_stores((0, 0))
    story.records[:] = [
        (at, replace(e, ok=False) if isinstance(e, LedgerRead) and e.ledger == "carts" else e)
        for at, e in story.records
    ]
    found = find(story, "consistency across stores")
    assert found.verdict == "unknown" and "carts" in found.why
    assert as_document(findings_of(story))["rpa_s"] is None
