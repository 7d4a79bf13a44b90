"""Approvals and work by hand, in words and tables: who was asked, who said what, and how long it took."""

from __future__ import annotations

from gameday.evidence.account import Account
from gameday.evidence.tables import Cell, Table, figure, row
from gameday.evidence.words import at, count, limit, name_of, shown, span
from gameday.history.events import Command, Report, StepStarted, UndoEnded, UndoStarted
from gameday.history.people import (
    ApprovalGiven,
    ApprovalsNeeded,
    GateEnded,
    GateWaiting,
    ManualReported,
    Need,
)
from gameday.history.record import Trace
from gameday.plan.approvals import START
from gameday.plan.byhand import planned_ns
from gameday.plan.model import Plan, Step, StepKind

DONE = "say `gameday done --note TEXT`, or `gameday failed --note TEXT`"


def people_words(plan: Plan, event: Command | Report) -> tuple[str, str] | None:
    """Return (topic, words) for an event of people; None for every other."""
    match event:
        case GateWaiting() if wanted := tuple(need for need in event.needs if need.live):
            ask = f"`gameday approve --as NAME --role {wanted[0].role}`"
            return "APPROVE", f"{gate_name(plan, event.gate)} waits for {needs(wanted)}: {ask}"
        case GateEnded(passed=True):
            return "approve", f"{gate_name(plan, event.gate)}: {event.reason}"
        case GateEnded():
            return "APPROVE", f"{gate_name(plan, event.gate)}: {event.reason}"
        case ApprovalGiven():
            how = (
                f"signed, key {event.fingerprint}"
                if event.verified
                else "claimed, NOT signed: counts for nothing"
            )
            return "approve", f"{event.principal} as {event.role} for {gate_name(plan, event.gate)}: {how}"
        case ManualReported():
            what = "its undo is " if event.role == "undo" else ""
            note = f": {event.note}" if event.note else ""
            word = "done" if event.done else "failed"
            return "by hand", f"{name_of(plan, event.step)}: {what}{word}, says {event.by}{note}"
        case StepStarted() if (step := _manual(plan, event.step)) is not None:
            again = ", completing after the halt" if event.completing else ""
            return "BY HAND", f"{task(step)}{again}; then {DONE}"
        case UndoStarted() if (step := _step(plan, event.step)) is not None and step.undo_by_hand:
            return "BY HAND", f"undo {step.name}: {step.undo_by_hand}; then {DONE}"
        case UndoEnded(undone=True) if (step := _step(plan, event.step)) is not None and step.undo_by_hand:
            return "undone", f"{step.name}: by hand, {event.detail}; nothing else reads it back"
        case _:
            return None


def task(step: Step) -> str:
    """Return who must do what."""
    how = f". {step.instructions}" if step.instructions else ""
    return f"{step.who or 'somebody'}: {step.name}{how}"


def needs(wanted: tuple[Need, ...]) -> str:
    """Return what a gate waits for: `2 approvers, live`."""
    return " and ".join(count(n.count, n.role) + (", live" if n.live else "") for n in wanted) or "nobody"


def gate_name(plan: Plan, gate: str) -> str:
    """Return what a gate is called."""
    return "the start" if gate == START else name_of(plan, gate)


def _step(plan: Plan, name: str) -> Step | None:
    return next((step for step in plan.steps if step.id == name), None)


def _manual(plan: Plan, name: str) -> Step | None:
    step = _step(plan, name)
    return step if step is not None and step.kind is StepKind.MANUAL else None


def approvals(plan: Plan, trace: Trace) -> Table:
    """Who approved what, by which key, and how long each gate waited."""
    rows: list[tuple[Cell, ...]] = []
    opened: dict[str, tuple[int, GateWaiting]] = {}
    signers = ""
    for record in trace.records:
        match record.event:
            case ApprovalsNeeded() as event:
                signers = event.signers_sha256
            case GateWaiting() as event:
                opened[event.gate] = (record.at_ns, event)
            case ApprovalGiven() as event:
                rows.append(_given(plan, record.at_ns, record.utc, event))
            case GateEnded() as event:
                rows.append(_gate(plan, record.at_ns, record.utc, event, opened.get(event.gate)))
            case _:
                pass
    note = (
        "A signature is by an SSH key over a statement kept in approvals/; `ssh-keygen -Y verify` checks it."
        " A name without a signature is as claimed and counts for nothing."
    )
    if signers:
        note += f" Keys: allowed_signers, SHA-256 {signers}."
    columns = ("When", "Gate", "Who", "Waited", "What")
    return Table("Approvals", columns, tuple(rows[:200]), note)


def _given(plan: Plan, at_ns: int, utc: str, event: ApprovalGiven) -> tuple[Cell, ...]:
    kind = (
        ("live, over the frozen targets" if event.live else "beforehand")
        if event.verified
        else "claimed only"
    )
    proof = f"key {event.fingerprint}, statement SHA-256 {event.statement_sha256}" if event.verified else ""
    until = f", until {event.expires_utc}" if event.expires_utc else ""
    return row(
        figure(at(at_ns), utc[11:23]),
        gate_name(plan, event.gate),
        Cell(shown(event.principal), shown(f"as {event.role}")),
        "",
        Cell(f"{kind}{until}", shown(proof)),
    )


def _gate(
    plan: Plan, at_ns: int, utc: str, event: GateEnded, opened: tuple[int, GateWaiting] | None
) -> tuple[Cell, ...]:
    waited = figure("")
    if opened is not None:
        planned = limit(opened[1].deadline_ns - opened[0])
        waited = figure(span(at_ns - opened[0]), f"at most {planned}")
    fate = "opened" if event.passed else "NOT opened"
    return row(
        figure(at(at_ns), utc[11:23]),
        gate_name(plan, event.gate),
        "",
        waited,
        Cell(fate, shown(event.reason)),
    )


def by_hand(account: Account) -> Table:
    """What people did by hand, planned time against actual."""
    rows = []
    said = {
        (r.event.step, r.event.role): r.event
        for r in account.view.trace.records
        if isinstance(r.event, ManualReported)
    }
    for run in account.steps:
        if run.step.kind is StepKind.MANUAL:
            took = span(run.end_ns - run.start_ns) if run.end_ns is not None else "never reported"
            told = said.get((run.step.id, "do"))
            rows.append(_hand(run.step, task(run.step), planned_ns(account.view.plan, run.step), took, told))
    for undo in account.undos:
        if undo.step.undo_by_hand:
            took = span(undo.end_ns - undo.start_ns) if undo.end_ns is not None else "never reported"
            text = f"undo {undo.step.name}: {undo.step.undo_by_hand}"
            told = said.get((undo.step.id, "undo"))
            rows.append(_hand(undo.step, text, undo.step.undo_deadline_ns, took, told))
    note = "Nothing reads back what people say; probes and the steady state are the only witness."
    return Table("By hand", ("What", "Planned", "Took", "Who said so", "What they said"), tuple(rows), note)


def _hand(step: Step, text: str, planned_ns: int, took: str, told: ManualReported | None) -> tuple[Cell, ...]:
    words = ("done" if told.done else "failed") if told is not None else "nobody said anything"
    return row(
        Cell(shown(text), shown(step.target)),
        figure(f"within {limit(planned_ns)}"),
        figure(took),
        told.by if told is not None else "",
        Cell(words, shown(told.note) if told is not None else ""),
    )
