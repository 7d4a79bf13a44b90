"""`gameday coverage`: the year, not the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gameday.cli import exits
from gameday.cli.asked import project_here
from gameday.errors import PlanError
from gameday.evidence.programme import LEAVES, Row, Scenario, cover, from_register, from_runs
from gameday.evidence.trackfile import tracked
from gameday.evidence.words import count
from gameday.hosts.clock import utc_text
from gameday.plan.load import load_plan
from gameday.plan.policyfile import find_policy
from gameday.runner.folder import run_dirs

PLANS = (".yaml", ".yml", ".json")


def coverage(*, as_json: bool, policy: str | None) -> int:
    """Show which scenarios are there, when each was last demonstrated, and what is overdue."""
    project, today = project_here(), utc_text()[:10]
    retest_days = find_policy(project, policy).retest_days
    rows, source = rows_of(project, policy, today)
    if as_json:
        document = {
            "source": source,
            "today": today,
            "retest_days": retest_days,
            "scenarios": [_json(row) for row in rows],
        }
        print(json.dumps(document, indent=1, ensure_ascii=False))
        return exits.PASS
    print(f"drills from {source}; a scenario is due again after {retest_days} days")
    for line in _lines(rows):
        print(line)
    return exits.PASS


def rows_of(project: Path, policy: str | None, today: str) -> tuple[list[Row], str]:
    """Return a row for each scenario of a project, what is overdue first, and where the drills come from."""
    retest_days = find_policy(project, policy).retest_days
    drills, source = from_register(project / LEAVES), f"the register, {LEAVES.as_posix()}"
    if drills is None:
        drills, source = from_runs(run_dirs(project)), "the run folders that are still there: no register"
    rows = cover(_scenarios(project), drills, tracked(project), today=today, retest_days=retest_days)
    return rows, source


def _scenarios(project: Path) -> Iterator[Scenario]:
    for path in sorted((project / "experiments").glob("*")):
        if path.suffix not in PLANS:
            continue
        try:
            plan = load_plan(path)
        except PlanError as error:
            name = path.relative_to(project).as_posix()
            yield Scenario(name, "-", "-", "", str(error).splitlines()[0])
        else:
            yield Scenario(plan.source, plan.service, plan.kind, plan.title)


def _lines(rows: list[Row]) -> Iterator[str]:
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


def _json(row: Row) -> dict[str, Any]:
    last = row.last
    return {
        "service": row.scenario.service,
        "plan": row.scenario.plan,
        "title": row.scenario.title or None,
        "kind": row.scenario.kind,
        "trouble": row.scenario.trouble or None,
        "in_experiments": not row.is_gone,
        "runs": row.runs,
        "last_run": last.run if last else None,
        "last_run_utc": last.started_utc if last else None,
        "end": last.end or None if last else None,
        "verdict": (last.verdict or None) if last else "not_tested",
        "demonstrated": row.demonstrated or None,
        "due": row.due or None,
        "overdue": row.is_overdue,
        "open_findings": [item.id for item in row.open_findings],
        "overdue_findings": row.overdue_findings,
    }
