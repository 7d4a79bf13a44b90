"""The timeline of a run as one SVG: phases, faults, steps, probes and load on a single time axis."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

from gameday.checkers.findings import Findings
from gameday.evidence.series import COLUMNS, LoadPoint, load_points, span_ns, strips
from gameday.history.events import (
    Halted,
    Phase,
    PhaseChanged,
    StepEnded,
    StepStarted,
    UndoEnded,
    UndoStarted,
)
from gameday.history.record import Trace
from gameday.plan.model import Plan, StepKind

WIDTH, LEFT, RIGHT = 1000, 190, 16
LANE, CHART = 18, 90
_SEGMENTS = (
    ("detect_ns", "detect"),
    ("decide_ns", "decide"),
    ("fail_over_ns", "fail over"),
    ("come_up_ns", "come up"),
)


@dataclass(slots=True)
class Drawing:
    """SVG parts, and how far down the page we are."""

    end_ns: int
    y: int = 8
    parts: list[str] = field(default_factory=list)

    def x(self, at_ns: float) -> float:
        """Return the horizontal place of an instant."""
        share = min(max(at_ns / self.end_ns, 0.0), 1.0)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def text(self, x: float, y: float, words: str, kind: str = "label", anchor: str = "start") -> None:
        """Write words; they are escaped here."""
        self.parts.append(
            f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def bar(self, from_ns: float, to_ns: float, kind: str, title: str, height: int = 12) -> None:
        """Draw one bar in the current lane, with a title for those who point at it."""
        x = self.x(from_ns)
        width = max(self.x(to_ns) - x, 2.0)
        self.parts.append(
            f'<rect x="{x}" y="{self.y + 3}" width="{round(width, 1)}" height="{height}" class="{kind}">'
            f"<title>{escape(title)}</title></rect>"
        )

    def lane(self, words: str) -> None:
        """Name the current lane at the left."""
        shown = words if len(words) <= 31 else f"{words[:30]}…"
        self.text(LEFT - 8, self.y + 13, shown, anchor="end")


def timeline(plan: Plan, trace: Trace, findings: Findings) -> str:
    """Return the timeline as an SVG element. Every name in it is escaped."""
    drawing = Drawing(span_ns(trace))
    faults = _fault_windows(plan, trace)
    top = drawing.y
    _phases(drawing, trace)
    _segments(drawing, findings)
    _faults(drawing, faults)
    _steps(drawing, plan, trace)
    _probes(drawing, plan, trace)
    points = load_points(trace.load, drawing.end_ns)
    if points:
        _rates(drawing, points)
        _latencies(drawing, points)
    _axis(drawing)
    shade = "".join(
        f'<rect x="{drawing.x(a)}" y="{top}" width="{max(drawing.x(b) - drawing.x(a), 1):.1f}" '
        f'height="{drawing.y - top - 22}" class="shade"/>'
        for a, b, _ in faults
    )
    halts = "".join(_halt(drawing, r.at_ns, top) for r in trace.records if isinstance(r.event, Halted))
    return (
        f'<svg viewBox="0 0 {WIDTH} {drawing.y}" role="img" aria-label="Timeline of the run" '
        f'xmlns="http://www.w3.org/2000/svg">{shade}{"".join(drawing.parts)}{halts}</svg>'
    )


def _halt(drawing: Drawing, at_ns: int, top: int) -> str:
    x = drawing.x(at_ns)
    return (
        f'<line x1="{x}" x2="{x}" y1="{top}" y2="{drawing.y - 22}" class="halt"/>'
        f'<text x="{x + 4}" y="{drawing.y - 26}" class="halt-word">halt</text>'
    )


def _fault_windows(plan: Plan, trace: Trace) -> list[tuple[int, int, str]]:
    """Return (from, to, name) of each fault: from its command to its undo's read-back, or the end."""
    steps = {step.id: step for step in plan.steps}
    open_at: dict[str, tuple[int, str]] = {}
    windows = []
    for record in trace.records:
        event = record.event
        if isinstance(event, StepStarted) and steps[event.step].kind is StepKind.FAULT:
            open_at[steps[event.step].target] = (record.at_ns, steps[event.step].name)
        elif isinstance(event, UndoEnded) and event.undone:
            target = steps[event.step].target
            if target in open_at:
                begun_ns, name = open_at.pop(target)
                windows.append((begun_ns, event.read_back_ns or record.at_ns, name))
    end_ns = span_ns(trace)
    return windows + [(begun, end_ns, name) for begun, name in open_at.values()]


def _phases(drawing: Drawing, trace: Trace) -> None:
    entered = [(r.at_ns, r.event.phase) for r in trace.records if isinstance(r.event, PhaseChanged)]
    drawing.lane("phase")
    begun, phase = 0, Phase.ARMING
    for at_ns, following in [*entered, (drawing.end_ns, Phase.FINISHED)]:
        if phase is not Phase.FINISHED and at_ns > begun:
            drawing.bar(begun, at_ns, f"phase p-{phase}", f"{phase}: {(at_ns - begun) / 1e9:.2f} s", 14)
            if drawing.x(at_ns) - drawing.x(begun) > 60:
                drawing.text(drawing.x(begun) + 5, drawing.y + 14, str(phase), "in-bar")
        begun, phase = at_ns, following
    drawing.y += LANE + 4


def _segments(drawing: Drawing, findings: Findings) -> None:
    for finding in findings.findings:
        numbers = dict(finding.numbers)
        at = numbers.get("onset_min_ns")
        if not finding.name.startswith("RTA ") or not isinstance(at, int):
            continue
        drawing.lane(finding.name)
        for key, name in _SEGMENTS:
            part = numbers.get(key)
            if isinstance(part, int):
                drawing.bar(at, at + part, f"seg s-{key}", f"{name}: {part / 1e9:.3f} s")
                at += part
        end = numbers.get("recovered_max_ns")
        if not isinstance(numbers.get("detect_ns"), int) and isinstance(end, int):
            drawing.bar(at, end, "seg s-fail_over_ns", f"out of service: {(end - at) / 1e9:.3f} s")
        shown = end if isinstance(end, int) else drawing.end_ns
        drawing.text(drawing.x(shown) + 6, drawing.y + 13, finding.observed, "note")
        drawing.y += LANE


def _faults(drawing: Drawing, windows: list[tuple[int, int, str]]) -> None:
    for begun, ended, name in windows:
        drawing.lane(name)
        drawing.bar(begun, ended, "fault", f"{name}: in place or owed for {(ended - begun) / 1e9:.2f} s")
        drawing.y += LANE


def _steps(drawing: Drawing, plan: Plan, trace: Trace) -> None:
    spans: dict[str, list[int | None]] = {}
    undos: list[tuple[int, int, str]] = []
    open_undos: dict[str, int] = {}
    for record in trace.records:
        match record.event:
            case StepStarted(step=name):
                spans.setdefault(name, [record.at_ns, None])
            case StepEnded(step=name) if name in spans:
                spans[name][1] = record.at_ns
            case UndoStarted(step=name):
                open_undos.setdefault(name, record.at_ns)
            case UndoEnded(step=name) if name in open_undos:
                undos.append((open_undos.pop(name), record.at_ns, name))
            case _:
                pass
    names = {step.id: step.name for step in plan.steps}
    for runbook in dict.fromkeys(step.runbook for step in plan.steps):
        mine = [
            s for s in plan.steps if s.runbook == runbook and s.kind is not StepKind.FAULT and s.id in spans
        ]
        if not mine:
            continue
        drawing.lane(runbook.rpartition("/")[2].removesuffix(".yaml") if runbook else "steps")
        for step in mine:
            begun, ended = spans[step.id]
            assert begun is not None
            stop = ended if ended is not None else drawing.end_ns
            drawing.bar(begun, stop, f"step k-{step.kind}", f"{step.name}: {(stop - begun) / 1e9:.2f} s")
        drawing.y += LANE
    if undos:
        drawing.lane("undos")
        for begun, ended, name in undos:
            drawing.bar(begun, ended, "undo", f"undo owed by {names[name]}: {(ended - begun) / 1e9:.2f} s")
        drawing.y += LANE


def _probes(drawing: Drawing, plan: Plan, trace: Trace) -> None:
    drawing.y += 4
    width_ns = drawing.end_ns / COLUMNS
    for strip in strips(trace.samples, [probe.name for probe in plan.probes], drawing.end_ns):
        drawing.lane(strip.probe)
        begun = 0
        for column in range(1, len(strip.columns) + 1):
            last = column == len(strip.columns)
            if not last and strip.columns[column] == strip.columns[begun]:
                continue
            reading = strip.columns[begun]
            if reading:
                height = {"good": 6, "unreadable": 9, "bad": 14}[reading]
                drawing.bar(begun * width_ns, column * width_ns, f"r-{reading}", reading, height)
            begun = column
        drawing.y += LANE


def _rates(drawing: Drawing, points: list[LoadPoint]) -> None:
    top = max(max(p.offered for p in points), max(p.good + p.bad for p in points), 1.0)
    _frame(drawing, "requests / s", f"{top:.0f}")
    _line(drawing, [(p.at_ns, p.offered) for p in points], top, "offered")
    _line(drawing, [(p.at_ns, p.good) for p in points], top, "good")
    _line(drawing, [(p.at_ns, p.bad) for p in points], top, "bad")
    _legend(drawing, (("offered", "offered"), ("good", "good"), ("bad", "bad or dropped")))


def _latencies(drawing: Drawing, points: list[LoadPoint]) -> None:
    top = max((p.p99_ms for p in points if p.p99_ms is not None), default=1.0)
    _frame(drawing, "latency, ms", f"{top:.0f}")
    _line(drawing, [(p.at_ns, p.p99_ms) for p in points], top, "p99")
    _line(drawing, [(p.at_ns, p.p50_ms) for p in points], top, "p50")
    _legend(drawing, (("p99", "p99"), ("p50", "p50")))


def _frame(drawing: Drawing, words: str, top: str) -> None:
    drawing.y += 10
    y = drawing.y
    drawing.text(LEFT - 8, y + CHART / 2, words, anchor="end")
    drawing.text(LEFT - 8, y + 9, top, "tick", "end")
    drawing.text(LEFT - 8, y + CHART, "0", "tick", "end")
    drawing.parts.append(
        f'<rect x="{LEFT}" y="{y}" width="{WIDTH - LEFT - RIGHT}" height="{CHART}" class="frame"/>'
    )


def _line(drawing: Drawing, values: list[tuple[int, float | None]], top: float, kind: str) -> None:
    pieces: list[str] = []
    pen = "M"
    for at_ns, value in values:
        if value is None:
            pen = "M"  # A gap is a gap: nothing is drawn where nothing was measured.
            continue
        y = drawing.y + CHART - min(value / top, 1.0) * (CHART - 4)
        pieces.append(f"{pen}{drawing.x(at_ns)} {y:.1f}")
        pen = "L"
    if pieces:
        drawing.parts.append(f'<path d="{"".join(pieces)}" class="line l-{kind}"/>')


def _legend(drawing: Drawing, items: tuple[tuple[str, str], ...]) -> None:
    x = float(LEFT + 8)
    for kind, words in items:
        y = drawing.y + 12
        drawing.parts.append(
            f'<line x1="{x}" x2="{x + 16}" y1="{y - 3}" y2="{y - 3}" class="line l-{kind}"/>'
        )
        drawing.text(x + 20, y, words, "note")
        x += 34 + 6.2 * len(words)
    drawing.y += CHART


def _axis(drawing: Drawing) -> None:
    drawing.y += 4
    end_s = drawing.end_ns / 1e9
    step_s = next((s for s in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600) if end_s / s <= 14), 7200)
    for number in range(int(end_s // step_s) + 1):
        x = drawing.x(number * step_s * 1e9)
        drawing.parts.append(f'<line x1="{x}" x2="{x}" y1="{drawing.y}" y2="{drawing.y + 5}" class="axis"/>')
        drawing.text(x, drawing.y + 17, f"{number * step_s} s", "tick", "middle")
    drawing.y += 22
