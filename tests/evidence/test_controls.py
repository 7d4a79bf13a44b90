"""A run is cited for what it did, and for nothing else."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gameday.evidence.casefile import make_case
from gameday.evidence.controls import CONTROLS, cited, citations, missing
from gameday.history.events import Effect, Noted, StepEnded
from gameday.history.people import ApprovalGiven, ManualReported
from gameday.history.policyevents import PolicyApplied
from gameday.plan.model import StepKind

from .synthetic import FAULT_NS, act, completed, halted, make_plan
from .test_report import trace_of


def lean(story):
    story.ledger = story.ledger[:200] if story.ledger else []
    return story


def clauses(story, **changes):
    case = make_case(story.plan, replace(trace_of(story), **changes))
    return {(c.control.framework.split()[0], c.control.clause) for c in citations(case.view, case.findings)}


def test_the_table_covers_what_a_pack_can_be_cited_for():
    found = {(c.framework, c.clause) for c in CONTROLS}
    names = {name for name, _ in found}
    assert names == {
        "SOC 2", "ISO/IEC 27001:2022", "ISO 22301:2019", "EU DORA 2022/2554", "NIST SP 800-53r5", "FedRAMP",
        "PCI DSS v4.0.1", "HIPAA",
    }  # fmt: skip
    wanted = (
        "A1.1 A1.2 A1.3 CC7.4 CC7.5 A.5.29 A.5.30 A.8.6 A.8.13 A.8.14 8.5 8.6 CP-2 CP-4 CP-10 12.10.2".split()
    )
    wanted += [f"CP-4({n})" for n in range(1, 6)] + [
        "164.308(a)(7)(ii)(D)",
        "Art. 11(6)",
        "Art. 12(6)",
        "Art. 12(7)",
    ]
    assert {clause for _, clause in found} >= {*wanted, "Art. 24", "Art. 25"}
    assert "Art. 26" not in {clause for _, clause in found}
    assert not [c for c in CONTROLS if "compl" in c.shown.lower()]


def test_a_failover_that_was_measured_is_cited_for_recovery_and_not_for_backups():
    found = clauses(lean(completed()))
    assert {
        ("SOC", "A1.3"),
        ("NIST", "CP-4(4)"),
        ("NIST", "CP-4(5)"),
        ("EU", "Art. 12(6)"),
        ("ISO/IEC", "A.8.14"),
    } <= found
    assert not {("SOC", "A1.1"), ("ISO/IEC", "A.8.13"), ("FedRAMP", "CP-4")} & found


def test_a_drill_without_a_recovery_is_not_cited_for_recovery_tests():
    found = clauses(lean(completed(make_plan(objectives=(), ledger=None))))
    assert ("SOC", "A1.3") not in found and ("HIPAA", "164.308(a)(7)(ii)(D)") not in found
    assert ("NIST", "CP-4(5)") in found


@pytest.mark.parametrize("in_place", [False, None])
def test_a_fault_that_nobody_saw_in_place_tests_nothing(in_place):
    story = lean(completed())
    story.records = [
        (at, replace(event, in_place=in_place) if isinstance(event, StepEnded) and event.in_place else event)
        for at, event in story.records
    ]
    assert not {("SOC", "A1.3"), ("NIST", "CP-4(5)"), ("NIST", "CP-4")} & clauses(story)


def test_a_step_that_did_not_happen_shows_nothing():
    story = lean(completed())
    story.records = [
        (
            at,
            replace(e, effect=Effect.INDETERMINATE)
            if getattr(e, "step", "").startswith(("3", "4")) and isinstance(e, StepEnded)
            else e,
        )
        for at, e in story.records
    ]
    assert ("NIST", "CP-4(2)") not in clauses(story)


def test_a_fault_that_is_left_is_no_reconstitution():
    found = clauses(lean(halted(stuck=True)))
    assert not {("NIST", "CP-10"), ("NIST", "CP-4(5)"), ("SOC", "CC7.5"), ("NIST", "CP-4(4)")} & found


def test_nothing_is_cited_for_a_damaged_history_or_a_run_without_a_fault():
    assert clauses(lean(completed()), faults=("history.jsonl:3: broken",)) == set()
    story = completed()
    story.records, story.ledger, story.load = story.records[:8], [], []
    assert clauses(story) == set()


def test_signed_approvals_and_people_add_what_rests_on_them():
    story = lean(completed())
    story.add(5_000_000, PolicyApplied("0" * 64, "policy.yaml", ()))
    late = ApprovalGiven("start", "p", "approver", False, True, "0" * 64)
    claimed = replace(late, verified=False)
    story.add(6_000_000, claimed)
    story.add(FAULT_NS + 1_000_000, late)
    assert ("FedRAMP", "CP-4") not in clauses(story)
    story.add(6_000_000, late)
    assert {("FedRAMP", "CP-4"), ("EU", "Art. 24"), ("ISO/IEC", "A.5.29"), ("PCI", "12.10.2")} <= clauses(
        story
    )
    story.records = [(at, e) for at, e in story.records if not isinstance(e, Noted | ManualReported)]
    assert ("PCI", "12.10.2") not in clauses(story)


def test_a_restore_is_known_by_its_action_and_a_capacity_drill_by_its_kind():
    plan = make_plan()
    steps = tuple(
        replace(s, do=act("restore", func="restore_to"))
        if s.kind is StepKind.FAILOVER and s.id.startswith("4")
        else s
        for s in plan.steps
    )
    assert json.loads(steps[3].do.provider)["func"] == "restore_to"
    story = completed(replace(plan, steps=steps, kind="capacity"))
    assert {("ISO/IEC", "A.8.13"), ("SOC", "A1.1"), ("ISO/IEC", "A.8.6")} <= clauses(story)


def test_each_citation_says_where_and_with_which_verdict_and_the_rest_says_what_it_lacks():
    story = lean(completed())
    case = make_case(story.plan, trace_of(story))
    found = {c.control.clause: c for c in citations(case.view, case.findings)}
    assert found["A1.3"].where[-1] == "Objectives: recovery time"
    assert str(found["A1.3"].verdict) == "pass"
    lacking = {control.clause: parts for control, parts in missing(case.view, case.findings)}
    assert "restore" in lacking["A.8.13"]
    assert len(lacking) + len(found) >= len({c.clause for c in CONTROLS})
    assert cited(case.view, case.findings)[0][0] == "SOC 2"
