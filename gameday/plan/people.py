"""What people do in a plan, compiled: gates they open and steps they carry out by hand."""

from __future__ import annotations

from typing import Any, Protocol

from gameday.plan.approvals import SIGNERS, Approvals, Requirement
from gameday.plan.model import Activity, Plan, Segment, StepKind
from gameday.plan.participants import people_odd
from gameday.plan.schema_people import ApprovalIn, ApprovalsIn, ManualIn
from gameday.plan.shape import ActivityIn
from gameday.plan.source import Source, Where
from gameday.plan.units import as_text


class Maker(Protocol):
    """What is asked of the compiler: where it stands, and an activity made from its shape."""

    at: Source
    runbook: str | None

    def _activity(self, item: ActivityIn, where: Where, name: str, timeout_ns: int) -> Activity: ...


def approvals(item: ApprovalsIn | None) -> Approvals:
    """Return what a plan asks for before its first fault; nothing where it says nothing."""
    if item is None:
        return Approvals()
    required = tuple(
        Requirement(need.role, need.count, need.live, tuple(need.people), tuple(need.apart_from))
        for need in item.before_faults
    )
    return Approvals(required, item.allowed_signers or SIGNERS, item.timeout)


def by_people(
    item: ManualIn | ApprovalIn, where: Where, maker: Maker
) -> tuple[str, StepKind, dict[str, Any]]:
    """Return name, kind and fields of a step that waits for people, and note what is wrong with it."""
    if isinstance(item, ManualIn):
        return item.manual, StepKind.MANUAL, _by_hand(item, where, maker)
    return item.approval, StepKind.APPROVAL, {"needs": _needs(item, where, maker.at)}


def _needs(item: ApprovalIn, where: Where, source: Source) -> tuple[Requirement, ...]:
    """Each role is asked for as often as it is named, and always live."""
    if "parallel" in where:
        source.complain(where, f"approval {item.approval!r}: a gate stands alone, not in parallel")
    return tuple(
        Requirement(role, item.roles.count(role), True, tuple(item.people), tuple(item.apart_from))
        for role in dict.fromkeys(item.roles)
    )


def _by_hand(item: ManualIn, where: Where, maker: Maker) -> dict[str, Any]:
    _check(item, where, maker)
    found: dict[str, Any] = {
        "who": item.who,
        "instructions": item.instructions,
        "target": item.target or "",
        "undo_deadline_ns": item.undo_timeout,
        "segment": Segment(item.segment) if item.segment else None,
        "point_of_no_return": item.point_of_no_return,
        "supersedes": tuple(item.supersedes),
        "complete": item.complete,
        "returns_home": item.returns_home,
    }
    timeout_ns = item.undo_timeout
    if isinstance(item.undo, str):
        found["undo_by_hand"] = found["manual_command"] = item.undo
    elif item.undo is not None:
        name = f"undo of {item.manual}"
        found["undo"] = maker._activity(item.undo, (*where, "undo"), name, timeout_ns)
    if item.in_place is not None:
        name = f"read-back of {item.manual}"
        found["in_place"] = maker._activity(item.in_place, (*where, "in_place"), name, timeout_ns)
    return found


def _check(item: ManualIn, where: Where, maker: Maker) -> None:
    step, source = f"manual step {item.manual!r}", maker.at
    if isinstance(item.undo, str) and not item.undo.strip():
        source.complain((*where, "undo"), f"{step}: `undo` is empty: say what a person must do to undo it")
    if item.in_place is not None and (item.undo is None or isinstance(item.undo, str)):
        source.complain(
            (*where, "in_place"), f"{step}: `in_place` reads back an undo that is an action; it has none"
        )
    if item.supersedes and item.undo is None:
        source.complain(where, f"{step} supersedes an undo, so it needs an `undo` of its own")
    if item.point_of_no_return and maker.runbook is None:
        source.complain(where, f"{step}: a point of no return belongs in a runbook")


def people_warnings(plan: Plan) -> list[str]:
    """Return what is allowed but will disappoint: people who are waited for longer than a drill may last."""
    radius = plan.blast_radius
    odd = people_odd(plan)
    if radius is None:
        return odd
    return odd + [
        f"step {step.name}: it waits {as_text(step.deadline_ns)} for people, but the blast radius ends the "
        f"drill after {as_text(radius.duration_ns)}"
        for step in plan.steps
        if step.kind in (StepKind.MANUAL, StepKind.APPROVAL) and step.deadline_ns >= radius.duration_ns
    ]
