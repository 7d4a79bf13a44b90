"""The programme over time: quarter by quarter, and each objective from drill to drill. Pure.

A scorecard for people who were at none of the drills. So every figure is one that can be counted again by
hand from the register, the findings and the runs: no weights, no marks out of ten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from gameday.evidence.programme import Drilled, Row
from gameday.evidence.tracking import State, Tracked, fold

OBJECTIVES = ("RTA ", "RPA ")


@dataclass(frozen=True, slots=True)
class Achieved:
    """What one drill achieved of one objective. `most_s` None: it was not recovered, or not told."""

    run: str
    plan: str
    service: str
    started_utc: str
    objective: str  # as the finding is called: RTA orders
    least_s: float | None
    most_s: float | None
    limit: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Quarter:
    """What was drilled in three months, and how the findings stood on their last day (or today)."""

    name: str  # 2026 Q4
    first: str  # YYYY-MM-DD
    last: str
    begun: int
    ends: tuple[
        tuple[str, int], ...
    ]  # of those begun: finished, halted, crashed, refused, and "" without an end
    demonstrated: int  # ran to their end and passed
    failed: int  # ran to their end with the verdict fail
    services: int  # with at least one demonstration
    found: int
    mended: int
    open: int
    overdue: int

    def ended(self, how: str) -> int:
        """Return how many of those begun ended so."""
        return dict(self.ends).get(how, 0)


@dataclass(frozen=True, slots=True)
class Trend:
    """One objective of one scenario, drill by drill, oldest first."""

    service: str
    plan: str
    objective: str
    drills: tuple[Achieved, ...]

    @property
    def step_s(self) -> float | None:
        """By how much the last drill took longer than the one before; None where either is not known."""
        known = [drill.most_s for drill in self.drills[-2:]]
        if len(known) < 2 or known[0] is None or known[1] is None:
            return None
        return known[1] - known[0]


@dataclass(frozen=True, slots=True)
class Programme:
    """Everything a scorecard says.

    `register` is what is known of the register, `doubt` why it is not to be relied on. The folders of `lost`
    drills are gone: they count, and what they achieved is not known here.
    """

    today: str
    source: str
    register: str
    doubt: str
    retest_days: int
    rows: tuple[Row, ...]
    quarters: tuple[Quarter, ...]
    trends: tuple[Trend, ...]
    lost: tuple[str, ...]


def quarters(drills: Sequence[Drilled], tracked: Sequence[Tracked], *, today: str) -> list[Quarter]:
    """Return every quarter from the first drill or finding to today, oldest first."""
    days = [drill.started_utc[:10] for drill in drills]
    days += [entry.at_utc[:10] for item in tracked for entry in item.history[:1]]
    first = _begin_of(min([*days, today]))
    found = []
    while first <= date.fromisoformat(today):
        following = _begin_of((first + timedelta(days=100)).isoformat())
        last = min(following - timedelta(days=1), date.fromisoformat(today))
        found.append(_quarter(first.isoformat(), last.isoformat(), drills, tracked))
        first = following
    return found


def _quarter(first: str, last: str, drills: Iterable[Drilled], tracked: Iterable[Tracked]) -> Quarter:
    begun = [drill for drill in drills if first <= drill.started_utc[:10] <= last]
    whole = [drill for drill in begun if drill.end == "finished"]
    passed = [drill for drill in whole if drill.verdict == "pass"]
    then = [item for item in (_on(item, last) for item in tracked) if item is not None]
    return Quarter(
        name=f"{first[:4]} Q{(int(first[5:7]) + 2) // 3}",
        first=first,
        last=last,
        begun=len(begun),
        ends=tuple(sorted(Counter(drill.end for drill in begun).items())),
        demonstrated=len(passed),
        failed=sum(drill.verdict == "fail" for drill in whole),
        services=len({drill.service for drill in passed}),
        found=sum(first <= item.history[0].at_utc[:10] for item in then),
        mended=sum(item.state is State.CLOSED and first <= item.history[-1].at_utc[:10] for item in then),
        open=sum(item.state_on(last) is State.OPEN for item in then),
        overdue=sum(item.is_overdue(last) for item in then),
    )


def _on(item: Tracked, day: str) -> Tracked | None:
    """Return a finding as it stood at the end of a day; None when it was not there yet."""
    return next(iter(fold(entry for entry in item.history if entry.at_utc[:10] <= day)), None)


def _begin_of(day: str) -> date:
    at = date.fromisoformat(day)
    return date(at.year, (at.month - 1) // 3 * 3 + 1, 1)


def achieved(drill: Drilled, document: Mapping[str, Any]) -> list[Achieved]:
    """Return what a drill achieved, from the content of its findings.json; what is no number is not known."""
    found = []
    for finding in document.get("findings") or ():
        name = str(finding.get("name", ""))
        if not name.startswith(OBJECTIVES):
            continue
        interval = finding.get("interval_s") or {}
        least, most = (_number(interval.get(key)) for key in ("min", "max"))
        limit, verdict = str(finding.get("limit", "")), str(finding.get("verdict", ""))
        found.append(
            Achieved(
                drill.run, drill.plan, drill.service, drill.started_utc, name, least, most, limit, verdict
            )
        )
    return found


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def trends(figures: Iterable[Achieved]) -> list[Trend]:
    """Return the trend of each objective, by service, plan and name."""
    by_objective: dict[tuple[str, str, str], list[Achieved]] = {}
    for figure in sorted(figures, key=lambda figure: (figure.started_utc, figure.run)):
        by_objective.setdefault((figure.service, figure.plan, figure.objective), []).append(figure)
    return [Trend(*key, tuple(found)) for key, found in sorted(by_objective.items())]
