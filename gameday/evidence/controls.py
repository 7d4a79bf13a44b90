"""Which controls a run is evidence towards, computed from what it really did.

A pack is cited for a clause only when every part that the clause asks for is in this run: a drill that
restored no backup is not evidence on backups, one without a recovery measured is not cited for recovery
tests. Evidence *towards* a control is all that this is: whether a control is met is the auditor's to say,
over a period and a population. DORA Art. 26 is left out on purpose: no drill here is a threat-led
penetration test.

What a clause asks for is in our own words; read the text itself before you rely on one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from gameday.checkers.findings import Finding, Findings, Verdict, merge
from gameday.checkers.view import View
from gameday.history.events import Effect, Noted
from gameday.history.people import ApprovalGiven, ManualReported
from gameday.history.policyevents import PolicyApplied
from gameday.plan.model import Segment, Step, StepKind


class Part(StrEnum):
    """One thing that a run may show."""

    EXERCISE = "exercise"
    SELF_CHALLENGE = "self-challenge"
    RECOVERY = "recovery"
    DATA = "data"
    PROCEDURE = "procedure"
    SWITCHOVER = "switchover"
    RESTORE = "restore"
    FAIL_BACK = "fail-back"
    CLEAN = "clean"
    CAPACITY = "capacity"
    LOAD = "load"
    RESPONSE = "response"
    APPROVED = "approved"
    CONTAINED = "contained"


@dataclass(frozen=True, slots=True)
class Control:
    """A clause, what a drill can show towards it, and the parts that must be there to cite it."""

    framework: str
    clause: str
    shown: str
    needs: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Citation:
    """A clause that this run is evidence towards; `where` says in which part of the evidence.

    `verdict` is the weightiest of the findings it rests on: a failed test is evidence of testing too.
    """

    control: Control
    verdict: Verdict
    where: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Shown:
    where: str
    findings: tuple[Finding, ...] = ()


SOC2, ISO27001, ISO22301 = "SOC 2", "ISO/IEC 27001:2022", "ISO 22301:2019"
DORA, NIST, FEDRAMP = "EU DORA 2022/2554", "NIST SP 800-53r5", "FedRAMP"
PCI, HIPAA = "PCI DSS v4.0.1", "HIPAA"

_P = Part
CONTROLS = (
    Control(SOC2, "A1.1", "capacity is measured under a known load", (_P.CAPACITY, _P.LOAD)),
    Control(SOC2, "A1.2", "recovery infrastructure is there and works", (_P.SWITCHOVER, _P.RECOVERY)),
    Control(SOC2, "A1.2", "backups are there and can be restored", (_P.RESTORE, _P.DATA)),
    Control(SOC2, "A1.3", "recovery procedures are tested", (_P.SELF_CHALLENGE, _P.PROCEDURE, _P.RECOVERY)),
    Control(SOC2, "CC7.4", "people respond, and impact is contained", (_P.RESPONSE, _P.CONTAINED)),
    Control(SOC2, "CC7.5", "the affected environment is restored", (_P.RECOVERY, _P.CLEAN)),
    Control(ISO27001, "A.5.29", "a disruption stays within what policy allows", (_P.CONTAINED, _P.APPROVED)),
    Control(ISO27001, "A.5.30", "ICT readiness is tested against objectives", (_P.EXERCISE, _P.RECOVERY)),
    Control(ISO27001, "A.8.6", "capacity is tested against what is required", (_P.CAPACITY, _P.LOAD)),
    Control(ISO27001, "A.8.13", "a backup is restored and its data checked", (_P.RESTORE, _P.DATA)),
    Control(ISO27001, "A.8.14", "redundancy takes over when a part is lost", (_P.SWITCHOVER, _P.RECOVERY)),
    Control(ISO22301, "8.5", "an exercise with aims, and a report of it", (_P.EXERCISE, _P.RECOVERY)),
    Control(ISO22301, "8.6", "continuity procedures are evaluated by exercise", (_P.PROCEDURE, _P.RECOVERY)),
    Control(DORA, "Art. 11(6)", "response and recovery plans are tested", (_P.PROCEDURE, _P.RECOVERY)),
    Control(DORA, "Art. 12(6)", "recovery time and point per function", (_P.RECOVERY, _P.DATA)),
    Control(DORA, "Art. 12(7)", "checks and reconciliation after recovery", (_P.DATA,)),
    Control(DORA, "Art. 24", "a test with its issues classified, and approved", (_P.EXERCISE, _P.APPROVED)),
    Control(DORA, "Art. 25", "scenario-based and end-to-end tests under load", (_P.SELF_CHALLENGE, _P.LOAD)),
    Control(NIST, "CP-2", "recovery objectives, and a procedure to meet them", (_P.PROCEDURE, _P.RECOVERY)),
    Control(NIST, "CP-4", "the contingency plan is tested, results reviewed", (_P.PROCEDURE, _P.RECOVERY)),
    Control(NIST, "CP-4(1)", "a test agreed with those responsible", (_P.RECOVERY, _P.APPROVED, _P.RESPONSE)),
    Control(NIST, "CP-4(2)", "service runs at the alternate place, under load", (_P.SWITCHOVER, _P.LOAD)),
    Control(NIST, "CP-4(3)", "testing is automated", (_P.EXERCISE, _P.RECOVERY)),
    Control(NIST, "CP-4(4)", "full recovery, back to a known state", (_P.RECOVERY, _P.FAIL_BACK, _P.CLEAN)),
    Control(NIST, "CP-4(5)", "the system is disrupted on purpose", (_P.SELF_CHALLENGE, _P.CLEAN)),
    Control(NIST, "CP-10", "recovery and reconstitution", (_P.RECOVERY, _P.CLEAN)),
    Control(FEDRAMP, "CP-4", "a functional test, its plan approved before", (_P.RECOVERY, _P.APPROVED)),
    Control(PCI, "12.10.2", "the response plan is tested by those in it", (_P.EXERCISE, _P.RESPONSE)),
    Control(HIPAA, "164.308(a)(7)(ii)(D)", "contingency plans are tested", (_P.PROCEDURE, _P.RECOVERY)),
)  # fmt: skip


def citations(view: View, findings: Findings) -> tuple[Citation, ...]:
    """Return the clauses that this run is evidence towards, in the table's order.

    Nothing is cited for a history that is damaged: what it shows is not known.
    """
    if view.trace.faults:
        return ()
    shown = dict(_parts(view, findings))
    found = []
    for control in CONTROLS:
        if all(part in shown for part in control.needs):
            parts = [shown[part] for part in control.needs]
            verdicts = [finding.verdict for part in parts for finding in part.findings]
            verdict = merge(verdicts) if verdicts else Verdict.PASS
            found.append(Citation(control, verdict, tuple(dict.fromkeys(part.where for part in parts))))
    return tuple(found)


def cited(view: View, findings: Findings) -> tuple[tuple[str, str, str], ...]:
    """Return the citations as (framework, clause, what is shown), as an attestation holds them."""
    found = (citation.control for citation in citations(view, findings))
    return tuple((control.framework, control.clause, control.shown) for control in found)


def missing(view: View, findings: Findings) -> tuple[tuple[Control, tuple[Part, ...]], ...]:
    """Return each clause that this run is not cited for, with the parts it lacks."""
    shown = {} if view.trace.faults else dict(_parts(view, findings))
    lacking = ((control, tuple(p for p in control.needs if p not in shown)) for control in CONTROLS)
    return tuple((control, parts) for control, parts in lacking if parts)


def _parts(view: View, findings: Findings) -> Iterator[tuple[Part, _Shown]]:
    happened = [step for step in view.plan.steps if _happened(view, step)]
    yield from _tested(view, findings)
    yield from _done(findings, happened)
    yield from _people(view, findings)


def _tested(view: View, findings: Findings) -> Iterator[tuple[Part, _Shown]]:
    """What was measured: a part that was not tested, or that nobody could decide, is not shown."""
    effects = _judged(findings, "fault took effect: ")
    if any(finding.verdict is Verdict.PASS for finding in effects):
        yield Part.SELF_CHALLENGE, _Shown("Faults: injected and read back in place", effects)
        if view.plan.objectives:
            yield Part.EXERCISE, _Shown("Fixed before the first fault: scenario and objectives")
        times = tuple(f for f in _judged(findings, "RTA ") if _is_recovery(f))
        if times:
            yield Part.RECOVERY, _Shown("Objectives: recovery time", times)
    points = tuple(f for f in _judged(findings, "RPA ") if f.interval is not None)
    if points:
        data = (*points, *_judged(findings, "data after fail-back "))
        yield Part.DATA, _Shown("Ledger of numbered writes: all read back", data)
    loads = tuple(f for f in _judged(findings, "load ") if f.verdict is not Verdict.UNKNOWN)
    if loads:
        yield Part.LOAD, _Shown("Load: offered and achieved", loads)
        if view.plan.kind == "capacity":
            yield Part.CAPACITY, _Shown("Capacity sign-off", _judged(findings, "capacity"))
    clean = tuple(f for f in findings.findings if f.name in ("no fault is left", "steady state after"))
    if view.injections and any(f.name == "no fault is left" and f.verdict is Verdict.PASS for f in clean):
        yield Part.CLEAN, _Shown("Undos: each fault read back as gone", clean)


def _done(findings: Findings, happened: list[Step]) -> Iterator[tuple[Part, _Shown]]:
    """What was carried out, step by step."""
    books = sorted({step.runbook for step in happened if step.runbook})
    if books:
        names = ", ".join(book.rpartition("/")[2] for book in books)
        yield Part.PROCEDURE, _Shown(f"Steps, planned and actual: {names}")
    forward = [step for step in happened if step.segment is not Segment.FAIL_BACK]
    if any(step.kind is StepKind.FAILOVER and step.segment is Segment.FAIL_OVER for step in forward):
        yield Part.SWITCHOVER, _Shown("Steps: failed over to the other side")
    if any(_restores(step) for step in forward):
        yield Part.RESTORE, _Shown("Steps: restored from backup")
    if not findings.failed_over and any(step.segment is Segment.FAIL_BACK for step in happened):
        yield Part.FAIL_BACK, _Shown("Steps: failed back")


def _people(view: View, findings: Findings) -> Iterator[tuple[Part, _Shown]]:
    """What people did: approved by signature, noticed, acted; and what policy kept them to."""
    events = [record.event for record in view.trace.records]
    first_ns = view.injections[0].commanded_ns if view.injections else view.last_ns
    before = [r.event for r in view.trace.records if r.at_ns <= first_ns]
    if any(isinstance(event, ApprovalGiven) and event.verified for event in before):
        yield Part.APPROVED, _Shown("Approvals: signed before the first fault")
    if any(isinstance(e, ManualReported) or (isinstance(e, Noted) and e.mark) for e in events):
        yield Part.RESPONSE, _Shown("By hand, and marks: what people noticed and did")
    if view.injections and any(isinstance(event, PolicyApplied) for event in before):
        left = _judged(findings, "no fault is left")
        yield Part.CONTAINED, _Shown("Stop conditions and blast radius, under the policy in force", left)


def _happened(view: View, step: Step) -> bool:
    ended = view.ended.get(step.id)
    return ended is not None and ended[1].effect is Effect.HAPPENED


def _is_recovery(finding: Finding) -> bool:
    """Tell whether a recovery was tested: taking the fault away tests none."""
    return finding.interval is not None and dict(finding.numbers).get("recovered_by") != "fault_removed"


def _judged(findings: Findings, begin: str) -> tuple[Finding, ...]:
    """Return the findings of a name that were tested at all."""
    named = (f for f in findings.findings if f.name.startswith(begin))
    return tuple(f for f in named if f.verdict is not Verdict.NOT_TESTED)


def _restores(step: Step) -> bool:
    """Tell whether a step restores a backup, by what its action is called."""
    if step.do is None:
        return False
    try:
        provider = json.loads(step.do.provider)
    except ValueError:
        return False
    return isinstance(provider, dict) and "restore" in str(provider.get("func", "")).lower()
