"""Fold one event into the state: what the run *is*, never what it should do next.

Both commands and reports pass through here. A command counts from the moment it is recorded: a
step that was started may have changed the world, so its undo is owed from then on.
"""

from __future__ import annotations

from dataclasses import replace

from gameday.engine import trials
from gameday.engine.gates import forget, people, touched
from gameday.engine.limits import watch
from gameday.engine.meters import Meter, begun_meters, emptied_meters, metered_bucket, metered_sample
from gameday.engine.state import LedgerTask, Owed, Running, State, Undoing
from gameday.engine.windows import add_bucket, add_sample, emptied
from gameday.history.capacityevents import StepSkipped, TrialEnded, TrialStarted
from gameday.history.events import (
    Armed,
    Effect,
    Event,
    HaltAsked,
    Halted,
    KillAsked,
    LedgerAsked,
    LedgerRead,
    Phase,
    PhaseChanged,
    PurgeAsked,
    Reading,
    RunnerLost,
    Sample,
    StepEnded,
    StepStarted,
    SyntheticPurged,
    UndoEnded,
    UndoStarted,
    Warned,
)
from gameday.history.loadevents import LoadAsked, LoadBucket, LoadReported
from gameday.history.people import ApprovalGiven, ApprovalsNeeded, GateEnded, GateWaiting, ManualReported
from gameday.plan.model import Step, StepKind

LEDGER_DEADLINE_NS = 20_000_000_000
PURGE_DEADLINE_NS = 10_000_000_000


def apply(state: State, at_ns: int, event: Event | None) -> State:  # noqa: C901, PLR0912 - one case per event
    """Return the state after `event`, seen at `at_ns`. None: only time has passed."""
    state = _passed(replace(state, now_ns=max(state.now_ns, at_ns)))
    match event:
        case None:
            return watch(state)
        case Sample():
            return watch(_sampled(state, event))
        case LoadBucket():
            return watch(_load_counted(state, event))
        case PhaseChanged():
            return _phase(state, event)
        case Armed():
            return replace(state, armed=True)
        case StepStarted():
            return _step_started(touched(state, event), event)
        case StepEnded():
            return _step_ended(forget(state, event), event)
        case KillAsked():
            return _kill_asked(state, event)
        case UndoStarted():
            return _undo_started(state, event)
        case UndoEnded():
            return _undo_ended(forget(state, event), event)
        case HaltAsked():
            asked = Halted(by=event.by, reason=event.reason)
            watching = state.phase is Phase.RECOVERING  # Nothing is left to do but to look on.
            again = state.halt_asked is not None or state.halted is not None or watching
            return replace(state, halt_asked=state.halt_asked or asked, hurried=state.hurried or again)
        case Halted():
            return replace(state, halted=event)
        case RunnerLost():
            return _runner_lost(state, event)
        case LedgerAsked() | LedgerRead() | PurgeAsked() | SyntheticPurged():
            return _ledger(state, event)
        case LoadAsked() | LoadReported():
            return _load(state, event)
        case ApprovalsNeeded() | GateWaiting() | GateEnded() | ApprovalGiven() | ManualReported():
            return people(state, event)
        case TrialStarted() | TrialEnded() | StepSkipped():
            return _trial(state, event)
        case Warned():
            return replace(state, warned=(*state.warned, event.condition))
        case _:
            return state


def _phase(state: State, event: PhaseChanged) -> State:
    fresh = event.phase in (Phase.BASELINE, Phase.RECOVERING)
    return replace(
        state,
        phase=event.phase,
        phase_since_ns=state.now_ns,
        gauges=emptied(state.gauges) if fresh else state.gauges,
        meters=_meters(state, event.phase),
        held_since_ns=None if fresh else state.held_since_ns,
    )


def _meters(state: State, phase: Phase) -> tuple[Meter, ...]:
    if phase is Phase.BASELINE:
        return emptied_meters(state.meters)
    return begun_meters(state.meters, state.now_ns) if phase is Phase.RUNNING else state.meters


def _sampled(state: State, sample: Sample) -> State:
    gauges = add_sample(state.gauges, sample, state.now_ns)
    meters = metered_sample(state.meters, sample, state.now_ns, gauges)
    state = replace(state, gauges=gauges, meters=meters)
    if sample.reading is Reading.UNREADABLE:
        return state
    others = tuple(entry for entry in state.readable_ns if entry[0] != sample.probe)
    return replace(state, readable_ns=(*others, (sample.probe, sample.sent_ns, sample.ended_ns)))


def _load_counted(state: State, bucket: LoadBucket) -> State:
    gauges = add_bucket(state.gauges, bucket, state.now_ns)
    meters = metered_bucket(state.meters, bucket, state.now_ns, gauges)
    known = state.trials and trials.bucketed(state.trials, bucket)
    return replace(state, gauges=gauges, meters=meters, trials=known)


def _passed(state: State) -> State:
    if state.trials is None or state.phase is not Phase.RUNNING:
        return state
    return replace(state, trials=trials.passed(state.trials, state.now_ns))


def _trial(state: State, event: TrialStarted | TrialEnded | StepSkipped) -> State:
    known = state.trials
    match event:
        case StepSkipped():
            return replace(state, ended=(*state.ended, event.step))
        case TrialStarted() if known is not None:
            return replace(state, trials=trials.started(known, event))
        case TrialEnded() if known is not None:
            return replace(state, trials=trials.ended(known, event, state.now_ns))
        case _:
            return state


def _step_started(state: State, event: StepStarted) -> State:
    step = state.step(event.step)
    deadline_ns = state.now_ns + step.deadline_ns
    running = Running(step.id, state.now_ns, deadline_ns, completing=event.completing)
    others = tuple(r for r in state.running if r.step != step.id)
    tried = (*state.completing_tried, step.id) if event.completing else state.completing_tried
    state = replace(state, running=(*others, running), completing_tried=tried)
    if state.trials is not None and step.kind in (StepKind.TRIAL, StepKind.SEARCH):
        state = replace(state, trials=trials.calmed(state.trials, state.now_ns))
    if step.point_of_no_return and step.runbook and step.runbook not in state.past_return:
        state = replace(state, past_return=(*state.past_return, step.runbook))
    if not step.owes_undo or any(owed.step == step.id for owed in state.owed):
        return state
    return _owe(state, step)


def _owe(state: State, step: Step) -> State:
    replaced = tuple(owed for owed in state.owed if owed.target in step.supersedes)
    ttls = [owed.ttl_at_ns for owed in replaced if owed.ttl_at_ns is not None]
    if step.ttl_ns is not None:
        ttls.append(state.now_ns + step.ttl_ns)
    target = step.target or (step.supersedes[0] if step.supersedes else step.id)
    new = Owed(
        step=step.id,
        target=target,
        since_ns=state.now_ns,
        ttl_at_ns=min(ttls) if ttls else None,
        replaced=replaced,
    )
    return replace(state, owed=(*(owed for owed in state.owed if owed not in replaced), new))


def _step_ended(state: State, event: StepEnded) -> State:
    running = next((r for r in state.running if r.step == event.step), None)
    if running is None:
        return state  # A late report of a step that was already settled.
    step = state.step(event.step)
    rest = tuple(r for r in state.running if r.step != event.step)
    happened = event.effect is Effect.HAPPENED and not (
        step.kind is StepKind.FAULT and event.in_place is False
    )
    ended = tuple(done for done in state.ended if done != step.id)
    failed = tuple(name for name in state.failed if name != step.id)
    state = replace(
        state,
        running=rest,
        ended=(*ended, step.id),
        failed=failed if happened else (*failed, step.id),
    )
    if event.effect is Effect.DID_NOT_HAPPEN:
        return _forgive(state, step)
    if step.point_of_no_return:
        state = replace(state, failed_over=True)
    if step.returns_home and happened:
        state = replace(state, failed_over=False)
    if step.for_ns is not None and step.kind is StepKind.FAULT:
        until_ns = state.now_ns + step.for_ns
        timed = tuple(
            replace(owed, for_until_ns=until_ns) if owed.step == step.id else owed for owed in state.owed
        )
        state = replace(state, owed=timed)
    return state


def _forgive(state: State, step: Step) -> State:
    """Nothing happened for certain: what it would have owed is not owed, what it replaced is."""
    owed: list[Owed] = []
    for item in state.owed:
        owed.extend(item.replaced if item.step == step.id else (item,))
    owed.sort(key=lambda item: item.since_ns)
    past = state.past_return
    if step.point_of_no_return:
        past = tuple(name for name in past if name != step.runbook)
    return replace(state, owed=tuple(owed), past_return=past)


def _kill_asked(state: State, event: KillAsked) -> State:
    if event.role == "do":
        return replace(
            state,
            running=tuple(
                replace(r, killed_ns=state.now_ns) if r.step == event.step else r for r in state.running
            ),
        )
    return replace(
        state,
        undoing=tuple(
            replace(u, killed_ns=state.now_ns) if u.step == event.step else u for u in state.undoing
        ),
    )


def _undo_started(state: State, event: UndoStarted) -> State:
    step = state.step(event.step)
    owed = next((item for item in state.owed if item.step == event.step), None)
    target = owed.target if owed else step.target or step.id
    before = next((u for u in state.undoing if u.step == event.step), None)
    now_ns = state.now_ns
    undo = Undoing(
        step=event.step,
        target=target,
        started_ns=now_ns,
        deadline_ns=before.deadline_ns if before else now_ns + step.undo_deadline_ns,
        why=event.why,
        attempts=before.attempts + 1 if before else 1,
    )
    others = tuple(u for u in state.undoing if u.step != event.step)
    return replace(state, undoing=(*others, undo), last_undo_ns=now_ns)


def _undo_ended(state: State, event: UndoEnded) -> State:
    undo = next((u for u in state.undoing if u.step == event.step), None)
    if event.undone:
        return replace(
            state,
            undoing=tuple(u for u in state.undoing if u.step != event.step),
            owed=tuple(item for item in state.owed if item.step != event.step),
            stuck=tuple(name for name in state.stuck if name != event.step),
        )
    if undo is None:
        return state
    by_hand = bool(state.step(event.step).undo_by_hand)
    retry = not by_hand and undo.killed_ns is None and undo.attempts < 3 and state.now_ns < undo.deadline_ns
    if retry:
        waiting = replace(undo, retry=True)
        return replace(state, undoing=tuple(waiting if u is undo else u for u in state.undoing))
    return replace(
        state,
        undoing=tuple(u for u in state.undoing if u.step != event.step),
        owed=tuple(item for item in state.owed if item.step != event.step),
        stuck=(*(name for name in state.stuck if name != event.step), event.step),
    )


def _runner_lost(state: State, event: RunnerLost) -> State:
    """The runner is dead, so are its hosts: what ran is indeterminate, what was undoing is owed."""
    for running in state.running:
        step = state.step(running.step)
        name = running.step
        state = replace(
            state,
            ended=(*(n for n in state.ended if n != name), name),
            failed=(*(n for n in state.failed if n != name), name),
            failed_over=state.failed_over or step.point_of_no_return,
        )
    again = tuple(
        Owed(step=name, target=state.step(name).target or name, since_ns=state.now_ns)
        for name in state.stuck
        if all(owed.step != name for owed in state.owed)
    )
    return replace(
        state,
        phase=Phase.UNDOING if state.phase is Phase.FINISHED else state.phase,
        running=(),
        undoing=(),
        last_undo_ns=None,
        owed=(*state.owed, *again),
        stuck=(),
        ledger=None,
        purge_deadline_ns=None,
        load_running=(),
        trials=state.trials and replace(state.trials, now=None),
        lost=True,
        halt_asked=state.halt_asked or Halted(by=event.by, reason=event.reason),
    )


def _ledger(state: State, event: LedgerAsked | LedgerRead | PurgeAsked | SyntheticPurged) -> State:
    match event:
        case LedgerAsked():
            names = tuple(ledger.name for ledger in state.plan.ledgers)
            task = LedgerTask(event.occasion, state.now_ns + LEDGER_DEADLINE_NS, names)
            return replace(state, ledger=task)
        case LedgerRead():
            waiting = state.ledger.waiting if state.ledger else ()
            waiting = tuple(name for name in waiting if name != event.ledger)
            if state.ledger is not None and waiting:
                return replace(state, ledger=replace(state.ledger, waiting=waiting))
            return replace(state, ledger=None, ledger_read=(*state.ledger_read, event.occasion))
        case PurgeAsked():
            return replace(state, purge_deadline_ns=state.now_ns + PURGE_DEADLINE_NS)
        case SyntheticPurged():
            return replace(state, purged=True, purge_deadline_ns=None)


def _load(state: State, event: LoadAsked | LoadReported) -> State:
    others = tuple(name for name in state.load_running if name != event.load)
    match event:
        case LoadAsked(ask="start"):
            return replace(state, load_running=(*others, event.load))
        case LoadAsked(ask="stop"):
            return replace(state, load_running=others)
        case LoadReported(state="lost"):
            detail = f"load {event.load} was lost: {event.detail}"
            return replace(state, load_running=others, load_lost=state.load_lost or detail)
        case _:
            return state
