"""What a running drill asks of people, above everything else on the screen, with the command to type."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gameday.console.follow import Follower
from gameday.engine.people import missing
from gameday.evidence.handwork import gate_name, needs, task
from gameday.evidence.words import limit, shown
from gameday.plan.model import NS, StepKind

Ask = tuple[str, str, str, int]


def asked(follower: Follower) -> list[Ask]:
    """Return what is asked now: (topic, what, the command to type, until when)."""
    state, found = follower.state, []
    for gate in state.people.gates:
        if gate.passed is None:
            left = missing(gate.needs, state.people.given(gate.gate))
            left = tuple(need for need in left if need.live) or left
            what = f"{gate_name(follower.plan, gate.gate)} waits for {needs(left)}"
            role = left[0].role if left else "approver"
            found.append(("APPROVE", what, f"gameday approve --as NAME --role {role}", gate.deadline_ns))
    for running in state.running:
        step = state.step(running.step)
        if step.kind is StepKind.MANUAL:
            found.append(("BY HAND", task(step), "gameday done | failed --note TEXT", running.deadline_ns))
    for undo in state.undoing:
        step = state.step(undo.step)
        if step.undo_by_hand:
            what = f"undo {step.name}: {step.undo_by_hand}"
            found.append(("BY HAND", what, "gameday done | failed --note TEXT", undo.deadline_ns))
    return found


def asking(asks: list[Ask], now_ns: int) -> RenderableType:
    """Return two lines for each thing that is asked: what, and what to type."""
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for topic, what, command, deadline_ns in asks:
        left_ns = max(deadline_ns - now_ns, 0)
        left = limit(left_ns // (60 * NS) * 60 * NS) if left_ns >= 120 * NS else f"{left_ns / NS:.0f} s"
        table.add_row(Text(topic, style="bold white on blue"), Text(shown(what), style="bold"))
        table.add_row("", Text.assemble((command, "bold cyan"), (f"   {left} left", "dim")))
    return table
