"""Which undo starts now: in reverse order of injection, never waiting long for one that hangs.

The next undo starts when the last one has ended, or half a second after it started, whichever is
first. Only undos that share a target wait for one another to the end. An undo waits for the death
of its own step's action (it must not race an injection), and for the completing steps of a runbook
whose point of no return has passed, because a node can only rejoin what has been promoted.
"""

from __future__ import annotations

from collections.abc import Iterable

from gameday.engine.state import Owed, State
from gameday.history.events import Phase, UndoStarted
from gameday.plan.model import Step

STAGGER_NS = 500_000_000
DEATH_WAIT_NS = 500_000_000


def pending_completion(state: State) -> tuple[Step, ...]:
    """Return the completing steps that a halted run still owes, in order of the plan.

    None once a completing step was tried after the halt and failed: a person is needed then.
    """
    if state.halted is None:
        return ()
    tried = set(state.completing_tried)
    if any(name in tried and name in state.failed for name in state.ended):
        return ()
    return tuple(
        step
        for step in state.plan.steps
        if step.complete
        and step.runbook in state.past_return
        and (step.id not in state.ended or step.id in state.failed)
    )


def undos_due(state: State) -> tuple[UndoStarted, ...]:
    """Return at most one undo to start now."""
    retry = next((u for u in state.undoing if u.retry), None)
    if retry is not None:
        return (UndoStarted(step=retry.step, why=retry.why),)
    if not state.owed or not _is_turn(state):
        return ()
    blocked = {undo.target for undo in state.undoing}
    for owed, why in _wanted(state):
        if any(undo.step == owed.step for undo in state.undoing):
            continue
        if _may_still_act(state, owed):
            return ()  # Its action dies within the grace; starting others first would break the order.
        if owed.target in blocked or _waits_for_completion(state, owed):
            blocked.add(owed.target)
            continue
        return (UndoStarted(step=owed.step, why=why),)
    return ()


def _is_turn(state: State) -> bool:
    """Only the undo that started last is waited for: one that hangs holds the others up once, not each."""
    last_ns = state.last_undo_ns
    if last_ns is None or all(undo.started_ns < last_ns for undo in state.undoing):
        return True
    return state.now_ns - last_ns >= STAGGER_NS


def _wanted(state: State) -> Iterable[tuple[Owed, str]]:
    """Yield what is to be undone now and why, last injected first."""
    everything = _why_everything(state)
    asked = {state.step(r.step).target for r in state.running if state.step(r.step).kind == "undo"}
    for owed in reversed(state.owed):
        if everything:
            yield owed, everything
        elif owed.ttl_at_ns is not None and state.now_ns >= owed.ttl_at_ns:
            yield owed, "ttl"
        elif owed.for_until_ns is not None and state.now_ns >= owed.for_until_ns:
            yield owed, "for"
        elif owed.target in asked:
            yield owed, "step"


def _why_everything(state: State) -> str:
    if state.lost:
        return "lost"
    if state.halted is not None:
        return "halt"
    return "end" if state.phase is Phase.UNDOING else ""


def _may_still_act(state: State, owed: Owed) -> bool:
    running = next((r for r in state.running if r.step == owed.step), None)
    if running is None or _waits_for_completion(state, owed):
        return False
    patience_ns = state.step(owed.step).grace_ns + DEATH_WAIT_NS  # It may act until its grace is over.
    return running.killed_ns is None or state.now_ns - running.killed_ns < patience_ns


def _waits_for_completion(state: State, owed: Owed) -> bool:
    runbook = state.step(owed.step).runbook
    return runbook is not None and any(step.runbook == runbook for step in pending_completion(state))
