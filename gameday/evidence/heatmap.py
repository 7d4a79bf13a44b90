"""Latency over the run as a heat map: what a percentile hides, such as two kinds of answers at once.

Columns are time, rows are latencies on a logarithmic scale; the shade of a cell says how many good
answers a second fell into it, on a logarithmic scale as well, so that a few slow ones are seen beside
thousands of quick ones. Above stand failed requests. One path for each shade: a drawing of 8 000 cells
stays a few dozen kilobytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from gameday.evidence.figure import LEFT, LETTER, RIGHT, WIDTH, Canvas, Figure, Shape
from gameday.evidence.logscale import LogScale, around, tick_words
from gameday.evidence.series import SLOT_NS, Window
from gameday.history.histogram import upper_us
from gameday.history.loadevents import LoadBucket

COLUMNS_MAX, ROWS, SHADES = 200, 40, 8
HIGH, FAILED = 200, 14


@dataclass(slots=True)
class _Grid:
    """Counts of good answers by (column, bucket of the histogram), of failures by column."""

    start_ns: int
    column_ns: int
    counts: dict[int, dict[int, int]] = field(default_factory=dict)
    failed: dict[int, int] = field(default_factory=dict)
    slots: dict[int, set[int]] = field(default_factory=dict)


def heat_map(
    buckets: Iterable[LoadBucket], window: Window, marks: Iterable[tuple[int, str]]
) -> Figure | None:
    """Return the heat map of all loads; None where nothing was answered well.

    Args:
        buckets: All load buckets of the run.
        window: The time that is shown.
        marks: (instant, words): where the sides of the comparison begin.
    """
    grid = _counted(buckets, window)
    edges = [upper_us(index) for column in grid.counts.values() for index in column]
    if not edges:
        return None
    canvas = Canvas(window)
    canvas.y = 16
    top = canvas.y
    _failures(canvas, grid)
    canvas.y += 4
    scale = around(min(edges), max(edges), canvas.y + HIGH, canvas.y)
    cells, most = _cells(grid, scale, canvas.y)
    for value in scale.ticks():
        y = round(scale.place(value), 1)
        canvas.text(LEFT - 6, y + 3.5, tick_words(value), "tick", "end")
        canvas.line(LEFT, y, WIDTH - RIGHT, y, "grid")
    canvas.text(LEFT - 66, canvas.y + HIGH / 2, "latency", "lane", "end")
    _paint(canvas, grid, cells)
    canvas.y += HIGH
    _edges(canvas, list(marks), top)
    canvas.axis()
    _key(canvas, most)
    about = (
        "Each cell is a stretch of time and a range of latencies; the stronger its colour, the more good"
        " answers a second; shades are on a logarithmic scale. Above it stand failed and dropped requests."
    )
    return canvas.finish("Latency of good answers over time", about)


def _edges(canvas: Canvas, marks: list[tuple[int, str]], top: float) -> None:
    """Draw where the sides begin; a name that has no room before the next is written to the left."""
    places = [canvas.x(at_ns) for at_ns, _ in marks]
    for (_, words), x, following in zip(marks, places, [*places, float(WIDTH)][1:], strict=True):
        canvas.line(x, top - 4, x, canvas.y, "edge")
        if x + 6 + LETTER * len(words) < following:
            canvas.text(x + 3, top - 5, words, "note")
        else:
            canvas.text(x - 3, top - 5, words, "note", "end")


def _counted(buckets: Iterable[LoadBucket], window: Window) -> _Grid:
    column_ns = SLOT_NS * max(-(-window.span_ns // (SLOT_NS * COLUMNS_MAX)), 1)
    grid = _Grid(window.start_ns, column_ns)
    for bucket in buckets:
        if not window.start_ns <= bucket.start_ns < window.end_ns:
            continue
        slot = (bucket.start_ns - window.start_ns + SLOT_NS // 2) // SLOT_NS
        number = slot * SLOT_NS // column_ns
        grid.slots.setdefault(number, set()).add(slot)
        counts = grid.counts.setdefault(number, {})
        for index, count in bucket.latency:
            counts[index] = counts.get(index, 0) + count
        if bucket.bad or bucket.dropped:
            grid.failed[number] = grid.failed.get(number, 0) + bucket.bad + bucket.dropped
    return grid


def _cells(grid: _Grid, scale: LogScale, top: float) -> tuple[dict[tuple[int, int], float], float]:
    """Return good answers a second by (row, column), and the most of them."""
    height = HIGH / ROWS
    rows: dict[int, tuple[int, int]] = {}
    cells: dict[tuple[int, int], float] = {}
    for number, counts in grid.counts.items():
        covered_s = len(grid.slots[number]) * SLOT_NS / 1e9
        for index, count in counts.items():
            if index not in rows:
                # A bucket may be higher than a row: it fills all the rows that it reaches.
                high, low = scale.place(upper_us(index)), scale.place(upper_us(index - 1))
                first, last = int((high - top) / height), int((low - top - 1e-6) / height)
                rows[index] = min(first, ROWS - 1), min(max(last, first), ROWS - 1)
            first, last = rows[index]
            for row in range(first, last + 1):
                cells[row, number] = cells.get((row, number), 0.0) + count / covered_s / (last - first + 1)
    return cells, max(cells.values())


def _shade(value: float, least: float, most: float) -> int:
    if most <= least:
        return SHADES
    return 1 + min(int(SHADES * math.log(value / least) / math.log(most / least)), SHADES - 1)


def _paint(canvas: Canvas, grid: _Grid, cells: dict[tuple[int, int], float]) -> None:
    """Draw a path for each shade; neighbours of one shade in a row are one piece."""
    least, most, height = min(cells.values()), max(cells.values()), HIGH / ROWS
    runs: list[tuple[int, int, int, int]] = []
    for (row, number), value in sorted(cells.items()):
        shade = _shade(value, least, most)
        if runs and runs[-1][0] == row and runs[-1][2:] == (number, shade):
            runs[-1] = (row, runs[-1][1], number + 1, shade)
        else:
            runs.append((row, number, number + 1, shade))
    pieces: dict[int, list[str]] = {}
    for row, begun, ended, shade in runs:
        x, end = (canvas.x(grid.start_ns + n * grid.column_ns) for n in (begun, ended))
        way = f"M{x:.1f} {canvas.y + row * height:.1f}h{end - x:.1f}v{height:g}h{x - end:.1f}z"
        pieces.setdefault(shade, []).append(way)
    for shade, ways in sorted(pieces.items()):
        canvas.shapes.append(Shape("path", (("d", "".join(ways)), ("class", f"heat h{shade}"))))


def _failures(canvas: Canvas, grid: _Grid) -> None:
    canvas.text(LEFT - 6, canvas.y + 11, "failed", "lane", "end")
    canvas.line(LEFT, canvas.y + FAILED, WIDTH - RIGHT, canvas.y + FAILED, "axis faint")
    most = max(grid.failed.values(), default=1)
    for number, count in sorted(grid.failed.items()):
        start_ns = grid.start_ns + number * grid.column_ns
        height = round(3 + (FAILED - 3) * count / most, 1)
        title = f"{count} failed or dropped in {grid.column_ns / 1e9:g} s"
        canvas.box(start_ns, start_ns + grid.column_ns, "r-bad", title, top=FAILED - height, height=height)
    canvas.y += FAILED


def _key(canvas: Canvas, most: float) -> None:
    """Draw the scale of shades."""
    x, width = WIDTH - RIGHT - 250, 14
    canvas.text(x - 8, canvas.y + 10, "good answers a second: few", "tick", "end")
    for shade in range(1, SHADES + 1):
        size = (("x", x + (shade - 1) * width), ("y", canvas.y + 1), ("width", width), ("height", 11))
        canvas.shapes.append(Shape("rect", (*size, ("class", f"heat h{shade}"))))
    canvas.text(x + SHADES * width + 8, canvas.y + 10, f"{most:.3g} in one cell", "tick")
    canvas.y += 16
