"""How near each stop condition is to ending the drill, in words and in one of four degrees."""

from __future__ import annotations

from enum import StrEnum

from gameday.console.follow import Follower
from gameday.engine.limits import is_listened_to
from gameday.engine.meters import Meter
from gameday.engine.readings import figure_words
from gameday.evidence.words import limit
from gameday.history.events import Phase
from gameday.plan.model import NS, LimitKind, StopCondition


class Near(StrEnum):
    """How near a limit is. Unread is not clear: nothing is known of it."""

    UNREAD = "unread"
    CLEAR = "clear"
    NEAR = "near"
    BREACHED = "breached"


Nearness = tuple[str, Near]


def nearness(follower: Follower, stop: StopCondition, now_ns: int) -> Nearness:
    """Return how near a stop condition is: in words, and how near."""
    state = follower.state
    if state.halted is not None and state.halted.condition == stop.name:
        return "BREACHED, halted", Near.BREACHED
    if stop.name in state.warned:
        return "breached, warned", Near.NEAR
    if state.phase is not Phase.RUNNING:
        return "watched while the drill runs", Near.UNREAD
    if stop.kind is LimitKind.DURATION:
        return _of(max(now_ns - state.phase_since_ns, 0), stop.duration_ns)
    if stop.kind is LimitKind.SILENCE:
        return _silence(follower, stop, now_ns)
    return _metered(next(meter for meter in state.meters if meter.condition == stop), now_ns)


def _metered(meter: Meter, now_ns: int) -> Nearness:
    stop, seen = meter.condition, figure_words(meter, now_ns)
    if meter.crossed_ns is not None:
        lasting = f"crossed for {max(now_ns - meter.crossed_ns, 0) / NS:.1f} of {limit(stop.for_ns)}"
        return f"{lasting}{', ' if seen else ''}{seen}", Near.NEAR
    if stop.kind is LimitKind.ROW:
        return f"{meter.row} of {stop.in_a_row}", Near.NEAR if meter.row else Near.CLEAR
    if meter.read_sent_ns is None:
        return "not read yet", Near.UNREAD
    return seen or "clear", Near.CLEAR


def _of(passed_ns: int, limit_ns: int | None) -> Nearness:
    near = passed_ns * 2 > (limit_ns or 1)
    return f"{passed_ns / NS:.1f} of {limit(limit_ns)}", Near.NEAR if near else Near.CLEAR


def _silence(follower: Follower, stop: StopCondition, now_ns: int) -> Nearness:
    state = follower.state
    probes = [p.name for p in follower.plan.probes if is_listened_to(stop, p)]
    ends_ns = [(state.read_ns(name) or (0, state.phase_since_ns))[1] for name in probes]
    return _of(max(now_ns - min(ends_ns, default=now_ns), 0), stop.silence_ns)
