"""`gameday coverage` and `gameday scorecard`: the year, not the run."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from gameday.cli import exits
from gameday.cli.asked import project_here
from gameday.cli.output import put
from gameday.errors import UsageError
from gameday.evidence.programme import Row
from gameday.evidence.quarters import Programme
from gameday.evidence.scorecard import document, lines, page, scenario
from gameday.evidence.words import count
from gameday.hosts.clock import utc_text
from gameday.runner.programme import read_ground, read_programme


def coverage(*, as_json: bool, policy: str | None) -> int:
    """Show which scenarios are there, when each was last demonstrated, and what is overdue."""
    today, ground = utc_text()[:10], read_ground(project_here(), policy)
    rows, retest_days = ground.rows(today), ground.policy.retest_days
    if as_json:
        told = {
            "source": ground.source,
            "today": today,
            "retest_days": retest_days,
            "scenarios": [scenario(row) for row in rows],
        }
        print(json.dumps(told, indent=1, ensure_ascii=False))
        return exits.PASS
    print(f"drills from {ground.source}; a scenario is due again after {count(retest_days, 'day')}")
    for line in _lines(rows):
        print(line)
    return exits.PASS


def scorecard(asked: argparse.Namespace) -> int:
    """Show the programme for those who were at none of the drills; 4 where the register does not hold."""
    programme = read_programme(project_here(), today=utc_text()[:10], policy=asked.policy)
    if asked.form == "html" and asked.output == "-":
        raise UsageError("scorecard: a page goes to a file", todo="Name one: `-o scorecard.html`.")
    put(f"{_rendered(programme, asked.form)}\n".encode(), asked.output)
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
