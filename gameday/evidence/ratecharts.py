"""Throughput and latency against rate: what a capacity sign-off and its search for the limit found.

The points and marks come from the findings' numbers, so the drawing states nothing that `gameday check`
does not recompute. A trial that held is a disc, one that failed a cross, one that decided nothing a
diamond: never colour alone. Between the highest rate proven and the lowest refuted lies the limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gameday.checkers.findings import Findings
from gameday.evidence.figure import LEFT, LETTER, RIGHT, WIDTH, Canvas, Figure, Shape, tick_step
from gameday.evidence.logscale import LogScale, around, in_ms, tick_words
from gameday.evidence.series import Window
from gameday.evidence.words import limit
from gameday.plan.model import Plan

HIGH = 170
POINTS_MAX = 200
PERCENTILES = ("p50", "p95", "p99")
VERDICTS = ("holds", "fails", "undecided")
Numbers = Mapping[str, int | float | str | None]


@dataclass(frozen=True, slots=True)
class RatePoint:
    """One trial: rates a second, latencies in µs (None: no good answer), and what it decided.

    `condition` is N or N-1 for a trial of the sign-off, and empty for one of the search.
    """

    offered: float
    achieved: float
    percentiles: tuple[tuple[str, float | None], ...]
    verdict: str
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Marks:
    """Rates that are marked, a second each; None is left out."""

    required: float | None = None
    forecast: float | None = None
    proven: float | None = None
    refuted: float | None = None
    knee: tuple[float, float, float] | None = None  # The knee, and what bounds it.


def against_rate(plan: Plan, findings: Findings) -> Figure | None:
    """Return the figure of a capacity run; None where no trial was made."""
    numbers = {f.name: dict(f.numbers) for f in findings.findings if f.name.startswith("capacity ")}
    merged: dict[str, int | float | str | None] = {}
    for found in numbers.values():
        merged |= found
    points = points_of(merged)
    slos = [
        (f"{slo.load_stat} below {limit(slo.below_ns)}", slo.below_ns / 1000)
        for slo in plan.slos
        if slo.below_ns is not None and slo.load_stat
    ]
    return draw(points, _marks(merged), slos) if points else None


def points_of(numbers: Numbers) -> list[RatePoint]:
    """Return the trials that a finding's numbers tell of, by rate."""
    found = []
    for key in numbers:
        match = re.fullmatch(r"(n|n_minus_1|trial_\d+)_rate_per_1000s", key)
        if match is None:
            continue
        prefix = match[1]
        condition = {"n": "N", "n_minus_1": "N-1"}.get(prefix, "")
        offered, achieved = _rate(numbers, key), _rate(numbers, f"{prefix}_throughput_per_1000s")
        if offered is None:
            continue
        percentiles = tuple((name, _number(numbers, f"{prefix}_{name}_us")) for name in PERCENTILES)
        verdict = str(numbers.get(f"{prefix}_verdict", "undecided"))
        found.append(RatePoint(offered, achieved or 0.0, percentiles, verdict, condition))
    return sorted(found, key=lambda point: point.offered)[:POINTS_MAX]


def _number(numbers: Numbers, key: str) -> float | None:
    value = numbers.get(key)
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _rate(numbers: Numbers, key: str) -> float | None:
    value = _number(numbers, key)
    return None if value is None else value / 1000


def _marks(numbers: Numbers) -> Marks:
    knee = tuple(_rate(numbers, f"knee_{end}per_1000s") for end in ("", "low_", "high_"))
    return Marks(
        required=_rate(numbers, "required_per_1000s"),
        forecast=_rate(numbers, "forecast_peak_per_1000s"),
        proven=_rate(numbers, "proven_per_1000s"),
        refuted=_rate(numbers, "refuted_per_1000s"),
        knee=None if None in knee else (knee[0] or 0.0, knee[1] or 0.0, knee[2] or 0.0),
    )


@dataclass(frozen=True, slots=True)
class _Linear:
    """From zero to `most`, onto [at_low, at_high] pixels."""

    most: float
    at_low: float
    at_high: float

    def place(self, value: float) -> float:
        share = min(max(value / self.most, 0.0), 1.0)
        return round(self.at_low + share * (self.at_high - self.at_low), 1)


def draw(points: list[RatePoint], marks: Marks, slos: Iterable[tuple[str, float]] = ()) -> Figure:
    """Return throughput above latency, both against the offered rate.

    Args:
        points: The trials, by rate; at least one.
        marks: Rates to be marked.
        slos: (words, limit in µs) of each SLO on latency.
    """
    canvas = Canvas(Window(0, 1))
    rates = [p.offered for p in points] + [r for r in (marks.required, marks.refuted, marks.forecast) if r]
    across = _Linear(max(rates) * 1.08, LEFT, WIDTH - RIGHT)
    canvas.y = 44
    top = canvas.y
    _throughput(canvas, points, across)
    canvas.y += 26
    _latencies(canvas, points, across, list(slos))
    _rate_axis(canvas, across)
    _mark_all(canvas, marks, across, top)
    canvas.y += 20
    _key(canvas)
    about = (
        "Above, requests answered a second against the rate that was offered, with the dotted line where both"
        " are equal; below, latencies of good answers. Each mark is a trial. The hatched stretch lies between"
        " the highest rate that was proven and the lowest that was refuted: the limit is in it."
    )
    return canvas.finish("Throughput and latency against rate", about)


def _throughput(canvas: Canvas, points: list[RatePoint], across: _Linear) -> None:
    most = max([*(p.achieved for p in points), max(p.offered for p in points) * 0.6]) * 1.08
    step = tick_step(most, 4)
    up = _Linear(most, canvas.y + HIGH, canvas.y)
    canvas.text(4, canvas.y - 8, "answered, requests/s", "heading")
    for number in range(int(most / step) + 1):
        _grid(canvas, up.place(number * step), f"{number * step:g}")
    end = min(most, across.most)
    canvas.line(across.place(0), up.place(0), across.place(end), up.place(end), "ideal")
    mine = [p for p in points if p.condition != "N-1"]
    canvas.curve([(across.place(p.offered), up.place(p.achieved)) for p in mine], "line l-good")
    for point in points:
        words = f"{_words(point)}: {point.achieved:g}/s answered of {point.offered:g}/s offered"
        _trial(canvas, across.place(point.offered), up.place(point.achieved), point, words)
    canvas.y += HIGH


def _latencies(
    canvas: Canvas, points: list[RatePoint], across: _Linear, slos: list[tuple[str, float]]
) -> None:
    values = [value for p in points for _, value in p.percentiles if value is not None]
    canvas.text(4, canvas.y - 8, "latency of good answers", "heading")
    if not values:
        canvas.text(LEFT + 10, canvas.y + 20, "no good answer in any trial", "note")
        canvas.y += 30
        return
    edges = values + [value for _, value in slos]
    up = around(min(edges), max(edges), canvas.y + HIGH, canvas.y)
    for value in up.ticks():
        _grid(canvas, round(up.place(value), 1), tick_words(value))
    for words, value in slos:
        y = round(up.place(value), 1)
        canvas.line(LEFT, y, WIDTH - RIGHT, y, "slo")
        canvas.text(LEFT + 4, y - 3, words, "tick")
    for name in PERCENTILES:
        _percentile(canvas, points, name, across, up)
    canvas.y += HIGH


def _percentile(canvas: Canvas, points: list[RatePoint], name: str, across: _Linear, up: LogScale) -> None:
    mine = [(p, dict(p.percentiles).get(name)) for p in points]
    way = [(across.place(p.offered), up.place(v)) for p, v in mine if v is not None and p.condition != "N-1"]
    canvas.curve(way, f"line l-{name}")
    for point, value in mine:
        if value is not None:
            words = f"{_words(point)}: {name} {in_ms(value)} at {point.offered:g}/s"
            _trial(canvas, across.place(point.offered), up.place(value), point, words, small=True)
    if way:
        beyond = way[-1][0] + 8 + LETTER * 3 > WIDTH - RIGHT
        x, anchor = (way[-1][0] - 8, "end") if beyond else (way[-1][0] + 8, "start")
        canvas.text(x, way[-1][1] + 4, name, "label", anchor)


def _words(point: RatePoint) -> str:
    of = f"sign-off with {point.condition}" if point.condition else "trial"
    return f"{of} {point.verdict}"


def _trial(canvas: Canvas, x: float, y: float, point: RatePoint, words: str, *, small: bool = False) -> None:
    """Draw a disc for holds, a cross for fails, a diamond for what decided nothing; a ring about N-1."""
    r = 3 if small else 4.5
    verdict = point.verdict if point.verdict in VERDICTS else "undecided"
    if verdict == "holds":
        d = f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0z"
    elif verdict == "fails":
        d = f"M{x - r:.1f} {y - r:.1f}l{2 * r} {2 * r}M{x + r:.1f} {y - r:.1f}l{-2 * r} {2 * r}"
    else:
        d = f"M{x:.1f} {y - r - 1:.1f}l{r + 1} {r + 1}l{-r - 1} {r + 1}l{-r - 1} {-r - 1}z"
    canvas.shapes.append(Shape("path", (("d", d), ("class", f"trial t-{verdict}")), title=words))
    if point.condition:
        ring = r + 3.5
        d = f"M{x - ring:.1f} {y:.1f}a{ring} {ring} 0 1 0 {2 * ring} 0a{ring} {ring} 0 1 0 {-2 * ring} 0z"
        kind = "ring ring-less" if point.condition == "N-1" else "ring"
        canvas.shapes.append(Shape("path", (("d", d), ("class", kind)), title=words))


def _grid(canvas: Canvas, y: float, words: str) -> None:
    line = (("x1", LEFT), ("y1", y), ("x2", WIDTH - RIGHT), ("y2", y), ("class", "grid"))
    canvas.behind.append(Shape("line", line))
    canvas.text(LEFT - 6, y + 3.5, words, "tick", "end")


def _rate_axis(canvas: Canvas, across: _Linear) -> None:
    step = tick_step(across.most, 10)
    canvas.line(LEFT, canvas.y, WIDTH - RIGHT, canvas.y, "axis")
    for number in range(int(across.most / step) + 1):
        x = across.place(number * step)
        canvas.line(x, canvas.y, x, canvas.y + 4, "axis")
        canvas.text(x, canvas.y + 15, f"{number * step:g}/s", "tick", "middle")


def _mark_all(canvas: Canvas, marks: Marks, across: _Linear, top: float) -> None:
    if marks.proven is not None and marks.refuted is not None:
        low, high = across.place(marks.proven), across.place(marks.refuted)
        size = (("x", low), ("y", top), ("width", round(max(high - low, 1.6), 1)))
        title = f"the limit lies between {marks.proven:g}/s and {marks.refuted:g}/s"
        shape = (*size, ("height", round(canvas.y - top, 1)), ("class", "between"))
        canvas.behind.append(Shape("rect", shape, title=title))
    lines = [
        (marks.forecast, "forecast peak", "mark-forecast"),
        (marks.required, "required", "mark-required"),
        (marks.proven, "proven", "mark-bound"),
        (marks.refuted, "refuted", "mark-bound"),
        (marks.knee[0] if marks.knee else None, "knee", "mark-knee"),
    ]
    taken: list[tuple[int, float]] = []
    for rate, words, kind in sorted((m for m in lines if m[0] is not None), key=lambda m: m[0] or 0):
        assert rate is not None
        x = across.place(rate)
        label = f"{words} {rate:g}/s"
        room = LETTER * len(label)
        start = x + 3 if x + 3 + room < WIDTH - RIGHT else x - 3 - room
        level = 0
        while any(row == level and start < end for row, end in taken) and level < 3:
            level += 1
        taken.append((level, start + room + 6))
        y = top - 6 - 12 * level
        ends = (("x1", x), ("y1", round(y - 8, 1)), ("x2", x), ("y2", round(canvas.y, 1)), ("class", kind))
        canvas.behind.append(Shape("line", ends))
        canvas.text(start, y, label, "note")


def _key(canvas: Canvas) -> None:
    x = float(LEFT)
    for verdict, words in (("holds", "held"), ("fails", "failed"), ("undecided", "not decided")):
        _trial(canvas, x + 6, canvas.y + 6, RatePoint(0, 0, (), verdict), words)
        canvas.text(x + 16, canvas.y + 10, words, "tick")
        x += 40 + LETTER * len(words)
    for condition, words in (("N", "the sign-off, with N"), ("N-1", "the sign-off, with N-1")):
        _trial(canvas, x + 8, canvas.y + 6, RatePoint(0, 0, (), "holds", condition), words)
        canvas.text(x + 22, canvas.y + 10, words, "tick")
        x += 50 + LETTER * len(words)
    canvas.y += 18
