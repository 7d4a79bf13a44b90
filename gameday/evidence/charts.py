"""Charts of the load over time: throughput, errors, latency. Each has its own scale at the left."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from gameday.evidence.figure import LEFT, LETTER, RIGHT, WIDTH, Canvas, tick_step
from gameday.evidence.series import LoadPoint
from gameday.evidence.words import limit
from gameday.plan.model import Slo

HIGH, LOW = 76, 40
Scale = Callable[[float], float]


def rates(canvas: Canvas, points: list[LoadPoint]) -> None:
    """Draw what was offered, what was started on time, and what was answered well."""
    most = max(max(p.offered, p.achieved, p.good) for p in points)
    scale = _linear(canvas, "requests/s", most, HIGH)
    _line(canvas, points, lambda p: p.offered, scale, "line l-offered")
    _line(canvas, points, lambda p: p.achieved, scale, "line l-achieved")
    _line(canvas, points, lambda p: p.good, scale, "line l-good")
    _legend(canvas, (("l-offered", "offered"), ("l-achieved", "started on time"), ("l-good", "good answers")))
    canvas.y += HIGH


def errors(canvas: Canvas, points: list[LoadPoint]) -> None:
    """Draw failed and dropped requests as bars."""
    most = max(p.bad for p in points)
    scale = _linear(canvas, "errors/s", most, LOW)
    half_ns = min((b.at_ns - a.at_ns for a, b in pairwise(points)), default=10**8) / 2
    for p in points:
        if p.bad:
            height = round(canvas.y + LOW - scale(p.bad), 1)
            title = f"{p.bad:.0f} failed or dropped a second"
            canvas.box(p.at_ns - half_ns, p.at_ns + half_ns, "r-bad", title, top=LOW - height, height=height)
    canvas.y += LOW


def latencies(canvas: Canvas, points: list[LoadPoint], slos: tuple[Slo, ...]) -> None:
    """Draw p50 and p99 of the good answers on a logarithmic scale, with the limits the SLOs set."""
    limits = [(slo, slo.below_ns / 1e6) for slo in slos if slo.below_ns is not None and slo.load_stat]
    values = [v for p in points for v in (p.p50_ms, p.p99_ms) if v is not None]
    if not values:
        return
    values += [value for _, value in limits]
    scale = _logarithmic(canvas, "latency, ms", min(values), max(values))
    for slo, value in limits:
        y = scale(value)
        canvas.line(LEFT, y, WIDTH - RIGHT, y, "slo")
        canvas.text(WIDTH - RIGHT - 4, y - 3, f"{slo.load_stat} below {limit(slo.below_ns)}", "tick", "end")
    _line(canvas, points, lambda p: p.p99_ms, scale, "line l-p99")
    _line(canvas, points, lambda p: p.p50_ms, scale, "line l-p50")
    _legend(canvas, (("l-p99", "p99"), ("l-p50", "p50, of good answers")))
    canvas.y += HIGH


def _frame(canvas: Canvas, words: str, height: int) -> None:
    canvas.y += 12
    canvas.text(LEFT - 40, canvas.y + height / 2 + 4, words, "lane", "end")
    canvas.line(LEFT, canvas.y + height, WIDTH - RIGHT, canvas.y + height, "axis")


def _grid(canvas: Canvas, y: float, words: str) -> None:
    canvas.line(LEFT, y, WIDTH - RIGHT, y, "grid")
    canvas.text(LEFT - 6, y + 4, words, "tick", "end")


def _linear(canvas: Canvas, words: str, most: float, height: int) -> Scale:
    _frame(canvas, words, height)
    step = max(tick_step(max(most, 1), 3 if height > LOW else 1), 1)
    top = max(math.ceil(most / step) * step, step)
    base = canvas.y + height

    def scale(value: float) -> float:
        return base - min(value / top, 1.0) * height

    for number in range(round(top / step) + 1):
        _grid(canvas, scale(number * step), f"{number * step:.0f}")
    return scale


def _logarithmic(canvas: Canvas, words: str, least: float, most: float) -> Scale:
    _frame(canvas, words, HIGH)
    low = math.floor(math.log10(max(least, 1e-3)))
    high = max(math.ceil(math.log10(max(most, 1e-3))), low + 1)
    base = canvas.y + HIGH

    def scale(value: float) -> float:
        share = (math.log10(max(value, 1e-3)) - low) / (high - low)
        return base - min(max(share, 0.0), 1.0) * HIGH

    for power in range(low, high + 1):
        _grid(canvas, scale(10.0**power), f"{10.0**power:g}")
    return scale


def _line(
    canvas: Canvas,
    points: list[LoadPoint],
    of: Callable[[LoadPoint], float | None],
    scale: Scale,
    kind: str,
) -> None:
    step_ns = min((b.at_ns - a.at_ns for a, b in pairwise(points)), default=0)
    way: list[tuple[float, float] | None] = []
    before_ns: int | None = None
    for point in points:
        value = of(point)
        if before_ns is not None and point.at_ns - before_ns > 1.5 * step_ns:
            way.append(None)
        way.append(None if value is None else (canvas.x(point.at_ns), scale(value)))
        before_ns = point.at_ns
    canvas.curve(way, kind)


def _legend(canvas: Canvas, items: tuple[tuple[str, str], ...]) -> None:
    """Write a legend above the frame's right end."""
    x = WIDTH - RIGHT - sum(32 + LETTER * len(words) for _, words in items)
    for kind, words in items:
        y = canvas.y - 4
        canvas.line(round(x, 1), y, round(x + 18, 1), y, f"line {kind}")
        canvas.text(x + 22, y + 3, words, "tick")
        x += 32 + LETTER * len(words)
