"""The scorecard: the year of drills on a page, for leadership; as a page, as text, as data.

Every figure counts things that can be looked up: drills in the register, findings in their file, seconds in
a drill's findings.json. Nothing is weighted and nothing is rounded up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gameday.evidence.figure import Figure, Shape
from gameday.evidence.page import template
from gameday.evidence.programme import Row
from gameday.evidence.quarters import Achieved, Programme, Trend
from gameday.evidence.tables import Cell, Table, figure, row
from gameday.evidence.words import count, shown

WIDTH, HEIGHT, EDGE = 260, 44, 6
_SECONDS = re.compile(r"([0-9]+(?:\.[0-9]+)?) s\Z")


def headline(programme: Programme) -> str:
    """Return the one sentence that leadership asks for."""
    there = [item for item in programme.rows if not item.is_gone]
    fresh = sum(not item.is_overdue for item in there)
    open_ones = sum(len(item.open_findings) for item in programme.rows)
    late = sum(item.overdue_findings for item in programme.rows)
    said = f"{fresh} of {count(len(there), 'scenario')} demonstrated within {programme.retest_days} days"
    return f"{said}; {count(open_ones, 'finding')} open, {late} of them overdue"


# --- data --------------------------------------------------------------------------------------


def document(programme: Programme) -> dict[str, Any]:
    """Return the scorecard as plain data."""
    return {
        "today": programme.today,
        "source": programme.source,
        "register": programme.register or None,
        "doubt": programme.doubt or None,
        "headline": headline(programme),
        "retest_days": programme.retest_days,
        "scenarios": [scenario(item) for item in programme.rows],
        "quarters": [{**asdict(item), "ends": dict(item.ends)} for item in programme.quarters],
        "trends": [
            {
                "service": trend.service,
                "plan": trend.plan,
                "objective": trend.objective,
                "step_s": trend.step_s,
                "drills": [asdict(drill) for drill in trend.drills],
            }
            for trend in programme.trends
        ],
        "without_folder": list(programme.lost),
    }


def scenario(item: Row) -> dict[str, Any]:
    """Return one row of the coverage as plain data."""
    last = item.last
    return {
        "service": item.scenario.service,
        "plan": item.scenario.plan,
        "title": item.scenario.title or None,
        "kind": item.scenario.kind,
        "trouble": item.scenario.trouble or None,
        "in_experiments": not item.is_gone,
        "runs": item.runs,
        "last_run": last.run if last else None,
        "last_run_utc": last.started_utc if last else None,
        "end": last.end or None if last else None,
        "verdict": (last.verdict or None) if last else "not_tested",
        "demonstrated": item.demonstrated or None,
        "due": item.due or None,
        "overdue": item.is_overdue,
        "open_findings": [one.id for one in item.open_findings],
        "overdue_findings": item.overdue_findings,
    }


# --- a page ------------------------------------------------------------------------------------


def page(programme: Programme, *, linked: bool = False) -> str:
    """Return the scorecard as one HTML page: no script, nothing loaded from elsewhere.

    Args:
        programme: What it says.
        linked: It is a page of the web console, whose policy allows no style but that of a file.
    """
    return template("scorecard.html.j2").render(
        linked=linked,
        today=programme.today,
        headline=headline(programme),
        source=programme.source,
        register=programme.register,
        doubt=programme.doubt,
        coverage=_coverage(programme),
        quarters=_quarters(programme),
        trends=[(trend, _trend(trend), spark(trend)) for trend in programme.trends],
        findings=_findings(programme),
        lost=len(programme.lost),
    )


def _coverage(programme: Programme) -> Table:
    rows = [
        row(
            Cell(shown(item.scenario.service), shown(item.scenario.title or item.scenario.trouble)),
            Cell(Path(item.scenario.plan).stem, shown(item.scenario.kind)),
            figure(str(item.runs)),
            _last(item),
            item.demonstrated or "never",
            _due(item),
        )
        for item in programme.rows
    ]
    columns = ("Service", "Scenario", "Drills", "Last", "Last demonstrated", "Due again")
    note = "Demonstrated: it ran to its end and all was shown. A halt is safe, and demonstrates nothing."
    return Table("What is drilled, and what is due", columns, tuple(rows), note)


def _last(item: Row) -> Cell:
    if item.last is None:
        return Cell("never drilled", "", "verdict", "not_tested")
    verdict = item.last.verdict or "unknown"
    how = "" if item.last.end == "finished" else f"{item.last.end or 'no end'}, "
    words = verdict.replace("_", " ")
    known = verdict if verdict in ("pass", "fail", "not_tested") else "unknown"
    return Cell(words, f"{how}{item.last.started_utc[:10]}", "verdict", known)


def _due(item: Row) -> Cell:
    if item.is_gone:
        return Cell("no more", "its plan is gone")
    if item.is_overdue:
        return Cell("overdue", item.due and f"since {item.due}", "verdict", "fail")
    return Cell(item.due)


def _quarters(programme: Programme) -> Table:
    rows = [
        row(
            Cell(item.name, "so far" if item.last == programme.today else ""),
            *(
                figure(str(number))
                for number in (
                    item.begun, item.demonstrated, item.failed, item.ended("halted"), item.ended("crashed"),
                    item.ended("refused"), item.services, item.found, item.mended, item.open, item.overdue,
                )
            ),
        )
        for item in reversed(programme.quarters)
    ]  # fmt: skip
    columns = (
        "Quarter", "Drills", "Demonstrated", "Failed", "Halted", "Crashed", "Refused", "Services",
        "Found", "Mended", "Open", "Overdue",
    )  # fmt: skip
    note = "Services: with at least one demonstration. Open and overdue: findings, on the quarter's last day."
    return Table("Quarter by quarter", columns, tuple(rows), note)


def _findings(programme: Programme) -> Table:
    rows = [
        row(
            Cell(shown(one.id), shown(one.severity)),
            Cell(shown(one.added.name), shown(one.why, 160)),
            shown(one.added.service),
            one.owner or Cell("nobody", "", "verdict", "unknown"),
            Cell(shown(one.words(programme.today)), f"due {one.due}" if one.due else "no day set"),
        )
        for item in programme.rows
        for one in item.open_findings
    ]
    return Table("Open findings", ("Finding", "What", "Service", "Owner", "State"), tuple(rows))


def _trend(trend: Trend) -> str:
    """Say in words what the drawing shows."""
    last = trend.drills[-1]
    said = f"last {_took(last)}, objective {last.limit or 'none'}"
    step = trend.step_s
    if step is None:
        return said
    if abs(step) < 0.005:
        return f"{said}; as before"
    return f"{said}; {abs(step):.2f} s {'more' if step > 0 else 'less'} than the drill before"


def _took(drill: Achieved) -> str:
    if drill.most_s is None:
        return "not recovered" if drill.least_s is not None else "not known"
    return f"at most {drill.most_s:.2f} s"


def spark(trend: Trend) -> Figure:
    """Return a small drawing: one mark a drill, the objective as a dashed line."""
    known = [drill.most_s for drill in trend.drills if drill.most_s is not None]
    aim = _SECONDS.match(trend.drills[-1].limit)
    aim_s = float(aim[1]) if aim else None
    most = max([*known, aim_s or 0.0, 1e-9]) * 1.1
    wide = (WIDTH - 2 * EDGE) / max(len(trend.drills) - 1, 1)

    def place(number: int, value: float) -> tuple[float, float]:
        return round(EDGE + number * wide, 1), round(HEIGHT - EDGE - value / most * (HEIGHT - 2 * EDGE), 1)

    shapes = list(_objective(aim_s, place))
    line = [place(n, d.most_s) for n, d in enumerate(trend.drills) if d.most_s is not None]
    shapes.append(
        Shape("polyline", (("points", " ".join(f"{x},{y}" for x, y in line)), ("class", "line l-good")))
    )
    for number, drill in enumerate(trend.drills):
        x, y = place(number, most / 1.1 if drill.most_s is None else drill.most_s)
        title = f"{drill.started_utc[:10]}: {_took(drill)}, {drill.verdict}"
        kind = (
            "t-holds" if drill.verdict == "pass" else "t-fails" if drill.verdict == "fail" else "t-undecided"
        )
        shapes.append(
            Shape("circle", (("cx", x), ("cy", y), ("r", 3.4), ("class", f"trial {kind}")), title=title)
        )
    label = f"{trend.objective}, {trend.plan}: {_trend(trend)}"
    return Figure(WIDTH, HEIGHT, shown(label, 200), tuple(shapes))


def _objective(aim_s: float | None, place: Any) -> Iterator[Shape]:
    if aim_s is not None:
        _, y = place(0, aim_s)
        yield Shape("line", (("x1", 0), ("x2", WIDTH), ("y1", y), ("y2", y), ("class", "slo")))


# --- text --------------------------------------------------------------------------------------


def lines(programme: Programme) -> Iterator[str]:
    """Yield the scorecard as lines for a terminal."""
    yield headline(programme)
    yield (
        f"  drills from {programme.source}; the register {programme.register}"
        if programme.register
        else (f"  drills from {programme.source}")
    )
    if programme.doubt:
        yield f"  NOT TO BE RELIED ON: {shown(programme.doubt)}"
    yield ""
    for table in (_quarters(programme), _coverage(programme)):
        yield from _plain(table)
        yield ""
    if programme.trends:
        yield "Recovery, drill by drill"
    for trend in programme.trends:
        drills = count(len(trend.drills), "drill")
        yield f"  {shown(trend.objective)} ({Path(trend.plan).stem}), {drills}: {_trend(trend)}"


def _plain(table: Table) -> Iterator[str]:
    cells = [table.columns, *(tuple(_word(cell) for cell in r) for r in table.rows)]
    widths = [max(len(line[n]) for line in cells) for n in range(len(table.columns))]
    yield table.title
    for line in cells:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _word(cell: Cell) -> str:
    return f"{cell.text} ({cell.note})" if cell.verdict and cell.note else cell.text
