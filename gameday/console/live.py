"""The live view on a terminal: where the run stands, what is next, what is in place, how users fare.

A frame always fits the terminal: the steps take what the rest leaves them, around the one that runs,
so that what matters when something goes wrong (faults in place, limits, halts) is never cut off.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gameday.console.asking import asked, asking
from gameday.console.figures import held_words
from gameday.console.follow import Follower
from gameday.console.gauges import levels, limits, load
from gameday.engine.state import Owed
from gameday.evidence.words import limit, load_words, shown, span
from gameday.history.events import Effect, Phase
from gameday.plan.model import NS, Step, StepKind

_PHASES = (
    Phase.ARMING,
    Phase.BASELINE,
    Phase.RUNNING,
    Phase.UNDOING,
    Phase.RECOVERING,
    Phase.FINISHED,
)
NAME_MAX = 52
NOTES_SHOWN = 4


def draw(follower: Follower, now_ns: int, *, height: int, width: int) -> RenderableType:
    """Return one frame of at most `height` lines."""
    plan, state = follower.plan, follower.state
    halted = int(state.halted is not None)
    faults = len(_owed(follower)) + len(follower.stuck)
    beside = width >= 132
    rows = max(len(state.gauges) + 2, 4) if beside else len(state.gauges) + 2 + 4
    people = asked(follower)
    taken = 4 + halted + rows + 2 * len(people) + (faults + 2 if faults else 0)
    taken += len(plan.stop_conditions) + 1 + 1
    notes = min(NOTES_SHOWN, max(height - taken - 5, 0))
    room = max(height - taken - (notes + 1 if notes else 0) - 1, 3)
    parts: list[RenderableType] = [_head(follower, now_ns)]
    if people:
        parts.append(asking(people, now_ns))
    parts.append(_steps(follower, now_ns, room))
    if faults:
        parts.append(_faults(follower, now_ns))
    parts.append(_side_by_side(levels(follower, now_ns), load(follower), beside=beside))
    parts.append(limits(follower, now_ns))
    if notes:
        parts.append(_notes(follower, notes))
    parts.append(Text(_footer(follower), style="dim", overflow="ellipsis", no_wrap=True))
    return Group(*parts)


def _side_by_side(left: RenderableType, right: RenderableType, *, beside: bool) -> RenderableType:
    if not beside:
        return Group(left, right)
    grid = Table.grid(padding=(0, 4))
    grid.add_row(left, right)
    return grid


def _head(follower: Follower, now_ns: int) -> RenderableType:
    state = follower.state
    line = Text(no_wrap=True, overflow="ellipsis")
    for phase in _PHASES:
        if phase is state.phase:
            line.append(f" {phase} ", style="bold reverse")
        else:
            line.append(f" {phase} ", style="dim")
    line.append(f"   +{max(now_ns, 0) / NS:.1f} s", style="bold")
    if held := held_words(follower, now_ns):
        line.append(f"   {held}")
    if state.halted is not None:
        said = shown(f"HALTED by {state.halted.by}: {state.halted.reason}", 200)
        line.append(f"\n {said}", style="bold red")
    title = Text(shown(follower.plan.title, 90), style="bold")
    return Panel(line, title=title, title_align="left", border_style="red" if state.halted else "dim")


def _steps(follower: Follower, now_ns: int, room: int) -> RenderableType:
    state, steps = follower.state, follower.plan.steps
    table = Table.grid(padding=(0, 1))
    table.add_column(width=5, justify="right")
    running = {r.step: r for r in state.running}
    first = next((n for n, s in enumerate(steps) if s.id not in state.ended), len(steps))
    begin = max(0, min(first - room // 3, len(steps) - room))
    following = None
    if state.halted is None and state.phase in (Phase.ARMING, Phase.BASELINE, Phase.RUNNING):
        following = next((s.group for s in steps if s.id not in state.ended and s.id not in running), None)
    for step in steps[begin : begin + room]:
        if step.id in running:
            past_ns = max(now_ns - running[step.id].started_ns, 0)
            table.add_row(Text("▶", style="bold"), _name(step, "bold"), Text(_progress(step, past_ns)))
        elif step.id in state.ended:
            table.add_row(*_over(follower, step))
        elif step.group == following:
            table.add_row(Text("next", style="bold"), _name(step, ""), Text(_coming(step), style="dim"))
        else:
            table.add_row(Text("·", style="dim"), _name(step, "dim"), Text(""))
    return table


def _over(follower: Follower, step: Step) -> tuple[Text, Text, Text]:
    if step.id not in follower.state.failed:
        return Text("✓", style="green"), _name(step, "dim"), Text("")
    if step.kind is StepKind.HOLD:
        return Text("-", style="yellow"), _name(step, "dim"), Text("cut short", style="yellow")
    effect = follower.effects.get(step.id, Effect.INDETERMINATE)
    words = "did not happen" if effect is Effect.DID_NOT_HAPPEN else "may or may not have happened"
    return Text("✗", style="bold red"), _name(step, "red"), Text(words, style="red")


def _progress(step: Step, past_ns: int) -> str:
    if step.kind is StepKind.HOLD and step.for_ns:
        return f"{past_ns / NS:.1f} of {limit(step.for_ns)}"
    return f"{past_ns / NS:.1f} s, at most {limit(step.deadline_ns)}"


def _coming(step: Step) -> str:
    return load_words(step.load) if step.load is not None else ""


def _name(step: Step, style: str) -> Text:
    name = Text(no_wrap=True, overflow="ellipsis")
    if step.kind is StepKind.FAULT:
        name.append("FAULT ", style="magenta" if style != "red" else style)
    elif step.runbook:
        name.append(f"{shown(step.runbook.rpartition('/')[2].rpartition('.')[0], 20)}: ", style="dim")
    name.append(shown(step.name, NAME_MAX), style=style)
    return name


def _faults(follower: Follower, now_ns: int) -> RenderableType:
    state = follower.state
    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column(no_wrap=True, overflow="ellipsis")
    undoing = {undo.step: undo for undo in state.undoing}
    for owed in _owed(follower):
        step = state.step(owed.step)
        fault = next((s for s in map(state.step, _chain(owed)) if s.kind is StepKind.FAULT), None)
        name = shown((fault or step).name, NAME_MAX)
        if owed.step in undoing:
            since = max(now_ns - undoing[owed.step].started_ns, 0)
            row = (Text("undoing", style="bold yellow"), Text(name), Text(f"for {since / NS:.1f} s"))
        else:
            word = "in place" if fault is not None else "owed"
            by = f"{step.undo.name}, " if fault is not step and step.undo is not None else ""
            lives = f"{shown(by, 40)}{_lives(owed.ttl_at_ns, now_ns)}"
            row = (Text(word, style="bold magenta"), Text(name), Text(lives))
        table.add_row(row[0], Text(shown(owed.target, 24), style="dim"), row[1], row[2])
    for stuck in follower.stuck:
        step = state.step(stuck)
        by_hand = f"by hand: {step.manual_command}" if step.manual_command else "a person is needed"
        table.add_row(
            Text("STUCK", style="bold white on red"),
            "",
            Text(shown(step.name, NAME_MAX)),
            Text(shown(by_hand)),
        )
    title = "to be taken back" if not follower.stuck else "A PERSON IS NEEDED"
    style = "red" if follower.stuck else "magenta"
    return Panel(table, title=title, title_align="left", border_style=style)


def _owed(follower: Follower) -> list[Owed]:
    """Return the undos that are owed and not stuck."""
    return [owed for owed in follower.state.owed if owed.step not in follower.stuck]


def _chain(owed: Owed) -> Iterator[str]:
    """Yield the step whose undo is owed, and all those it stands in for."""
    yield owed.step
    for replaced in owed.replaced:
        yield from _chain(replaced)


def _lives(ttl_at_ns: int | None, now_ns: int) -> str:
    if ttl_at_ns is None:
        return "until its undo"
    left_ns = max(ttl_at_ns - now_ns, 0)
    return f"at the latest in {span(left_ns) if left_ns >= 120 * NS else f'{left_ns / NS:.0f} s'}"


def _notes(follower: Follower, count: int) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    for note in list(follower.notes)[-count:]:
        loud = note.topic.isupper() and note.topic != "FAULT"
        words = Text(note.words, no_wrap=True, overflow="ellipsis", style="bold red" if loud else "")
        table.add_row(Text(f"+{note.at_ns / NS:.1f}s", style="dim"), Text(note.topic, style="dim"), words)
    return Group(Text("what happened last", style="italic"), table)


def _footer(follower: Follower) -> str:
    if follower.ended is not None:
        return f"the drill is over · {shown(follower.run, 60)}"
    return f"Ctrl-C halts and takes every fault back · {shown(follower.run, 60)}"
