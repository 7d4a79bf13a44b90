"""What the engine knows of people: gates that wait for them, what they signed, what they reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gameday.history.people import ApprovalGiven, ManualReported, Need
from gameday.plan.approvals import Requirement
from gameday.plan.model import Plan


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate that was reached. `passed` is None while it waits; `gate` is `start` or a step's id."""

    gate: str
    needs: tuple[Need, ...]
    since_ns: int
    deadline_ns: int
    passed: bool | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class People:
    """Everything of that. `touched` once a step that may change the world was started."""

    start_needs: tuple[Need, ...] = ()
    start_timeout_ns: int = 0
    gates: tuple[Gate, ...] = ()
    approvals: tuple[ApprovalGiven, ...] = ()
    said: tuple[ManualReported, ...] = ()
    touched: bool = False

    def gate(self, name: str) -> Gate | None:
        """Return a gate that was reached."""
        return next((gate for gate in self.gates if gate.gate == name), None)

    def given(self, name: str) -> tuple[ApprovalGiven, ...]:
        """Return what was signed at a gate."""
        return tuple(approval for approval in self.approvals if approval.gate == name)

    def report(self, step: str, role: str) -> ManualReported | None:
        """Return what was last said of a step (`do`) or its undo (`undo`)."""
        return next((r for r in self.said if (r.step, r.role) == (step, role)), None)


NOBODY = People()


def missing(needs: Iterable[Need], given: Iterable[ApprovalGiven]) -> tuple[Need, ...]:
    """Return what is still needed. Nobody counts twice in one way of signing: neither a name nor a key.

    Whoever signed first counts; an approval that nobody asked for counts for nothing.
    """
    left = {(need.role, need.live): need.count for need in needs}
    names: set[tuple[str, bool]] = set()
    keys: set[tuple[str, bool]] = set()
    for approval in given:
        what = (approval.role, approval.live)
        name, key = (approval.principal, approval.live), (approval.fingerprint, approval.live)
        known = name in names or key in keys
        if not approval.verified or known or not left.get(what):
            continue
        left[what] -= 1
        names.add(name)
        keys.add(key)
    return tuple(Need(role, count, live) for (role, live), count in left.items() if count)


def said_of(needs: Iterable[Need]) -> str:
    """Return needs in words: `2 approvers and 1 commander`."""
    parts = [f"{need.count} {need.role}{'s' if need.count > 1 else ''}" for need in needs]
    return " and ".join(parts) or "nobody"


def with_gate(people: People, gate: Gate) -> People:
    """Return the same with one gate added or replaced."""
    return replace(people, gates=(*(g for g in people.gates if g.gate != gate.gate), gate))


def needs_of(requirements: Iterable[Requirement]) -> tuple[Need, ...]:
    """Return what the engine must know of requirements; who is fit to meet them is judged outside."""
    counts: dict[tuple[str, bool], int] = {}
    for need in requirements:
        counts[need.role, need.live] = counts.get((need.role, need.live), 0) + need.count
    return tuple(Need(role, count, live) for (role, live), count in counts.items())


# --- folding ---------------------------------------------------------------------------------


def begin_people(plan: Plan) -> tuple[tuple[Need, ...], int]:
    """Return what the plan itself asks for at the start: a run that was told nothing else fails closed."""
    return needs_of(plan.approvals.before_faults), plan.approvals.timeout_ns
