"""`gameday coverage` and `gameday scorecard`: the year, not the run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from gameday.cli import exits
from gameday.cli.asked import project_here, writing
from gameday.errors import UsageError
from gameday.evidence.programme import Row
from gameday.evidence.quarters import Programme
from gameday.evidence.scorecard import document, lines, page, scenario
from gameday.evidence.words import count
from gameday.hosts.clock import utc_text
from gameday.runner.programme import read_programme

FORMS = ("text", "json", "html")


def coverage(*, as_json: bool, policy: str | None) -> int:
    """Show which scenarios are there, when each was last demonstrated, and what is overdue."""
    programme = read_programme(project_here(), today=utc_text()[:10], policy=policy)
    if as_json:
        told = {
            "source": programme.source,
            "today": programme.today,
            "retest_days": programme.retest_days,
            "scenarios": [scenario(row) for row in programme.rows],
        }
        print(json.dumps(told, indent=1, ensure_ascii=False))
        return exits.PASS
    print(
        f"drills from {programme.source}; a scenario is due again after {count(programme.retest_days, 'day')}"
    )
    for line in _lines(programme.rows):
        print(line)
    return exits.PASS


def scorecard(asked: argparse.Namespace) -> int:
    """Show the programme for those who were at none of the drills; 4 where the register does not hold."""
    programme = read_programme(project_here(), today=utc_text()[:10], policy=asked.policy)
    if asked.form == "html" and asked.output == "-":
        raise UsageError("scorecard: a page goes to a file", todo="Name one: `-o scorecard.html`.")
    text = _rendered(programme, asked.form)
    if asked.output == "-":
        print(text)
    else:
        with writing(Path(asked.output)):
            Path(asked.output).write_text(text + "\n", encoding="utf-8")
    return exits.UNKNOWN if programme.doubt else exits.PASS


def _rendered(programme: Programme, form: str) -> str:
    match form:
        case "json":
            return json.dumps(document(programme), indent=1, ensure_ascii=False)
        case "html":
            return page(programme)
        case _:
            return "\n".join(lines(programme))


def _lines(rows: tuple[Row, ...]) -> Iterator[str]:
    cells: list[tuple[str, ...]] = [
        ("service", "scenario", "runs", "last run", "verdict", "demonstrated", "due", "open findings")
    ]
    cells += [_cells(row) for row in rows]
    widths = [max(len(line[n]) for line in cells) for n in range(len(cells[0]))]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    for row in rows:
        if row.scenario.trouble:
            yield f"  {row.scenario.plan} is no plan that can be run: {row.scenario.trouble}"
    overdue = sum(row.is_overdue for row in rows)
    never = sum(not row.demonstrated and not row.is_gone for row in rows)
    yield f"{overdue} of {count(len(rows), 'scenario')} overdue, {never} of them never demonstrated"


def _cells(row: Row) -> tuple[str, ...]:
    last = row.last
    due = (
        "gone from experiments/"
        if row.is_gone
        else f"OVERDUE {row.due}".rstrip()
        if row.is_overdue
        else row.due
    )
    found = str(len(row.open_findings)) + (
        f", {row.overdue_findings} overdue" if row.overdue_findings else ""
    )
    return (
        row.scenario.service,
        Path(row.scenario.plan).stem,
        str(row.runs),
        last.started_utc[:10] if last else "never",
        _verdict(row),
        row.demonstrated or "never",
        due,
        found,
    )


def _verdict(row: Row) -> str:
    if row.last is None:
        return "not_tested"
    if row.last.end in ("", "crashed", "halted", "refused"):
        return f"{row.last.verdict or '-'} ({row.last.end or 'no end'})"
    return row.last.verdict or "-"
