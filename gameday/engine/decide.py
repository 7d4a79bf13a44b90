"""Decide what a run does next. Pure: no clock, no I/O, no threads.

`step` maps (state, event) to (state, commands). Everything that can block, crash or lie lives
outside and comes back as an event, so the whole safety argument can be tested in virtual time:

* once halted, nothing starts but undos and the completing steps of a runbook past its point of
  no return;
* whatever may have happened is undone, by its undo or by the one that superseded it;
* each step and each undo ends by its deadline, and every run finishes.

A command is applied to the state as soon as it is decided, so one event may lead to several.
"""

from __future__ import annotations

from gameday.engine import gates, trials
from gameday.engine.apply import apply
from gameday.engine.limits import breach, held_for, is_blind
from gameday.engine.state import Running, State, Undoing
from gameday.engine.undo import DEATH_WAIT_NS, pending_completion, undos_due
from gameday.history.capacityevents import StepSkipped
from gameday.history.events import (
    Command,
    Effect,
    Event,
    Halted,
    KillAsked,
    LedgerAsked,
    LedgerRead,
    Phase,
    PhaseChanged,
    PurgeAsked,
    StepEnded,
    StepStarted,
    UndoEnded,
)
from gameday.history.loadevents import LoadAsked
from gameday.plan.model import NS, Step, StepKind

Decision = Command | StepEnded | UndoEnded | LedgerRead
LOAD_STOPPED = "the load was stopped by the halt, so its service levels were not seen again"
_ROUNDS_MAX = 200
_ACTING = (StepKind.FAULT, StepKind.FAILOVER, StepKind.CHANGE)


def step(state: State, at_ns: int, event: Event | None) -> tuple[State, tuple[Decision, ...]]:
    """Return what the run becomes after `event` at `at_ns`, and what it must do now, in order."""
    state = apply(state, at_ns, event)
    decided: list[Decision] = []
    for _ in range(_ROUNDS_MAX):
        commands = _next(state)
        if not commands:
            return state, tuple(decided)
        for command in commands:
            state = apply(state, state.now_ns, command)
        decided.extend(commands)
    raise AssertionError(f"the engine did not settle: {decided[-3:]}")


def _next(state: State) -> tuple[Decision, ...]:
    if state.is_over:
        return ()
    rules = (
        _give_up, gates.settle, _halt, _kill_running, _stop_load, _end_trial, _complete, undos_due,
        _settle_steps, _try, _advance,
    )  # fmt: skip
    for rule in rules:
        commands = rule(state)
        if commands:
            return tuple(commands)
    return ()


# --- deadlines -------------------------------------------------------------------------------


def _give_up(state: State) -> tuple[Decision, ...]:
    for running in state.running:
        late = _late_step(state, running)
        if late is not None:
            return (late,)
    for undo in state.undoing:
        late_undo = _late_undo(state, undo)
        if late_undo is not None:
            return (late_undo,)
    if state.ledger is not None and state.now_ns >= state.ledger.deadline_ns:
        occasion = state.ledger.occasion
        return tuple(
            LedgerRead(occasion, ok=False, recovered=0, detail="no answer in time", ledger=name)
            for name in state.ledger.waiting
        )
    return ()


def _late_step(state: State, running: Running) -> Decision | None:
    if state.step(running.step).kind is StepKind.MANUAL:
        return gates.late_step(state, running)
    if state.step(running.step).kind not in _ACTING:
        return None
    if running.killed_ns is not None:
        if state.now_ns - running.killed_ns < state.step(running.step).grace_ns + DEATH_WAIT_NS + NS:
            return None
        return StepEnded(running.step, Effect.INDETERMINATE, detail="no reply after it was killed")
    if state.now_ns >= running.deadline_ns:
        return KillAsked(running.step, "do", "its deadline has passed")
    return None


def _late_undo(state: State, undo: Undoing) -> Decision | None:
    if state.step(undo.step).undo_by_hand:
        return gates.late_undo(state, undo)
    if undo.killed_ns is not None:
        if state.now_ns - undo.killed_ns < DEATH_WAIT_NS:
            return None
        return UndoEnded(undo.step, undone=False, detail="no reply after it was killed")
    if state.now_ns >= undo.deadline_ns:
        return KillAsked(undo.step, "undo", "its deadline has passed")
    return None


# --- halting ---------------------------------------------------------------------------------


def _halt(state: State) -> tuple[Decision, ...]:
    if state.halted is not None:
        return ()
    found = _reason(state)
    return (found,) if found is not None else ()


def _reason(state: State) -> Decision | None:
    if state.halt_asked is not None:
        return state.halt_asked
    if (refusal := gates.refusal(state)) is not None:
        return refusal
    if state.load_lost and state.phase in (Phase.BASELINE, Phase.RUNNING):
        return Halted(by="load", reason=state.load_lost)
    if state.phase is Phase.BASELINE and _waited(state):
        patience = state.plan.steady_state.patience_ns
        reason = f"the steady state did not hold within {patience / NS:g} s; nothing was injected"
        return Halted(by="baseline", reason=reason)
    if state.phase is not Phase.RUNNING:
        return None
    if state.failed:
        name = state.step(state.failed[-1]).name
        return Halted(by="step", reason=f"step {name!r} failed, or is not known to have taken effect")
    if state.stuck:
        name = state.step(state.stuck[-1]).name
        return Halted(by="undo", reason=f"the undo of {name!r} is stuck")
    return breach(state)


def _waited(state: State) -> bool:
    return state.now_ns - state.phase_since_ns >= state.plan.steady_state.patience_ns


def _kill_running(state: State) -> tuple[Decision, ...]:
    if state.halted is None:
        return ()
    for running in state.running:
        item = state.step(running.step)
        if running.killed_ns is not None or running.completing or _runs_on(state, item):
            continue
        if item.kind in _ACTING:
            return (KillAsked(item.id, "do", "halt"),)
        return (StepEnded(item.id, Effect.INDETERMINATE, detail="halted"),)
    return ()


def _stop_load(state: State) -> tuple[Decision, ...]:
    """Stop the load at once where the condition that halted the run says so; else it is stopped last."""
    if not state.load_stopped:
        return ()
    return tuple(LoadAsked(name, "stop") for name in state.load_running)


def _end_trial(state: State) -> tuple[Decision, ...]:
    """End the trial that has decided, or whose step or run has ended; the load goes back at once."""
    known = state.trials
    if known is None or known.now is None:
        return ()
    is_running = any(running.step == known.now.step for running in state.running)
    over = trials.over_now(known, stopped="" if is_running else "the run was halted")
    if over is None:
        return ()
    name = known.capacity.load
    if name not in state.load_running:
        return (over,)
    return over, LoadAsked(name, "ease", rate_per_1000s=known.base_per_1000s)


def _runs_on(state: State, item: Step) -> bool:
    """Past the point of no return a step is killed only at its own deadline."""
    return item.point_of_no_return or (item.complete and item.runbook in state.past_return)


def _complete(state: State) -> tuple[Decision, ...]:
    if any(r.killed_ns is None and _runs_on(state, state.step(r.step)) for r in state.running):
        return ()
    for item in pending_completion(state):
        if all(r.step != item.id for r in state.running):
            return (StepStarted(item.id, completing=True),)
        return ()
    return ()


# --- steps that end by themselves ------------------------------------------------------------


def _settle_steps(state: State) -> tuple[Decision, ...]:
    for running in state.running:
        item = state.step(running.step)
        match item.kind:
            case StepKind.HOLD if state.now_ns - running.started_ns >= (item.for_ns or 0):
                return (StepEnded(item.id, Effect.HAPPENED),)
            case StepKind.LOAD:
                return (StepEnded(item.id, Effect.HAPPENED),)
            case StepKind.UNDO if not _is_undo_pending(state, item):
                stuck = any(state.step(name).target == item.target for name in state.stuck)
                effect = Effect.INDETERMINATE if stuck else Effect.HAPPENED
                return (StepEnded(item.id, effect),)
            case _:
                continue
    return ()


def _is_undo_pending(state: State, item: Step) -> bool:
    return any(owed.target == item.target for owed in state.owed) or any(
        undo.target == item.target for undo in state.undoing
    )


def _try(state: State) -> tuple[Decision, ...]:
    """Begin the next trial of the step that is running, or end the step."""
    known = state.trials
    if known is None or known.now is not None or state.halted is not None:
        return ()
    for running in state.running:
        kind = state.step(running.step).kind
        if kind is StepKind.TRIAL and (verdict := known.of_step(running.step)) is not None:
            return (StepEnded(running.step, Effect.HAPPENED, detail=str(verdict)),)
        if kind is StepKind.SEARCH and trials.is_searched(known):
            return (StepEnded(running.step, Effect.HAPPENED),)
        if kind in (StepKind.TRIAL, StepKind.SEARCH):
            begin = trials.sign_off_next if kind is StepKind.TRIAL else trials.search_next
            trial = begin(known, running.step, state.now_ns)
            if trial is not None:
                return (trial, LoadAsked(known.capacity.load, "change", rate_per_1000s=trial.rate_per_1000s))
    return ()


# --- going on --------------------------------------------------------------------------------


def _advance(state: State) -> tuple[Decision, ...]:
    if state.halted is not None and state.phase in (Phase.ARMING, Phase.BASELINE, Phase.RUNNING):
        return (PhaseChanged(Phase.UNDOING, "halted"),)
    match state.phase:
        case Phase.ARMING:
            return _begin_baseline(state) if state.armed else ()
        case Phase.BASELINE:
            if held_for(state, state.plan.steady_state.baseline_ns):
                return (PhaseChanged(Phase.RUNNING, "the steady state held"),)
            return ()
        case Phase.RUNNING:
            return _run(state)
        case Phase.UNDOING:
            return _after_undo(state)
        case Phase.RECOVERING:
            return _finish(state)
        case _:
            return ()


def _begin_baseline(state: State) -> tuple[Decision, ...]:
    if not gates.is_open(state):
        return gates.open_start(state)
    loads = tuple(
        LoadAsked(load.name, "start", rate_per_1000s=load.rate_per_1000s, users=load.users)
        for load in state.plan.load
    )
    return (PhaseChanged(Phase.BASELINE, "armed"), *loads)


def _run(state: State) -> tuple[Decision, ...]:
    if state.ledger is not None:
        return ()
    for group in state.script.groups:
        if all(_is_done(state, name) for name in group):
            continue
        busy = {running.step for running in state.running}
        due = [name for name in group if name not in busy and name not in state.ended]
        if skipped := _left_out(state, due):
            return skipped
        if due and not busy and _owes_ledger_read(state, group[0]):
            return (LedgerAsked("after-failover", resume=True),)
        return tuple(command for name in due for command in _start(state.step(name)))
    if state.running:
        return ()
    if _owes_ledger_read(state, None):
        return (LedgerAsked("after-failover", resume=True),)
    return (PhaseChanged(Phase.UNDOING, "all steps ended"),)


def _left_out(state: State, due: list[str]) -> tuple[Decision, ...]:
    """What was not proven with N is not tried with a fault in place."""
    verdict = trials.unproven(state.trials) if state.trials is not None else ""
    if not verdict:
        return ()
    reason = f"the required rate was not proven before: {verdict}"
    return tuple(
        StepSkipped(name, reason) for name in due if state.step(name).kind in (StepKind.FAULT, StepKind.TRIAL)
    )


def _is_done(state: State, name: str) -> bool:
    timed = any(owed.step == name and owed.for_until_ns is not None for owed in state.owed)
    return name in state.ended and not timed


def _start(item: Step) -> tuple[Decision, ...]:
    started = StepStarted(item.id)
    if item.load is None:
        return (started,)
    change = item.load
    return (started, LoadAsked(change.load, "change", change.rate_per_1000s, change.users))


def _owes_ledger_read(state: State, upcoming: str | None) -> bool:
    """After a fail-over, and before anything else is changed, all writes are read back once."""
    if state.plan.ledger is None or not state.past_return or "after-failover" in state.ledger_read:
        return False
    return upcoming is None or state.step(upcoming).runbook not in state.past_return


def _after_undo(state: State) -> tuple[Decision, ...]:
    if state.running or state.owed or state.undoing:
        return ()
    if state.lost or (not state.load_running and not state.plan.probes):
        return (PhaseChanged(Phase.FINISHED, "nothing is left to undo"),)
    return (PhaseChanged(Phase.RECOVERING, "nothing is left to undo"),)


def _finish(state: State) -> tuple[Decision, ...]:
    held = held_for(state, state.plan.steady_state.stabilise_ns)
    if not (held or _waited(state) or state.hurried or state.lost or _never_ran(state) or is_blind(state)):
        return ()
    if state.plan.ledger is not None and not state.lost and not _never_ran(state):
        if state.ledger is not None:
            return ()
        if "end" not in state.ledger_read:
            return (LedgerAsked("end", resume=False),)
    for name in state.load_running:
        return (LoadAsked(name, "stop"),)
    if not state.lost and not state.purged and state.armed and _writes(state):
        expired = state.purge_deadline_ns is not None and state.now_ns >= state.purge_deadline_ns
        if not expired:
            return () if state.purge_deadline_ns is not None else (PurgeAsked(marker="run"),)
    reason = "the steady state held" if held else "observation ended without a steady state"
    return (PhaseChanged(Phase.FINISHED, LOAD_STOPPED if state.load_stopped else reason),)


def _never_ran(state: State) -> bool:
    """A run that was halted before any fault has no recovery to observe."""
    gates_only = all(state.step(name).kind is StepKind.APPROVAL for name in state.ended)
    return gates_only and not state.stuck


def _writes(state: State) -> bool:
    return state.plan.ledger is not None or any(probe.writes for probe in state.plan.probes)
