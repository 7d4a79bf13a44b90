"""Gates and work by hand: nothing goes on before people have said so, and nothing waits for ever.

* A gate opens only to signatures that meet all its needs before its deadline. It never times out to
  go: a drill that has touched nothing yet is refused, a later one halts and undoes.
* A manual step ends when a person says `done` or `failed`; at its deadline its effect is
  indeterminate, as that of any action that was killed.
* An undo by hand is done when a person says so. Until then it is in the way of nothing but undos of
  the same target; at its deadline it is stuck, and whoever says `done` later still clears it.
"""

from __future__ import annotations

from dataclasses import replace

from gameday.engine.people import Gate, missing, needs_of, said_of, with_gate
from gameday.engine.state import Running, State, Undoing
from gameday.history.events import Effect, Halted, StepEnded, StepStarted, UndoEnded
from gameday.history.people import (
    ApprovalGiven,
    ApprovalsNeeded,
    GateEnded,
    GateWaiting,
    ManualReported,
    PeopleEvent,
)
from gameday.plan.approvals import START
from gameday.plan.model import NS, StepKind

Settled = GateWaiting | GateEnded | StepEnded | UndoEnded
_HARMLESS = (StepKind.HOLD, StepKind.APPROVAL)


def people(state: State, event: PeopleEvent) -> State:
    """Return the state after one of the events of people."""
    known = state.people
    match event:
        case ApprovalsNeeded():
            known = replace(known, start_needs=event.needs, start_timeout_ns=event.timeout_ns)
        case GateWaiting():
            known = with_gate(known, Gate(event.gate, event.needs, state.now_ns, event.deadline_ns))
        case GateEnded():
            gate = known.gate(event.gate) or Gate(event.gate, (), state.now_ns, state.now_ns)
            known = with_gate(known, replace(gate, passed=event.passed, reason=event.reason))
        case ApprovalGiven() if _counts(state, event):
            known = replace(known, approvals=(*known.approvals, event))
        case ManualReported() if _is_awaited(state, event):
            others = tuple(r for r in known.said if (r.step, r.role) != (event.step, event.role))
            known = replace(known, said=(*others, event))
        case _:
            return state
    return replace(state, people=known)


def _counts(state: State, event: ApprovalGiven) -> bool:
    gate = state.people.gate(event.gate)
    waits = gate is not None and gate.passed is None
    return event.verified and (waits or not event.live)


def _is_awaited(state: State, event: ManualReported) -> bool:
    if event.role == "do":
        kinds = (state.step(r.step).kind for r in state.running if r.step == event.step)
        return any(kind is StepKind.MANUAL for kind in kinds)
    if event.step in state.stuck:
        return event.done and bool(state.step(event.step).undo_by_hand)
    undoing = any(undo.step == event.step for undo in state.undoing)
    return undoing and bool(state.step(event.step).undo_by_hand)


def forget(state: State, event: StepEnded | UndoEnded) -> State:
    """Return the state without what was said of something that has ended."""
    role = "do" if isinstance(event, StepEnded) else "undo"
    said = tuple(r for r in state.people.said if (r.step, r.role) != (event.step, role))
    return state if said == state.people.said else replace(state, people=replace(state.people, said=said))


def touched(state: State, event: StepStarted) -> State:
    """Return the state after a step was started: from most kinds on, refusing is no longer possible."""
    if state.step(event.step).kind in _HARMLESS:
        return state
    return replace(state, people=replace(state.people, touched=True))


# --- deciding --------------------------------------------------------------------------------


def open_start(state: State) -> tuple[Settled, ...]:
    """Return the gate before the first fault, when there is one and it was not reached yet."""
    needs = state.people.start_needs
    if not needs or state.people.gate(START) is not None:
        return ()
    return (GateWaiting(START, needs, state.now_ns + state.people.start_timeout_ns),)


def is_open(state: State) -> bool:
    """Tell whether everything that was needed before the first fault was given."""
    gate = state.people.gate(START)
    return not state.people.start_needs or (gate is not None and gate.passed is True)


def settle(state: State) -> tuple[Settled, ...]:
    """Return what people, or their silence, decide now."""
    for running in state.running:
        item = state.step(running.step)
        if item.kind is StepKind.APPROVAL and state.people.gate(item.id) is None:
            return (GateWaiting(item.id, needs_of(item.needs), running.deadline_ns),)
    for gate in state.people.gates:
        if gate.passed is None and (ended := _gate(state, gate)):
            return ended
    return _reported(state)


def _gate(state: State, gate: Gate) -> tuple[Settled, ...]:
    if state.halted is not None:
        return (GateEnded(gate.gate, passed=False, reason="the run was halted"),)
    given = state.people.given(gate.gate)
    left = missing(gate.needs, given)
    is_step = any(running.step == gate.gate for running in state.running)
    if state.now_ns >= gate.deadline_ns:
        waited_s = (state.now_ns - gate.since_ns) / NS
        reason = f"not approved within {waited_s:.0f} s: {said_of(left)} did not sign"
        late = GateEnded(gate.gate, passed=False, reason=reason)
        step_late = StepEnded(gate.gate, Effect.DID_NOT_HAPPEN, detail=reason)
        return (late, step_late) if is_step else (late,)
    if left:
        return ()
    names = ", ".join(dict.fromkeys(approval.principal for approval in given))
    passed = GateEnded(gate.gate, passed=True, reason=f"approved by {names}")
    step_passed = StepEnded(gate.gate, Effect.HAPPENED, detail=passed.reason)
    return (passed, step_passed) if is_step else (passed,)


def _reported(state: State) -> tuple[Settled, ...]:
    for running in state.running:
        said = state.people.report(running.step, "do")
        if said is not None:
            effect = Effect.HAPPENED if said.done else Effect.INDETERMINATE
            return (StepEnded(running.step, effect, detail=_words(said)),)
    for undo in state.undoing:
        said = state.people.report(undo.step, "undo")
        if said is not None:
            return (UndoEnded(undo.step, undone=said.done, detail=_words(said)),)
    for name in state.stuck:
        said = state.people.report(name, "undo")
        if said is not None:
            return (UndoEnded(name, undone=True, detail=_words(said)),)
    return ()


def _words(said: ManualReported) -> str:
    note = f": {said.note}" if said.note else ""
    return f"{'done' if said.done else 'failed'}, says {said.by}{note}"


def refusal(state: State) -> Halted | None:
    """Return the halt that a gate which was not opened in time calls for."""
    gate = next((gate for gate in state.people.gates if gate.passed is False), None)
    if gate is None:
        return None
    name = "the start" if gate.gate == START else repr(state.step(gate.gate).name)
    before = "" if state.people.touched else "; nothing was injected"
    return Halted(by="approval", reason=f"{name} was {gate.reason}{before}")


def late_step(state: State, running: Running) -> StepEnded | None:
    """Return the end of a manual step of which nobody said anything in time."""
    if state.now_ns < running.deadline_ns:
        return None
    limit_s = (running.deadline_ns - running.started_ns) / NS
    detail = f"nobody said within {limit_s:g} s that it is done"
    return StepEnded(running.step, Effect.INDETERMINATE, detail=detail)


def late_undo(state: State, undo: Undoing) -> UndoEnded | None:
    """Return the end of an undo by hand of which nobody said anything in time."""
    if state.now_ns < undo.deadline_ns:
        return None
    text = state.step(undo.step).undo_by_hand
    return UndoEnded(undo.step, undone=False, detail=f"nobody said that it is done; by hand: {text}")
