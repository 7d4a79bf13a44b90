"""`gameday finding`: what runs found, from the day it is added to the run that shows it mended."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from gameday.canonical import to_json
from gameday.cli import exits
from gameday.cli.asked import ended_run, operator, project_here
from gameday.errors import UsageError
from gameday.evidence import mending
from gameday.evidence.casefile import Case, open_case
from gameday.evidence.trackfile import change, tracked
from gameday.evidence.tracking import Assigned, Change, SeenAgain, State, Tracked, ordered
from gameday.hosts.clock import utc_text


def finding(asked: argparse.Namespace) -> int:
    """Carry out `gameday finding` and return its exit code."""
    today = utc_text()[:10]
    match asked.do:
        case "list":
            return _list(tracked(project_here()), asked, today)
        case "export":
            from gameday.cli.findingexport import export  # noqa: PLC0415 - each command pays only for itself

            return export(asked, today)
        case "add":
            touched = _add(asked, today)
        case _:
            touched = _change(asked, today)
    _tell(touched, asked, today)
    return exits.PASS


def _add(asked: argparse.Namespace, today: str) -> tuple[Tracked, ...]:
    case = open_case(ended_run(asked.what))
    found = mending.proposed(case, asked.name, asked.text)
    due = mending.to_come("--due", asked.due, today) if asked.due else ""

    def decide(before: tuple[Tracked, ...]) -> list[tuple[str, Change]]:
        changes = mending.add(case, found, before, asked.severity)
        if asked.owner or due:
            changes += [(name, Assigned(asked.owner, due, "")) for name, _ in changes]
        return changes

    return change(project_here(), decide, by=operator(asked), at_utc=utc_text())


def _change(asked: argparse.Namespace, today: str) -> tuple[Tracked, ...]:
    if not asked.what:
        raise UsageError(
            f"finding {asked.do}: which one? Expected something like F-1",
            todo="`gameday finding list` lists them.",
        )
    retest = open_case(ended_run(asked.retest)) if asked.do == "close" and asked.retest else None

    def decide(before: tuple[Tracked, ...]) -> list[tuple[str, Change]]:
        item = next((item for item in before if item.id == asked.what), None)
        if item is None:
            raise UsageError(
                f"{asked.what}: there is no such finding", todo="`gameday finding list --all` lists them."
            )
        return [(item.id, _asked(asked, item, retest, today))]

    return change(project_here(), decide, by=operator(asked), at_utc=utc_text())


def _asked(asked: argparse.Namespace, item: Tracked, retest: Case | None, today: str) -> Change:
    match asked.do:
        case "assign":
            return mending.assign(
                item, owner=asked.owner, due=asked.due, severity=asked.severity, today=today
            )
        case "close":
            return mending.close(item, retest=retest, reason=asked.reason)
        case _:
            return mending.accept(
                item, accepted_by=asked.accepted_by, until=asked.until, reason=asked.reason, today=today
            )


def _list(found: tuple[Tracked, ...], asked: argparse.Namespace, today: str) -> int:
    shown = [item for item in found if asked.all or item.state_on(today) is State.OPEN]
    if asked.json:
        print(
            json.dumps([_json(item, today) for item in ordered(shown, today)], indent=1, ensure_ascii=False)
        )
        return exits.PASS
    if not shown:
        rest = f"; {len(found)} closed or accepted: `gameday finding list --all`" if found else ""
        print(f"no open finding{rest}")
    for item in ordered(shown, today):
        print(_line(item, today))
    return exits.PASS


def _tell(touched: tuple[Tracked, ...], asked: argparse.Namespace, today: str) -> None:
    if asked.json:
        print(json.dumps([_json(item, today) for item in touched], indent=1, ensure_ascii=False))
        return
    if not touched:
        print("nothing new: no finding of this run failed or is unknown, or all are tracked already")
    for item in touched:
        again = any(isinstance(e.change, SeenAgain) and e.change.run == item.runs[-1] for e in item.history)
        print(f"{'seen again' if asked.do == 'add' and again else asked.do}: {_line(item, today)}")
    if asked.do == "add" and any(not item.owner for item in touched):
        print("  `gameday finding assign F-… --owner NAME --due DAY` says who mends it until when")


def _line(item: Tracked, today: str) -> str:
    who = f", {item.owner}" if item.owner else ", nobody's yet"
    due = f", due {item.due}" if item.due else ""
    plan = Path(item.added.plan).stem
    return (
        f"{item.id:5} {item.severity:8} {item.words(today)}{who}{due}: {item.added.name} ({plan}): {item.why}"
    )


def _json(item: Tracked, today: str) -> dict[str, Any]:
    return {
        "id": item.id,
        "name": item.added.name,
        "plan": item.added.plan,
        "service": item.added.service,
        "verdict": item.verdict,
        "why": item.why,
        "severity": item.severity,
        "state": str(item.state_on(today)),
        "overdue": item.is_overdue(today),
        "owner": item.owner or None,
        "due": item.due or None,
        "runs": list(item.runs),
        "retest": item.closed.retest or None if item.closed else None,
        "closed": to_json(item.closed),
        "accepted": to_json(item.accepted),
        "history": [
            {"at_utc": e.at_utc, "by": e.by, "kind": type(e.change).__name__, **to_json(e.change)}
            for e in item.history
        ],
    }
