"""The parts of the live view that hold numbers: service levels, load, and the limits that would halt."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gameday.console.figures import recent_load, stale_ns
from gameday.console.follow import RECENT_NS, Follower
from gameday.console.nearness import Near, nearness
from gameday.engine.windows import Gauge, burn_rate
from gameday.evidence.words import condition, limit, percent, shown
from gameday.plan.model import NS, PPM

_NEAR = {Near.UNREAD: "dim", Near.CLEAR: "green", Near.NEAR: "bold yellow", Near.BREACHED: "bold red"}


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
    """Say so when a level rests on readings that are not fresh."""
    old_ns = stale_ns(follower, gauge, now_ns)
    return Text("" if old_ns is None else f"last read {old_ns / NS:.0f} s ago", style="yellow")


def load(follower: Follower) -> RenderableType:
    """Return what was offered and achieved over the last two seconds."""
    table = Table(title=f"load, last {limit(RECENT_NS)}", title_justify="left", box=None, padding=(0, 1))
    for name in ("offered", "on time", "good", "failed", "p99"):
        table.add_column(name, justify="right", no_wrap=True)
    now = recent_load(follower)
    if now is None:
        table.add_row("-", "-", "-", "-", "-")
        return table
    short = " short" if now.short else ""
    table.add_row(
        f"{now.offered:.0f}/s",
        Text(f"{now.achieved:.0f}/s{short}", style="bold yellow" if now.short else ""),
        f"{now.good:.0f}/s",
        Text(f"{now.failed:.0f}/s", style="bold red" if now.failed else ""),
        "-" if now.p99_ms is None else f"{now.p99_ms:.0f} ms",
    )
    return table


def limits(follower: Follower, now_ns: int) -> RenderableType:
    """Return each stop condition and how near it is."""
    table = Table.grid(padding=(0, 2))
    for stop in follower.plan.stop_conditions:
        table.add_row(
            Text("halts on" if stop.then == "halt" else "warns on", style="dim"),
            Text(shown(condition(stop), 64), no_wrap=True, overflow="ellipsis"),
            _styled(*nearness(follower, stop, now_ns)),
        )
    return table


def _styled(words: str, near: Near) -> Text:
    return Text(words, style=_NEAR[near])
