"""The figures that the terminal and the web page both show, so that no two views disagree."""

from __future__ import annotations

from dataclasses import dataclass

from gameday.console.follow import RECENT_NS, Follower
from gameday.engine.windows import Gauge
from gameday.evidence.words import limit
from gameday.history.events import Phase
from gameday.history.histogram import merge, percentile_us
from gameday.plan.model import NS

STALE_NS = 2 * NS
SLOT_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class Recent:
    """The load over the last two seconds, in requests a second; `short` when it is under what was asked."""

    offered: float
    achieved: float
    good: float
    failed: float
    short: bool
    p99_ms: float | None


def recent_load(follower: Follower) -> Recent | None:
    """Return the load over the last two seconds; None when there is none."""
    recent = follower.recent
    if not recent:
        return None
    span_s = max(len({(b.start_ns + SLOT_NS // 2) // SLOT_NS for b in recent}), 1) * SLOT_NS / NS
    span_s = min(span_s, RECENT_NS / NS)
    p99_us = percentile_us(merge(b.latency for b in recent), 990_000)
    offered, started = sum(b.intended for b in recent), sum(b.started for b in recent)
    return Recent(
        offered / span_s,
        started / span_s,
        sum(b.good for b in recent) / span_s,
        sum(b.bad + b.dropped for b in recent) / span_s,
        started * 100 < offered * 98,
        None if p99_us is None else p99_us / 1000,
    )


def stale_ns(follower: Follower, gauge: Gauge, now_ns: int) -> int | None:
    """Return how old the last reading behind a level is, where it is not fresh: silence is not health."""
    if follower.ended is not None:
        return None
    if gauge.slo.probe is not None:
        last_ns = (follower.state.read_ns(gauge.slo.probe) or (None, None))[1]
    else:
        last_ns = follower.recent[-1].start_ns if follower.recent else None
    return None if last_ns is None or now_ns - last_ns < STALE_NS else now_ns - last_ns


def held_words(follower: Follower, now_ns: int) -> str:
    """Say how long the steady state has held, and how long it must; empty in phases that wait for none."""
    state, steady = follower.state, follower.plan.steady_state
    if state.phase not in (Phase.BASELINE, Phase.RECOVERING):
        return ""
    needed_ns = steady.baseline_ns if state.phase is Phase.BASELINE else steady.stabilise_ns
    if state.held_since_ns is None:
        return f"steady state: not held yet, {limit(needed_ns)} needed"
    held_ns = min(max(now_ns - state.held_since_ns, 0), needed_ns)
    return f"steady state: held {held_ns / NS:.0f} of {limit(needed_ns)}"
