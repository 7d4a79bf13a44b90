"""Stop conditions and the steady state: what the samples say, as limits see it.

Every limit fails closed: a probe that cannot be read for longer than the silence limit is a breach,
an SLO without data is not met. Only a run that may still inject (phase `running`) can be breached;
before it the baseline gates, after it there is nothing left to halt.
"""

from __future__ import annotations

from dataclasses import replace

from gameday.engine.state import State
from gameday.engine.windows import emptied
from gameday.history.events import Halted, Phase, Warned
from gameday.plan.model import NS, PPM, StopCondition


def watch(state: State) -> State:
    """Bring up to date since when the steady state holds and since when each limit is crossed."""
    if state.phase in (Phase.BASELINE, Phase.RECOVERING):
        return _steady(state)
    if state.phase is Phase.RUNNING:
        return _crossings(state)
    return state


def _steady(state: State) -> State:
    wanted = state.plan.steady_state.slos
    met = [gauge.is_met() for gauge in state.gauges if gauge.slo.name in wanted]
    if False in met:
        # The window starts anew, so that what went wrong before cannot be averaged away.
        return replace(state, held_since_ns=None, gauges=emptied(state.gauges))
    if None in met or not met:
        return replace(state, held_since_ns=None)
    since_ns = state.now_ns if state.held_since_ns is None else state.held_since_ns
    return replace(state, held_since_ns=since_ns)


def _crossings(state: State) -> State:
    before = dict(state.breach_since)
    after: dict[str, int] = {}
    for condition in state.plan.stop_conditions:
        if condition.slo is not None and _is_crossed(state, condition):
            after[condition.name] = before.get(condition.name, state.now_ns)
    if after == before:
        return state
    return replace(state, breach_since=tuple(after.items()))


def _is_crossed(state: State, condition: StopCondition) -> bool:
    gauge = next((g for g in state.gauges if g.slo.name == condition.slo), None)
    bad_ppm = gauge.bad_ppm() if gauge else None
    limit_ppm = condition.bad_above_ppm if condition.bad_above_ppm is not None else PPM
    return bad_ppm is not None and bad_ppm > limit_ppm


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
        reason = f"the drill has run for {_s(radius.duration_ns)}, its blast radius allows no more"
        return Halted(by="blast radius", reason=reason, condition="duration")
    for condition in state.plan.stop_conditions:
        found = _breached(state, condition)
        if found is None:
            continue
        if condition.then == "halt":
            return found
        if condition.name not in state.warned:
            return Warned(condition=condition.name, reason=found.reason)
    return None


def _breached(state: State, condition: StopCondition) -> Halted | None:
    if condition.slo is not None:
        return _slo_breach(state, condition)
    if condition.in_a_row is not None:
        return _row_breach(state, condition)
    return _silence_breach(state, condition)


def _slo_breach(state: State, condition: StopCondition) -> Halted | None:
    since_ns = dict(state.breach_since).get(condition.name)
    if since_ns is None or state.now_ns - since_ns < condition.for_ns:
        return None
    limit = (condition.bad_above_ppm or 0) / 10_000
    lasting = f" for {_s(condition.for_ns)}" if condition.for_ns else ""
    reason = f"SLO {condition.slo}: more than {limit:g} % bad{lasting}"
    return _halt(condition, reason, since_ns, state.now_ns)


def _row_breach(state: State, condition: StopCondition) -> Halted | None:
    for probe, count, last_good_ns, _first_bad_ns in state.bad_runs:
        if probe == condition.probe and count >= (condition.in_a_row or 1):
            reason = f"probe {probe}: {count} bad samples in a row, limit {condition.in_a_row}"
            return _halt(condition, reason, last_good_ns, state.now_ns)
    return None


def _silence_breach(state: State, condition: StopCondition) -> Halted | None:
    if condition.silence_ns is None:
        return None
    read = dict(state.readable_ns)
    for probe in state.plan.probes:
        if condition.probe not in (None, probe.name):
            continue
        last_ns = max(read.get(probe.name, 0), state.phase_since_ns)
        if state.now_ns - last_ns > condition.silence_ns:
            reason = f"probe {probe.name} could not be read for {_s(condition.silence_ns)}"
            return _halt(condition, reason, last_ns, state.now_ns)
    return None


def _halt(condition: StopCondition, reason: str, after_ns: int, before_ns: int) -> Halted:
    return Halted(
        by="stop condition",
        reason=reason,
        condition=condition.name,
        breach_after_ns=after_ns,
        breach_before_ns=before_ns,
    )


def _s(duration_ns: int) -> str:
    return f"{duration_ns / NS:g} s"
