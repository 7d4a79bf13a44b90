"""When a drill may run: windows and blackout days, in the policy's time zone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeVar
from zoneinfo import ZoneInfo

from gameday.plan.model import NS
from gameday.plan.policy import Policy, Rule, Rules, Window
from gameday.plan.units import as_text

R = TypeVar("R")


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
