"""When a drill may run: windows and blackout days, in the policy's time zone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeVar
from zoneinfo import ZoneInfo

from gameday.plan.model import NS, Plan, StepKind
from gameday.plan.policy import Policy, Rule, Rules, Window, approvals_needed
from gameday.plan.units import as_text

R = TypeVar("R")


def steps_ns(plan: Plan) -> int:
    """Return the longest that the steps can take: every deadline used up, and each fault's own `for`.

    The deadline of a hold includes the hold.
    """
    groups: dict[int, int] = {}
    for step in plan.steps:
        stays_ns = (step.for_ns or 0) if step.kind is StepKind.FAULT else 0
        groups[step.group] = max(groups.get(step.group, 0), step.deadline_ns + stays_ns)
    return sum(groups.values())


def longest_ns(plan: Plan, policy: Policy | None = None) -> int:
    """Return the longest that a drill can take: every deadline, all patience, and the wait for signatures.

    With a policy its own demands of live signatures count too.
    """
    return _wait_ns(plan, policy) + left_ns(plan, baseline_held=False)


def left_ns(plan: Plan, *, baseline_held: bool) -> int:
    """Return the longest that a drill can still take once its start gate is open, or its baseline held.

    Undos of one target wait for each other.
    """
    undos: dict[str, int] = {}
    for step in plan.steps:
        if step.owes_undo:
            undos[step.target] = undos.get(step.target, 0) + step.undo_deadline_ns
    undos_ns = max(undos.values(), default=0)
    return steps_ns(plan) + (1 if baseline_held else 2) * plan.steady_state.patience_ns + undos_ns


def _wait_ns(plan: Plan, policy: Policy | None) -> int:
    """Return how long the start gate may wait for signatures over the frozen targets."""
    live = any(need.live for need in plan.approvals.before_faults)
    live = live or (policy is not None and any(need.live for need in approvals_needed(policy, plan)))
    return plan.approvals.timeout_ns if live else 0


def zone_of(policy: Policy) -> tzinfo:
    """Return the policy's time zone."""
    return UTC if policy.zone == "UTC" else ZoneInfo(policy.zone)


def closed(
    policy: Policy, rules: Rules, now: datetime, lasts_ns: int, refusal: Callable[[Rule, str], R]
) -> Iterator[R]:
    """Yield why a drill may not run now: all of it must lie inside one window, outside every blackout."""
    ends = now + timedelta(seconds=lasts_ns / NS)
    here, there = now.astimezone(zone_of(policy)), ends.astimezone(zone_of(policy))
    lasts = as_text(lasts_ns // NS * NS)
    if rules.windows and not any(_holds(window, here, there) for window in rules.windows):
        said = f"{here:%a %H:%M} {policy.zone} to {there:%H:%M} (it may last {lasts})"
        yield refusal(Rule.WINDOWS, f"{said} is inside none of the {len(rules.windows)} windows")
    for blackout in policy.blackouts:
        if here.date().isoformat() <= blackout.last and there.date().isoformat() >= blackout.first:
            days = f"{blackout.first} to {blackout.last}"
            yield refusal(Rule.BLACKOUTS, f"nothing may run from {days}: {blackout.reason}")


def _holds(window: Window, begins: datetime, ends: datetime) -> bool:
    """Tell whether a window that opened today or yesterday holds the whole drill."""
    for back in (0, 1):
        day = begins.date() - timedelta(days=back)
        if day.weekday() not in window.days:
            continue
        opens = _at(day.isoformat(), window.from_minute, begins)
        over = window.to_minute <= window.from_minute
        closes = _at((day + timedelta(days=over)).isoformat(), window.to_minute, begins)
        if opens <= begins and ends <= closes:
            return True
    return False


def _at(day: str, minute: int, like: datetime) -> datetime:
    """Return a time of day on the clock of the place, on the day it is asked for."""
    midnight = datetime.fromisoformat(day).replace(tzinfo=like.tzinfo)
    moved = midnight + timedelta(days=minute // 1440)
    return moved.replace(hour=minute % 1440 // 60, minute=minute % 60)
