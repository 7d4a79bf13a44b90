"""The load before, during and after the fault: a table of what it did, and how its latencies are spread.

Both render what `gameday.checkers.comparison` computed. A cell of `during` and `after` says beneath its
value how it differs from `before`, with the 95 % interval of that difference; where the interval holds
zero, the difference may be chance, and the cell says that it is unclear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gameday.checkers.comparison import Comparison, Measured, Row, compare, name_of, sides_in
from gameday.checkers.confidence import Estimate, difference
from gameday.checkers.findings import Findings
from gameday.checkers.view import View
from gameday.evidence.figure import LEFT, RIGHT, WIDTH, Canvas, Figure, Shape
from gameday.evidence.logscale import LogScale, around, in_ms, tick_words
from gameday.evidence.series import Window
from gameday.evidence.tables import Cell, Table, figure, row
from gameday.evidence.words import shown
from gameday.history.histogram import upper_us

ROWS_DRAWN_MAX = 6
LANE, HEIGHT, WORDS = 30, 20, 196
BIN = 4.0  # Pixels of a bin of the distribution.


def comparisons(view: View, findings: Findings) -> list[Comparison]:
    """Return what there is to compare, a load each, over the sides that the findings tell of."""
    sides = {finding.name: sides_in(finding) for finding in findings.findings}
    found = (compare(view, load.name, sides.get(name_of(load.name))) for load in view.plan.load)
    return [item for item in found if item is not None]


def table(comparison: Comparison) -> Table:
    """Return the numbers of one load, three lines for each name of requests."""
    rows = [cells for item in _shown_rows(comparison) for cells in _lines(item)]
    ends = ", ".join(
        f"{side.name} {side.start_ns / 1e9:.1f} to {side.end_ns / 1e9:.1f} s" for side in comparison.sides
    )
    note = (
        f"{ends} of the run. Beneath each value stands its 95 % interval; during and after, the difference to"
        " before, with its interval: unclear where that holds zero. Requests answered together share their"
        " fate: the sample counts for as much less as blocks of time differ more than chance lets them."
        " Latencies are those of good answers; a failed request has none. Dropped arrivals are failed ones."
    )
    if comparison.uneven:
        note = f"{comparison.uneven[:1].upper()}{comparison.uneven[1:]}. {note}"
    columns = ("Request", "", "Rate", "Failed", "p50", "p95", "p99")
    return Table(
        f"Load {shown(comparison.load, 60)}: before, during, after", columns, tuple(rows), note, "sides"
    )


def _shown_rows(comparison: Comparison) -> Sequence[Row]:
    """All of a load, and each name; the first says nothing more where there is only one name."""
    return comparison.rows if len(comparison.rows) > 2 else comparison.rows[1:]


def _lines(item: Row) -> list[tuple[Cell, ...]]:
    lines = []
    for when, measured in (("before", item.before), ("during", item.during), ("after", item.after)):
        earlier = None if when == "before" else item.before
        name = Cell(shown(item.name or "all requests", 80)) if when == "before" else Cell("")
        if not measured.requests:
            lines.append(row(name, when, figure("no requests"), "", "", "", ""))
            continue
        shares = _cell(measured.failed_share, earlier.failed_share if earlier else None, _percent, _points)
        cells = [
            _cell(found, dict(earlier.percentiles)[key] if earlier else None, in_ms, _more_ms)
            for key, found in measured.percentiles
        ]
        rate = figure(f"{measured.rate_per_1000s / 1000:.1f}/s", f"{measured.requests} in all")
        lines.append(row(name, when, rate, shares, *cells))
    return lines


Words = Callable[[float], str]


def _cell(found: Estimate | None, earlier: Estimate | None, words: Words, more: Words) -> Cell:
    if found is None:
        return figure("", "no good answer")
    if earlier is None:
        return figure(words(found.value), _between(found, words))
    less = difference(found, earlier)
    assert less is not None
    unclear = ", unclear" if _holds_zero(less) else ""
    return figure(words(found.value), f"{more(less.value)} ({_between(less, more)}){unclear}")


def _holds_zero(found: Estimate) -> bool:
    return (found.low is None or found.low <= 0) and (found.high is None or found.high >= 0)


def _between(found: Estimate, words: Words) -> str:
    if found.low is None and found.high is None:
        return "not bounded"
    if found.high is None:
        return f"at least {words(found.low or 0)}"
    return (
        f"at most {words(found.high)}" if found.low is None else f"{words(found.low)} to {words(found.high)}"
    )


def _percent(share: float) -> str:
    return f"{share * 100:.2f} %" if share < 0.1 else f"{share * 100:.1f} %"


def _points(share: float) -> str:
    return f"{share * 100:+.2f}" if abs(share) < 0.1 else f"{share * 100:+.1f}"


def _more_ms(value_us: float) -> str:
    digits = 2 if abs(value_us) < 1000 else 1 if abs(value_us) < 100_000 else 0
    return f"{value_us / 1000:+.{digits}f}"


def drawing(comparison: Comparison) -> Figure | None:
    """Return how latencies are spread before, during and after; None without a good answer anywhere."""
    drawn = _shown_rows(comparison)[:ROWS_DRAWN_MAX]
    everything = [m for item in drawn for m in (item.before, item.during, item.after)]
    edges = [upper_us(index) for m in everything for index in m.latency]
    if not edges:
        return None
    canvas = Canvas(Window(0, 1))
    scale = around(min(edges), max(edges), LEFT, WIDTH - RIGHT - WORDS)
    top = canvas.y + 4
    for item in drawn:
        canvas.y += 16
        canvas.text(4, canvas.y, shown(item.name or "all requests", 60), "heading")
        canvas.y += 6
        for when, measured in (("before", item.before), ("during", item.during), ("after", item.after)):
            _lane(canvas, scale, when, measured)
    _axis(canvas, scale, top)
    label = f"Load {shown(comparison.load, 60)}: latency before, during and after the fault"
    about = (
        "For each name of requests three curves, one above the other: how many good answers took how long,"
        " each to its own height. Ticks stand at p50, p95 and p99; a bar beneath is the 95 % interval of p99,"
        " and an arrow says that too few requests lie beyond it to bound it."
    )
    return canvas.finish(label, about)


def _lane(canvas: Canvas, scale: LogScale, when: str, measured: Measured) -> None:
    base = canvas.y + HEIGHT
    canvas.text(LEFT - 10, base - 3, when, "lane", "end")
    if measured.latency:
        canvas.shapes.append(_hill(scale, measured, when, base))
        _marks(canvas, scale, measured, base)
    canvas.line(scale.at_low, base, scale.at_high, base, "axis faint")
    x = scale.at_high + 14
    share = f"{_percent(measured.failed_share.value)} failed" if measured.failed_share else "no requests"
    p99 = dict(measured.percentiles)["p99"]
    tail = f"p99 {in_ms(p99.value)}" if p99 else "no good answer"
    canvas.text(x, base - 3, tail, "label")
    canvas.text(x + 98, base - 3, share, "label")
    canvas.y += LANE


def _hill(scale: LogScale, measured: Measured, when: str, base: float) -> Shape:
    """Return the distribution as a filled curve. A bin is some pixels wide, whatever the histogram's is."""
    size = int((scale.at_high - scale.at_low) / BIN) + 1
    bins = [0.0] * (size + 4)
    for index, count in measured.latency.items():
        # A bucket may be wider than a bin: it is spread over the bins that it reaches.
        low, high = scale.place(upper_us(index - 1)), scale.place(upper_us(index))
        first, last = int((low - scale.at_low) / BIN), int((high - scale.at_low) / BIN)
        for number in range(first, last + 1):
            bins[number + 2] += count / (last - first + 1)
    smooth = bins[2:-2]
    for _ in range(_passes(sum(measured.latency.values()))):
        padded = [0.0, 0.0, *smooth, 0.0, 0.0]
        smooth = [
            (padded[n - 2] + 2 * padded[n - 1] + 3 * padded[n] + 2 * padded[n + 1] + padded[n + 2]) / 9
            for n in range(2, size + 2)
        ]
    most = max(smooth)
    points = [
        (scale.at_low + (n + 0.5) * BIN, base - value / most * HEIGHT) for n, value in enumerate(smooth)
    ]
    seen = [n for n, value in enumerate(smooth) if value > most / 400]
    points = points[seen[0] : seen[-1] + 1]
    way = "".join(f"L{x:.1f} {y:.1f}" for x, y in points)
    d = f"M{points[0][0]:.1f} {base:.1f}{way}L{points[-1][0]:.1f} {base:.1f}Z"
    title = f"{when}: {measured.requests} requests, {measured.failed} failed"
    return Shape("path", (("d", d), ("class", f"hill w-{when}")), title=title)


def _passes(answers: int) -> int:
    """Return how often the curve is smoothed: few answers are no row of peaks."""
    return 1 if answers >= 300 else 3 if answers >= 60 else 8


def _marks(canvas: Canvas, scale: LogScale, measured: Measured, base: float) -> None:
    for name, found in measured.percentiles:
        if found is None:
            continue
        x = round(scale.place(found.value), 1)
        top = base - HEIGHT if name == "p50" else base - HEIGHT * (0.6 if name == "p95" else 0.8)
        ends = (("x1", x), ("y1", round(top, 1)), ("x2", x), ("y2", base + 3), ("class", f"mark m-{name}"))
        title = f"{name} {in_ms(found.value)}, {_between(found, in_ms)}"
        canvas.shapes.append(Shape("line", ends, title=title))
        if name == "p99":
            _whisker(canvas, scale, found, base + 4)


def _whisker(canvas: Canvas, scale: LogScale, found: Estimate, y: float) -> None:
    low = scale.at_low if found.low is None else scale.place(found.low)
    if found.high is None:
        high = min(scale.place(found.value) + 22, scale.at_high)
        canvas.curve([(high - 4, y - 2.5), (high, y), (high - 4, y + 2.5)], "whisker")
    else:
        high = scale.place(found.high)
    canvas.line(round(low, 1), y, round(high, 1), y, "whisker")


def _axis(canvas: Canvas, scale: LogScale, top: float) -> None:
    for value in scale.ticks():
        x = round(scale.place(value), 1)
        line = (("x1", x), ("y1", top), ("x2", x), ("y2", round(canvas.y, 1)), ("class", "grid"))
        canvas.behind.append(Shape("line", line))
        canvas.text(x, canvas.y + 11, tick_words(value), "tick", "middle")
    canvas.y += 18
