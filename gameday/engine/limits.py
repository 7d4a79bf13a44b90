"""Stop conditions and the steady state: what the samples say, as limits see it.

Every limit fails closed: what cannot be read for longer than its silence limit is a breach, an SLO
without data is not met. Only a run that may still inject (phase `running`) can be breached; before
it the baseline gates, after it there is nothing left to halt.

Each halt says between which two instants its limit was crossed: (the last sample within it was sent,
the first sample beyond it ended]. The time that a limit waits (`for`) comes after that and is known.
"""

from __future__ import annotations

from dataclasses import replace

from gameday.engine.meters import Meter
from gameday.engine.readings import figure_words
from gameday.engine.state import State
from gameday.engine.trials import is_tried
from gameday.engine.windows import emptied
from gameday.history.events import Halted, Phase, Warned
from gameday.plan.limitwords import limit_words, subject_words, time_words
from gameday.plan.model import LimitKind, Probe, StopCondition


def watch(state: State) -> State:
    """Bring up to date since when the steady state holds."""
    return _steady(state) if state.phase in (Phase.BASELINE, Phase.RECOVERING) else state


def _steady(state: State) -> State:
    wanted = state.plan.steady_state.slos
    met = [
        gauge.is_met()
        for gauge in state.gauges
        if gauge.slo.name in wanted and not (state.load_stopped and gauge.slo.probe is None)
    ]
    if False in met:
        # The window starts anew, so that what went wrong before cannot be averaged away.
        return replace(state, held_since_ns=None, gauges=emptied(state.gauges))
    if None in met or not met:
        return replace(state, held_since_ns=None)
    since_ns = state.now_ns if state.held_since_ns is None else state.held_since_ns
    return replace(state, held_since_ns=since_ns)


def is_blind(state: State) -> bool:
    """Tell whether the halt stopped the load that every SLO of the steady state is measured on."""
    wanted = state.plan.steady_state.slos
    seen = any(slo.probe is not None for slo in state.plan.slos if slo.name in wanted)
    return bool(wanted) and not seen and state.load_stopped


def held_for(state: State, duration_ns: int) -> bool:
    """Tell whether the steady state has held for that long, without a break, until now."""
    if not state.plan.steady_state.slos:
        return state.now_ns - state.phase_since_ns >= duration_ns
    return state.held_since_ns is not None and state.now_ns - state.held_since_ns >= duration_ns


def breach(state: State) -> Halted | Warned | None:
    """Return the halt (or the warning) that the stop conditions call for now, if any."""
    if state.phase is not Phase.RUNNING:
        return None
    radius = state.plan.blast_radius
    if radius is not None and state.now_ns - state.phase_since_ns > radius.duration_ns:
        reason = f"the drill has run for {time_words(radius.duration_ns)}, its blast radius allows no more"
        end_ns = state.phase_since_ns + radius.duration_ns
        return Halted("blast radius", reason, "duration", end_ns, state.now_ns)
    for meter in state.meters:
        found = _breached(state, meter)
        if found is None:
            continue
        condition = meter.condition
        if is_tried(state.trials, condition.slo):
            continue
        if condition.then == "halt":
            return found
        if condition.name not in state.warned:
            return Warned(condition=condition.name, reason=found.reason)
    return None


def _breached(state: State, meter: Meter) -> Halted | None:
    condition = meter.condition
    match meter.kind:
        case LimitKind.SILENCE:
            return _silence_breach(state, condition)
        case LimitKind.DURATION:
            end_ns = state.phase_since_ns + (condition.duration_ns or 0)
            over = state.now_ns > end_ns
            return _halt(condition, limit_words(condition), end_ns, state.now_ns) if over else None
        case _:
            return _meter_breach(state, meter)


def _meter_breach(state: State, meter: Meter) -> Halted | None:
    condition, crossed_ns = meter.condition, meter.crossed_ns
    if crossed_ns is not None and state.now_ns - crossed_ns >= condition.for_ns:
        seen = figure_words(meter, state.now_ns)
        reason = f"{limit_words(condition)}{': ' if seen else ''}{seen}"
        return _halt(condition, reason, meter.kept_ns, crossed_ns)
    if condition.fresh_ns is None:
        return None
    last_ns = max(meter.read_ended_ns, state.phase_since_ns)
    if state.now_ns - last_ns <= condition.fresh_ns:
        return None
    reason = f"{subject_words(condition)} could not be read for {time_words(condition.fresh_ns)}"
    return _halt(condition, reason, meter.read_sent_ns or 0, state.now_ns)


def _silence_breach(state: State, condition: StopCondition) -> Halted | None:
    silence_ns = condition.silence_ns or 0
    for probe in state.plan.probes:
        if not is_listened_to(condition, probe):
            continue
        sent_ns, ended_ns = state.read_ns(probe.name) or (0, 0)
        if state.now_ns - max(ended_ns, state.phase_since_ns) > silence_ns:
            reason = f"probe {probe.name} could not be read for {time_words(silence_ns)}"
            return _halt(condition, reason, sent_ns, state.now_ns)
    return None


def is_listened_to(condition: StopCondition, probe: Probe) -> bool:
    """Tell whether a limit on silence is about this probe. Probes of other conditions have their own."""
    return condition.probe == probe.name or (condition.probe is None and not probe.of_condition)


def _halt(condition: StopCondition, reason: str, after_ns: int, before_ns: int) -> Halted:
    return Halted(
        by="stop condition",
        reason=reason,
        condition=condition.name,
        breach_after_ns=after_ns,
        breach_before_ns=before_ns,
    )
