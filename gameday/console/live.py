"""The live view on a terminal: where the run stands, what is next, what is in place, how users fare."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gameday.console.follow import Follower
from gameday.engine.windows import Gauge, burn_rate
from gameday.history.events import Phase
from gameday.history.histogram import merge, percentile_us
from gameday.plan.model import PPM, Step, StepKind

_PHASES = (Phase.ARMING, Phase.BASELINE, Phase.RUNNING, Phase.UNDOING, Phase.RECOVERING, Phase.FINISHED)
STEPS_SHOWN = 18


def draw(follower: Follower, now_ns: int) -> RenderableType:
    """Return one frame."""
    tables = Table.grid(padding=(0, 3))
    tables.add_row(_levels(follower), _load(follower))
    parts: list[RenderableType] = [_head(follower, now_ns), _steps(follower, now_ns), tables]
    faults = _faults(follower, now_ns)
    if faults is not None:
        parts.append(faults)
    parts.append(Text("Ctrl-C halts and undoes everything", style="dim"))
    return Group(*parts)


def _head(follower: Follower, now_ns: int) -> RenderableType:
    state = follower.state
    line = Text()
    for phase in _PHASES:
        style = "bold reverse" if phase is state.phase else "dim"
        line.append(f" {phase} ", style=style)
    line.append(f"   +{max(now_ns, 0) / 1e9:.1f} s")
    if state.halted is not None:
        line.append(f"\nHALTED by {state.halted.by}: {state.halted.reason}", style="bold red")
    return Panel(line, title=follower.plan.title, title_align="left", border_style="dim")


def _steps(follower: Follower, now_ns: int) -> RenderableType:
    state = follower.state
    table = Table.grid(padding=(0, 1))
    running = {r.step: r for r in state.running}
    steps = follower.plan.steps
    at = next((n for n, s in enumerate(steps) if s.id not in state.ended), len(steps))
    begin = max(0, min(at - STEPS_SHOWN // 2, len(steps) - STEPS_SHOWN))
    following = False
    for step in steps[begin : begin + STEPS_SHOWN]:
        mark, style, note = "·", "dim", ""
        if step.id in running:
            past_s = max(now_ns - running[step.id].started_ns, 0) / 1e9
            mark, style, note = "▶", "bold", f"{past_s:.1f} s"
        elif step.id in state.failed:
            mark, style, note = "✗", "red", "failed"
        elif step.id in state.ended:
            mark, style = "✓", "green"
        elif not following and state.halted is None and state.phase is Phase.RUNNING:
            mark, style, note, following = "next", "", "", True
        table.add_row(Text(mark, style=style), _title(step, style), Text(note, style=style))
    return table


def _title(step: Step, style: str) -> Text:
    kind = "FAULT  " if step.kind is StepKind.FAULT else ""
    return Text(f"{kind}{step.name}", style="bold magenta" if kind and "bold" in style else style)


def _levels(follower: Follower) -> RenderableType:
    table = Table(title="service levels", title_justify="left", box=None, padding=(0, 1))
    for name in ("", "good", "objective", "budget left", "burn"):
        table.add_column(name, justify="right" if name else "left")
    for gauge in follower.state.gauges:
        table.add_row(*_level(gauge))
    return table


def _level(gauge: Gauge) -> tuple[Text, str, str, str, Text]:
    share = gauge.good_ppm()
    name = Text(gauge.slo.name)
    objective = f"{gauge.slo.objective_ppm / 10_000:g} %"
    if gauge.slo.below_ns is not None:
        objective += f" · {gauge.slo.load_stat} < {gauge.slo.below_ns / 1e6:g} ms"
    if share is None:
        return name, "no data", objective, "-", Text("-")
    burn = burn_rate(good=gauge.good(), valid=gauge.valid(), objective_ppm=gauge.slo.objective_ppm)
    left = max(0.0, 1.0 - burn) * 100
    good = f"{share * 100 / PPM:.1f} %"
    latency_ns = gauge.latency_ns()
    if latency_ns is not None:
        good += f" · {latency_ns / 1e6:.0f} ms"
    met = gauge.is_met()
    return name, good, objective, f"{left:.0f} %", Text(f"{burn:.1f}×", style="green" if met else "bold red")


def _load(follower: Follower) -> RenderableType:
    table = Table(title="load, last 2 s", title_justify="left", box=None, padding=(0, 1))
    for name in ("offered", "on time", "good", "bad", "p99"):
        table.add_column(name, justify="right")
    recent = follower.recent
    span_s = max(len({b.start_ns // 100_000_000 for b in recent}) * 0.1, 0.1)
    p99 = percentile_us(merge(b.latency for b in recent), 990_000)
    bad = sum(b.bad + b.dropped for b in recent)
    table.add_row(
        f"{sum(b.intended for b in recent) / span_s:.0f}/s",
        f"{sum(b.started for b in recent) / span_s:.0f}/s",
        f"{sum(b.good for b in recent) / span_s:.0f}/s",
        Text(f"{bad / span_s:.0f}/s", style="bold red" if bad else "green"),
        "-" if p99 is None else f"{p99 / 1000:.0f} ms",
    )
    return table


def _faults(follower: Follower, now_ns: int) -> RenderableType | None:
    state = follower.state
    if not state.owed and not state.stuck:
        return None
    table = Table.grid(padding=(0, 2))
    undoing = {undo.step for undo in state.undoing}
    for owed in state.owed:
        left = (
            ""
            if owed.ttl_at_ns is None
            else f"undone at the latest in {max(owed.ttl_at_ns - now_ns, 0) / 1e9:.0f} s"
        )
        note = "being undone" if owed.step in undoing else left
        table.add_row(Text("in place", style="bold magenta"), owed.target, state.step(owed.step).name, note)
    for name in state.stuck:
        table.add_row(Text("STUCK", style="bold red"), "", state.step(name).name, "a person is needed")
    return Panel(table, title="owed to the target", title_align="left", border_style="magenta")
