"""What became of findings: owner, due date, retest, accepted risk. Events only; nothing is rewritten.

findings/findings.jsonl in the project's folder holds one change a line, each naming the digest of the
line before it:

    {"at_utc","by","change":{…},"finding":"F-1","kind":"Assigned","prev":hex,"seq":n}

A finding is one thing to mend: the same finding of the same plan in a later run is seen again, not added
again, and what was closed is reopened. `by` is a name as claimed. Pure: the file is read and written by
`gameday.evidence.trackfile`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """Where a finding stands. An acceptance that has run out is open again."""

    OPEN = "open"
    ACCEPTED = "accepted"
    CLOSED = "closed"


SEVERITIES = ("critical", "high", "medium", "low")


@dataclass(frozen=True, slots=True)
class Added:
    """A finding of a run (`name` as the checkers call it), or what a person saw in it."""

    run: str
    plan: str
    service: str
    name: str
    verdict: str
    why: str
    severity: str


@dataclass(frozen=True, slots=True)
class SeenAgain:
    """A later run has it too; if it was closed, it is open again."""

    run: str
    verdict: str
    why: str


@dataclass(frozen=True, slots=True)
class Assigned:
    """Who mends it, until which day (YYYY-MM-DD). An empty value leaves the one before."""

    owner: str
    due: str
    severity: str


@dataclass(frozen=True, slots=True)
class Closed:
    """It is mended: shown by a later run in which it passes, or for a reason that a person gives."""

    retest: str
    reason: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """Somebody answers for leaving it as it is, until the end of a day."""

    accepted_by: str
    until: str
    reason: str


Change = Added | SeenAgain | Assigned | Closed | Accepted


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: which change, of which finding, when and by whom, as claimed."""

    seq: int
    at_utc: str
    by: str
    finding: str
    change: Change


@dataclass(frozen=True, slots=True)
class Tracked:
    """A finding as it stands after its changes, which stay in `history`."""

    id: str
    added: Added
    state: State
    runs: tuple[str, ...]
    verdict: str
    why: str
    severity: str
    owner: str = ""
    due: str = ""
    closed: Closed | None = None
    accepted: Accepted | None = None
    history: tuple[Entry, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What makes two findings of two runs the same one."""
        return self.added.plan, self.added.name

    def state_on(self, day: str) -> State:
        """Return where it stands on a day: an acceptance ends with its last day."""
        if self.state is State.ACCEPTED and self.accepted is not None and self.accepted.until < day:
            return State.OPEN
        return self.state

    def is_overdue(self, day: str) -> bool:
        """Tell whether it is open past its due day, or past the end of its acceptance."""
        if self.state_on(day) is not State.OPEN:
            return False
        return bool(self.due and self.due < day) or self.state is State.ACCEPTED

    def words(self, day: str) -> str:
        """Return where it stands, as a person says it."""
        state = self.state_on(day)
        if state is State.CLOSED and self.closed is not None:
            how = f"by retest {self.closed.retest}" if self.closed.retest else self.closed.reason
            return f"closed: {how}"
        if state is State.ACCEPTED and self.accepted is not None:
            return f"risk accepted by {self.accepted.accepted_by} until {self.accepted.until}"
        if self.state is State.ACCEPTED and self.accepted is not None:
            return f"open: the acceptance by {self.accepted.accepted_by} ended on {self.accepted.until}"
        return "open, overdue" if self.is_overdue(day) else "open"


def fold(entries: Iterable[Entry]) -> tuple[Tracked, ...]:
    """Return the findings after all their changes, in the order in which they were added."""
    found: dict[str, Tracked] = {}
    for entry in entries:
        before = found.get(entry.finding)
        if isinstance(entry.change, Added):
            found[entry.finding] = _new(entry.finding, entry.change)
        elif before is None:
            continue  # A change of nothing; the file's reader has said so already.
        else:
            found[entry.finding] = _changed(before, entry.change)
        now = found[entry.finding]
        found[entry.finding] = replace(now, history=(*now.history, entry))
    return tuple(found.values())


def _new(name: str, added: Added) -> Tracked:
    return Tracked(
        id=name,
        added=added,
        state=State.OPEN,
        runs=(added.run,),
        verdict=added.verdict,
        why=added.why,
        severity=added.severity,
    )


def _changed(now: Tracked, change: Change) -> Tracked:
    match change:
        case SeenAgain():
            again = State.OPEN if now.state is State.CLOSED else now.state
            runs = tuple(dict.fromkeys((*now.runs, change.run)))
            closed = None if again is State.OPEN else now.closed
            return replace(now, state=again, runs=runs, verdict=change.verdict, why=change.why, closed=closed)
        case Assigned():
            return replace(
                now,
                owner=change.owner or now.owner,
                due=change.due or now.due,
                severity=change.severity or now.severity,
            )
        case Closed():
            return replace(now, state=State.CLOSED, closed=change)
        case Accepted():
            return replace(now, state=State.ACCEPTED, accepted=change)
        case Added():
            return now


def ordered(findings: Iterable[Tracked], day: str) -> list[Tracked]:
    """Return findings as they are to be worked on: overdue, then open, then the rest; worst first."""
    states = (State.OPEN, State.ACCEPTED, State.CLOSED)

    def weight(item: Tracked) -> tuple[bool, int, int, str, int]:
        severity = SEVERITIES.index(item.severity) if item.severity in SEVERITIES else len(SEVERITIES)
        overdue = item.is_overdue(day)
        return (not overdue, states.index(item.state_on(day)), severity, item.due or "9", _number(item.id))

    return sorted(findings, key=weight)


def _number(name: str) -> int:
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdecimal() else 0
