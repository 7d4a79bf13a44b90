"""What happened, in words a person under stress understands. One record, one line, or none.

The terminal and the report say the same things in the same words because both read them here. The
topic is in capitals where somebody should look up.
"""

from __future__ import annotations

from gameday.evidence.handwork import people_words
from gameday.evidence.trialwords import trial_words
from gameday.evidence.words import (
    OUTCOME_WORDS,
    READ_BACK_WORDS,
    WHY_UNDONE,
    count,
    load_words,
    name_of,
    shown,
)
from gameday.history.events import (
    Armed,
    Command,
    Effect,
    HaltAsked,
    Halted,
    HostLostReported,
    KillAsked,
    LedgerRead,
    Noted,
    Phase,
    PhaseChanged,
    Report,
    RunEnded,
    RunnerLost,
    RunStarted,
    StepEnded,
    StepStarted,
    SyntheticPurged,
    TargetsResolved,
    UndoEnded,
    UndoStarted,
    Warned,
)
from gameday.history.loadevents import LoadAsked, LoadReported
from gameday.plan.model import LoadChange, Plan, StepKind

_PHASES = {
    Phase.BASELINE: "waiting until the steady state has held; nothing is touched before that",
    Phase.RUNNING: "the steady state held: the drill begins",
    Phase.UNDOING: "taking back whatever is still in place",
    Phase.RECOVERING: "nothing is left in place: waiting for the steady state again",
    Phase.FINISHED: "over",
}
_STARTED = {
    StepKind.FAULT: ("FAULT", "is being put in place"),
    StepKind.HOLD: ("hold", "nothing changes meanwhile"),
    StepKind.UNDO: ("undo", "as the runbook says"),
}
_UNCHANGED = (StepKind.HOLD, StepKind.UNDO, StepKind.LOAD, StepKind.APPROVAL)


def narrate(plan: Plan, event: Command | Report) -> tuple[str, str] | None:
    """Return (topic, words) for an event; None for what a person need not read."""
    said = (
        people_words(plan, event)
        or trial_words(event)
        or _run(plan, event)
        or _steps(plan, event)
        or _rest(event)
    )
    return (said[0], shown(said[1])) if said else None


def _run(plan: Plan, event: Command | Report) -> tuple[str, str] | None:
    match event:
        case RunStarted():
            return "run", f"{plan.title}  [{event.run}]"
        case TargetsResolved():
            frozen = ", ".join(event.targets) or "none"
            return "targets", f"{len(event.targets)} of {event.population} in {event.environment}: {frozen}"
        case Armed():
            return "armed", f"{count(event.hosts, 'host')} and the watchdog are ready, every undo with them"
        case PhaseChanged():
            return "phase", f"{event.phase}: {_PHASES.get(event.phase, event.reason)}"
        case Halted():
            return "HALT", f"{event.reason} (by {event.by}); every fault is now taken back"
        case HaltAsked():
            return "halt", f"asked for by {event.by}: {event.reason}"
        case Warned():
            return "warning", event.reason
        case RunnerLost():
            return "WATCHDOG", f"{event.reason}; {event.by} takes over and takes every fault back"
        case RunEnded():
            stuck = f"; STUCK, a person is needed: {_names(plan, event.stuck)}" if event.stuck else ""
            over = "; left failed over, a person is needed" if event.failed_over else ""
            return "run", f"the drill {OUTCOME_WORDS.get(event.outcome, event.outcome)}{stuck}{over}"
        case _:
            return None


def _steps(plan: Plan, event: Command | Report) -> tuple[str, str] | None:
    match event:
        case StepStarted():
            return _started(plan, event)
        case StepEnded():
            return _ended(plan, event)
        case UndoStarted():
            return "undo", f"{_undo_name(plan, event.step)}: {WHY_UNDONE.get(event.why, event.why)}"
        case UndoEnded() if event.undone:
            return "undone", f"{_undo_name(plan, event.step)}: gone, read back"
        case UndoEnded():
            detail = f". {event.detail}" if event.detail else ""
            return "UNDO", f"{_undo_name(plan, event.step)}: NOT undone{detail}"
        case KillAsked():
            what = "its undo" if event.role == "undo" else "its action"
            return "kill", f"{name_of(plan, event.step)}: {what} is killed ({event.reason})"
        case _:
            return None


def _rest(event: Command | Report) -> tuple[str, str] | None:
    match event:
        case LoadAsked(ask="stop"):
            return "load", f"{event.load} stops"
        case LoadAsked():
            return (
                "load",
                f"{event.load} at {load_words(LoadChange(event.load, event.rate_per_1000s, event.users))}",
            )
        case LoadReported(state="lost" | "short"):
            return "LOAD", f"{event.load} is {event.state}: {event.detail}"
        case LedgerRead():
            when = READ_BACK_WORDS.get(event.occasion, event.occasion)
            if event.ok:
                return "ledger", f"read back {when}: {count(event.recovered, 'write')} found"
            return "LEDGER", f"could not be read back {when}: {event.detail}"
        case SyntheticPurged():
            if event.ok:
                return "purge", f"{count(event.purged, 'synthetic write')} removed"
            return "PURGE", f"synthetic writes were NOT removed: {event.detail}"
        case Noted():
            return (event.mark or "note"), f"{event.text or event.mark} ({event.by})"
        case HostLostReported():
            return "HOST", f"{event.host} is gone: {event.detail}"
        case _:
            return None


def _started(plan: Plan, event: StepStarted) -> tuple[str, str]:
    step = next((s for s in plan.steps if s.id == event.step), None)
    if step is None:
        return "step", event.step
    again = ", completing after the halt" if event.completing else ""
    topic, words = _STARTED.get(step.kind, ("step", ""))
    where = f" on {step.target}" if step.kind is StepKind.FAULT and step.target else ""
    return topic, f"{step.name}{where}{again}{': ' if words else ''}{words}"


def _ended(plan: Plan, event: StepEnded) -> tuple[str, str] | None:
    step = next((s for s in plan.steps if s.id == event.step), None)
    name, kind = (step.name, step.kind) if step else (event.step, None)
    detail = f". {event.detail}" if event.detail else ""
    if event.effect is Effect.HAPPENED:
        if kind is not StepKind.FAULT:
            return None if kind in _UNCHANGED else ("done", name)
        if event.in_place:
            return "fault", f"{name}: injected, read back in place"
        seen = "NOT in place" if event.in_place is False else "injected, but nobody could read it back"
        return "FAULT", f"{name}: {seen}{detail}"
    if kind is StepKind.HOLD:
        return "hold", f"{name}: cut short{detail}"
    fate = "did not happen" if event.effect is Effect.DID_NOT_HAPPEN else "may or may not have happened"
    return "FAILED", f"{name}: {fate}{detail}"


def _undo_name(plan: Plan, step_id: str) -> str:
    step = next((s for s in plan.steps if s.id == step_id), None)
    if step is None:
        return step_id
    if step.kind is StepKind.FAULT or step.undo is None:
        return step.name
    return step.undo.name.removeprefix("undo of ")  # The line begins with `undo` already.


def _names(plan: Plan, step_ids: tuple[str, ...]) -> str:
    return ", ".join(_undo_name(plan, step_id) for step_id in step_ids)
