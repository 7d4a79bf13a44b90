"""A drill as plain lines: one for each thing that happened, in words, for logs and pipes."""

from __future__ import annotations

from gameday.history.events import (
    Armed,
    Effect,
    HaltAsked,
    Halted,
    HostLostReported,
    KillAsked,
    LedgerRead,
    LoadAsked,
    LoadReported,
    Noted,
    Phase,
    PhaseChanged,
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
from gameday.history.record import Record
from gameday.plan.model import Plan, StepKind

_PHASES = {
    Phase.BASELINE: "waiting for the steady state before anything is touched",
    Phase.RUNNING: "the steady state held: the drill begins",
    Phase.UNDOING: "taking back whatever is still in place",
    Phase.RECOVERING: "nothing is left in place: waiting for the steady state again",
    Phase.FINISHED: "over",
}
_WHY = {
    "halt": "because of the halt",
    "ttl": "its time to live is over",
    "for": "its time is over",
    "end": "the steps are over",
    "step": "as the runbook says",
    "lost": "the runner is gone",
}


def line_of(plan: Plan, record: Record) -> str | None:
    """Return the line for one record; None for what a person need not read."""
    said = _words(plan, record)
    if said is None:
        return None
    topic, text = said
    return f"+{record.at_ns / 1e9:6.2f}s  {topic:9} {text}"


def _words(plan: Plan, record: Record) -> tuple[str, str] | None:  # noqa: C901, PLR0912 - one case per event
    event = record.event
    match event:
        case RunStarted():
            return "run", f"{plan.title}  [{event.run}]"
        case TargetsResolved():
            frozen = ", ".join(event.targets) or "none"
            return "target", f"{event.environment}: {len(event.targets)} of {event.population} ({frozen})"
        case Armed():
            return "armed", f"{event.hosts} hosts and the watchdog are ready"
        case PhaseChanged():
            return "phase", f"{event.phase}: {_PHASES.get(event.phase, event.reason)}"
        case LoadAsked(ask="start" | "change"):
            rate = f"{event.rate_per_1000s / 1000:g}/s" if event.rate_per_1000s else f"{event.users} users"
            return "load", f"{event.load} at {rate}"
        case LoadReported(state="lost"):
            return "LOAD", f"{event.load} is lost: {event.detail}"
        case StepStarted():
            return _started(plan, event)
        case StepEnded():
            return _ended(plan, event)
        case UndoStarted():
            return "undo", f"{_name(plan, event.step)}: {_WHY.get(event.why, event.why)}"
        case UndoEnded():
            if event.undone:
                return "undo", f"{_name(plan, event.step)}: gone, read back"
            return "UNDO", f"{_name(plan, event.step)}: NOT undone. {event.detail}"
        case KillAsked():
            return "kill", f"{_name(plan, event.step)} ({event.role}): {event.reason}"
        case Halted():
            return "HALT", f"{event.reason} (by {event.by})"
        case Warned():
            return "warning", event.reason
        case HaltAsked():
            return "halt", f"asked for by {event.by}: {event.reason}"
        case _:
            return _more(event)


def _more(event: object) -> tuple[str, str] | None:
    match event:
        case LedgerRead():
            if event.ok:
                return "ledger", f"read back ({event.occasion}): {event.recovered} writes are there"
            return "LEDGER", f"could not be read back ({event.occasion}): {event.detail}"
        case SyntheticPurged():
            done = f"{event.purged} synthetic writes removed"
            return "purge", done if event.ok else f"synthetic writes were NOT removed: {event.detail}"
        case Noted():
            return (event.mark or "note"), f"{event.text or event.mark} ({event.by})"
        case RunnerLost():
            return "WATCHDOG", f"{event.reason}; {event.by} takes over"
        case HostLostReported():
            return "host", f"{event.host} is gone: {event.detail}"
        case RunEnded():
            stuck = f", STUCK: {', '.join(event.stuck)}" if event.stuck else ""
            return "run", f"{event.outcome}{stuck}{', left failed over' if event.failed_over else ''}"
        case _:
            return None


def _started(plan: Plan, event: StepStarted) -> tuple[str, str]:
    step = next(s for s in plan.steps if s.id == event.step)
    again = " (completing after the halt)" if event.completing else ""
    topic = {StepKind.FAULT: "FAULT", StepKind.HOLD: "hold", StepKind.UNDO: "undo"}.get(step.kind, "step")
    return topic, f"{step.name}{again}"


def _ended(plan: Plan, event: StepEnded) -> tuple[str, str] | None:
    step = next(s for s in plan.steps if s.id == event.step)
    if event.effect is Effect.HAPPENED:
        if step.kind is StepKind.FAULT:
            return "fault", f"{step.name}: {'in place, read back' if event.in_place else 'NOT in place'}"
        return None if step.kind in (StepKind.HOLD, StepKind.UNDO, StepKind.LOAD) else ("done", step.name)
    words = {"did_not_happen": "did not happen", "indeterminate": "may or may not have happened"}
    return "FAILED", f"{step.name}: {words[event.effect]}. {event.detail}"


def _name(plan: Plan, step_id: str) -> str:
    return next((step.name for step in plan.steps if step.id == step_id), step_id)
