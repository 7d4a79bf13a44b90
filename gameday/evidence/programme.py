"""The programme of drills: which service is drilled by which scenario, when last, and what is due.

One good drill proves little about a year. So the rows are all the scenarios there are (each plan in
experiments/, and each that was ever run), with the day on which it last demonstrated what it sets out to,
and an overdue one stands first. The population comes from the register, which no run can be dropped from;
where there is none, from the run folders that are still there, and it is said which.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from gameday.errors import HistoryError, RecordError
from gameday.evidence.tracking import State, Tracked
from gameday.history.events import RunEnded, RunnerLost
from gameday.history.read import read_records
from gameday.plan.stored import read_plan

LEAVES = Path("register", "leaves.jsonl")
LEAVES_MAX = 64 << 20
_STARTED = ("plan", "service", "drill_kind", "at_utc")
ENDS = ("finished", "halted", "crashed", "refused")


@dataclass(frozen=True, slots=True)
class Drilled:
    """One drill that was begun. `end` is empty while nothing says how it ended."""

    run: str
    plan: str
    service: str
    kind: str
    started_utc: str
    end: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A plan of the project. `trouble`: why it cannot be read as one."""

    plan: str
    service: str
    kind: str
    title: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A scenario and where it stands. `due` is empty when it was never demonstrated: it is due now."""

    scenario: Scenario
    runs: int
    last: Drilled | None
    demonstrated: str
    due: str
    is_overdue: bool
    is_gone: bool
    open_findings: tuple[Tracked, ...] = ()
    overdue_findings: int = 0


def cover(
    scenarios: Iterable[Scenario],
    drills: Iterable[Drilled],
    tracked: Iterable[Tracked],
    *,
    today: str,
    retest_days: int,
) -> list[Row]:
    """Return a row for each scenario, what is overdue first.

    Args:
        scenarios: The plans of the project.
        drills: Every drill that was begun, refused and crashed ones too.
        tracked: The findings of the project.
        today: YYYY-MM-DD.
        retest_days: A demonstration is good for so many days.
    """
    known = {item.plan: item for item in scenarios}
    present = set(known)
    by_plan: dict[str, list[Drilled]] = {}
    for drill in sorted(drills, key=lambda drill: (drill.started_utc, drill.run)):
        by_plan.setdefault(drill.plan, []).append(drill)
        known.setdefault(drill.plan, Scenario(drill.plan, drill.service, drill.kind))
    open_ones: dict[str, list[Tracked]] = {}
    for item in tracked:
        if item.state_on(today) is State.OPEN:
            open_ones.setdefault(item.added.plan, []).append(item)
    rows = [
        _row(
            _served(known[plan], by_plan.get(plan, [])),
            by_plan.get(plan, []),
            open_ones.get(plan, []),
            today,
            retest_days,
            plan not in present,
        )
        for plan in known
    ]
    return sorted(rows, key=lambda row: (not row.is_overdue, row.due or "0", row.scenario.plan))


def _served(scenario: Scenario, drills: list[Drilled]) -> Scenario:
    """Return a scenario with its service: what cannot be read now was for the one that was drilled."""
    if not scenario.trouble or not drills:
        return scenario
    return replace(scenario, service=drills[-1].service, kind=drills[-1].kind)


def _row(
    scenario: Scenario, drills: list[Drilled], found: list[Tracked], today: str, retest_days: int, gone: bool
) -> Row:
    passed = [drill for drill in drills if drill.verdict == "pass" and drill.end == "finished"]
    demonstrated = passed[-1].started_utc[:10] if passed else ""
    due = ""
    if demonstrated:
        due = (date.fromisoformat(demonstrated) + timedelta(days=retest_days)).isoformat()
    return Row(
        scenario=scenario,
        runs=len(drills),
        last=drills[-1] if drills else None,
        demonstrated=demonstrated,
        due=due,
        is_overdue=not gone and (not due or due < today),
        is_gone=gone,
        open_findings=tuple(found),
        overdue_findings=sum(item.is_overdue(today) for item in found),
    )


def from_register(path: Path) -> list[Drilled] | None:
    """Return the drills that a register holds; None when there is no register.

    Raises:
        RecordError: It cannot be read, or a line of it is no leaf.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror}") from error
    with os.fdopen(fd, "rb") as file:
        data = file.read(LEAVES_MAX + 1)
    if len(data) > LEAVES_MAX:
        raise RecordError(f"{path}: is larger than {LEAVES_MAX >> 20} MiB")
    return _population(_leaves(data[: data.rfind(b"\n") + 1], path))


def _leaves(data: bytes, path: Path) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            leaf = json.loads(line)
        except (ValueError, RecursionError):
            leaf = None
        if not isinstance(leaf, dict):
            raise RecordError(f"{path}:{number}: is no leaf of a register")
        yield leaf


def _population(leaves: Iterable[Mapping[str, Any]]) -> list[Drilled]:
    """Fold the leaves; a voided drill counts for nothing, one without an end has none."""
    found: dict[str, Drilled] = {}
    for leaf in leaves:
        run, kind = str(leaf.get("run", "")), leaf.get("kind")
        if kind == "started":
            plan, service, sort, at_utc = (str(leaf.get(key, "")) for key in _STARTED)
            found[run] = Drilled(run, plan, service, sort, at_utc)
        elif kind == "voided":
            found.pop(run, None)
        elif kind in ENDS and run in found:
            found[run] = replace(found[run], end=str(kind), verdict=str(leaf.get("verdict", "")))
    return list(found.values())


def from_runs(run_dirs: Iterable[Path]) -> list[Drilled]:
    """Return the drills whose folders are there; the verdict is the one in their findings.json."""
    return [drill for drill in map(_drilled, run_dirs) if drill is not None]


def _drilled(run_dir: Path) -> Drilled | None:
    try:
        plan, trace = read_plan(run_dir), read_records(run_dir)
    except (RecordError, HistoryError, OSError):
        return None  # No run, or one of another version: it cannot be said what it was.
    if not trace.records:
        return None
    events = [record.event for record in trace.records]
    ended = next((event for event in events if isinstance(event, RunEnded)), None)
    end = ""
    if any(isinstance(event, RunnerLost) for event in events):
        end = "crashed"
    elif ended is not None:
        end = {"completed": "finished"}.get(str(ended.outcome), str(ended.outcome))
    utc = trace.records[0].utc
    return Drilled(run_dir.name, plan.source, plan.service, plan.kind, utc, end, _verdict(run_dir))


def _verdict(run_dir: Path) -> str:
    try:
        return str(json.loads((run_dir / "findings.json").read_bytes())["verdict"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
