"""The parts of the live view that hold numbers: service levels, load, and the limits that would halt."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gameday.console.follow import RECENT_NS, Follower
from gameday.engine.limits import is_listened_to
from gameday.engine.meters import Meter
from gameday.engine.readings import figure_words
from gameday.engine.windows import Gauge, burn_rate
from gameday.evidence.words import condition, limit, percent, shown
from gameday.history.events import Phase
from gameday.history.histogram import merge, percentile_us
from gameday.plan.model import NS, PPM, LimitKind, StopCondition

STALE_NS = 2 * NS
SLOT_NS = 100_000_000


def levels(follower: Follower, now_ns: int) -> RenderableType:
    """Return each SLO with its good share, budget and burn rate over its window."""
    table = Table(title="service levels", title_justify="left", box=None, padding=(0, 1))
    for name in ("", "good", "objective", "latency", "budget left", "burn", ""):
        table.add_column(name, justify="left" if name in ("", "objective") else "right", no_wrap=True)
    for gauge in follower.state.gauges:
        table.add_row(*_level(gauge), _age(follower, gauge, now_ns))
    return table


def _level(gauge: Gauge) -> tuple[Text, ...]:
    slo = gauge.slo
    name = Text(shown(slo.name, 24))
    aim = f"{percent(slo.objective_ppm)} in {limit(slo.window_ns)}"
    share = gauge.good_ppm()
    if share is None:
        return name, Text("no data", style="yellow"), Text(aim), Text(""), Text("-"), Text("-")
    burn = burn_rate(good=gauge.good(), valid=gauge.valid(), objective_ppm=slo.objective_ppm)
    good = f"{share * 100 / PPM:.1f} %"
    latency_ns = gauge.latency_ns()
    stat = ""
    if slo.below_ns is not None:
        now = "-" if latency_ns is None else f"{latency_ns / 1e6:.0f}"
        stat = f"{slo.load_stat} {now} of {limit(slo.below_ns)}"
    met = bool(gauge.is_met())
    style, word = ("green", "ok") if met else ("bold red", "missed")
    left = f"{max(0.0, 1.0 - burn) * 100:.0f} %"
    return name, Text(good), Text(aim), Text(stat), Text(left), Text(f"{burn:.1f}x {word}", style=style)


def _age(follower: Follower, gauge: Gauge, now_ns: int) -> Text:
    """Say so when a level rests on readings that are not fresh: silence is not health."""
    if follower.ended is not None:
        return Text("")
    if gauge.slo.probe is not None:
        last_ns = (follower.state.read_ns(gauge.slo.probe) or (None, None))[1]
    else:
        last_ns = follower.recent[-1].start_ns if follower.recent else None
    if last_ns is None or now_ns - last_ns < STALE_NS:
        return Text("")
    return Text(f"last read {(now_ns - last_ns) / NS:.0f} s ago", style="yellow")


def load(follower: Follower) -> RenderableType:
    """Return what was offered and achieved over the last two seconds."""
    table = Table(title=f"load, last {limit(RECENT_NS)}", title_justify="left", box=None, padding=(0, 1))
    for name in ("offered", "on time", "good", "failed", "p99"):
        table.add_column(name, justify="right", no_wrap=True)
    recent = follower.recent
    if not recent:
        table.add_row("-", "-", "-", "-", "-")
        return table
    span_s = max(len({(b.start_ns + SLOT_NS // 2) // SLOT_NS for b in recent}), 1) / 10
    p99_us = percentile_us(merge(b.latency for b in recent), 990_000)
    offered, started = sum(b.intended for b in recent), sum(b.started for b in recent)
    failed = sum(b.bad + b.dropped for b in recent)
    short = started * 100 < offered * 98
    table.add_row(
        f"{offered / span_s:.0f}/s",
        Text(f"{started / span_s:.0f}/s{' short' if short else ''}", style="bold yellow" if short else ""),
        f"{sum(b.good for b in recent) / span_s:.0f}/s",
        Text(f"{failed / span_s:.0f}/s", style="bold red" if failed else ""),
        "-" if p99_us is None else f"{p99_us / 1000:.0f} ms",
    )
    return table


def limits(follower: Follower, now_ns: int) -> RenderableType:
    """Return each stop condition and how near it is."""
    table = Table.grid(padding=(0, 2))
    for stop in follower.plan.stop_conditions:
        table.add_row(
            Text("halts on" if stop.then == "halt" else "warns on", style="dim"),
            Text(shown(condition(stop), 64), no_wrap=True, overflow="ellipsis"),
            _nearness(follower, stop, now_ns),
        )
    return table


def _nearness(follower: Follower, stop: StopCondition, now_ns: int) -> Text:
    state = follower.state
    if state.halted is not None and state.halted.condition == stop.name:
        return Text("BREACHED, halted", style="bold red")
    if stop.name in state.warned:
        return Text("breached, warned", style="bold yellow")
    if state.phase is not Phase.RUNNING:
        return Text("watched while the drill runs", style="dim")
    if stop.kind is LimitKind.DURATION:
        return _of(max(now_ns - state.phase_since_ns, 0), stop.duration_ns)
    if stop.kind is LimitKind.SILENCE:
        return _silence(follower, stop, now_ns)
    return _metered(next(meter for meter in state.meters if meter.condition == stop), now_ns)


def _metered(meter: Meter, now_ns: int) -> Text:
    stop, seen = meter.condition, figure_words(meter, now_ns)
    if meter.crossed_ns is not None:
        lasting = f"crossed for {max(now_ns - meter.crossed_ns, 0) / NS:.1f} of {limit(stop.for_ns)}"
        return Text(f"{lasting}{', ' if seen else ''}{seen}", style="bold yellow")
    if stop.kind is LimitKind.ROW:
        return Text(f"{meter.row} of {stop.in_a_row}", style="bold yellow" if meter.row else "green")
    if meter.read_sent_ns is None:
        return Text("not read yet", style="dim")
    return Text(seen or "clear", style="green")


def _of(passed_ns: int, limit_ns: int | None) -> Text:
    near = passed_ns * 2 > (limit_ns or 1)
    return Text(f"{passed_ns / NS:.1f} of {limit(limit_ns)}", style="bold yellow" if near else "green")


def _silence(follower: Follower, stop: StopCondition, now_ns: int) -> Text:
    state = follower.state
    probes = [p.name for p in follower.plan.probes if is_listened_to(stop, p)]
    ends_ns = [(state.read_ns(name) or (0, state.phase_since_ns))[1] for name in probes]
    return _of(max(now_ns - min(ends_ns, default=now_ns), 0), stop.silence_ns)
