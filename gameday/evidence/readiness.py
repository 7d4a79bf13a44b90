"""Is a service ready for production? A checklist whose items are shown by drills where they can be. Pure.

What drills show is computed: nobody ticks it. What they cannot show is signed, by name, with an SSH key,
until a day. An item that is neither shown nor signed is open; what cannot be read is unknown, never done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from gameday.evidence.programme import Drilled
from gameday.evidence.tracking import State, Tracked
from gameday.evidence.words import count
from gameday.plan.model import Plan

NAMESPACE = "gameday-readiness"


class Ready(StrEnum):
    """How an item stands."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the checklist. `by`: the drills, or the person who signed."""

    name: str
    state: Ready
    why: str
    by: str = "drills"


@dataclass(frozen=True, slots=True)
class Signed:
    """What a person signed: that the item holds for the service, until the end of a day."""

    service: str
    item: str
    principal: str
    given_utc: str
    until: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A drill that ran to its end and passed, and what was in it."""

    drill: Drilled
    has_runbook: bool
    has_failover: bool


def overall(items: Iterable[Item]) -> Ready:
    """Return no where one is not there, else unknown where one is not known, else yes."""
    states = {item.state for item in items}
    return Ready.NO if Ready.NO in states else Ready.UNKNOWN if Ready.UNKNOWN in states else Ready.YES


def levels(plans: Sequence[Plan]) -> Item:
    """Service levels are defined: a plan of the service has some, and halts on them."""
    names = sorted({slo.name for plan in plans for slo in plan.slos})
    if names:
        return Item("service levels are defined", Ready.YES, ", ".join(names))
    said = "no plan in experiments/ is of this service" if not plans else "no plan of it has slos"
    return Item("service levels are defined", Ready.NO, said)


def exercised(shown: Sequence[Shown], today: str, days: int) -> Item:
    """A runbook of it was exercised within so many days, in a drill that passed."""
    return _within("a runbook was exercised", [one for one in shown if one.has_runbook], today, days)


def failed_over(shown: Sequence[Shown], today: str, days: int) -> Item:
    """A failover was demonstrated within so many days."""
    return _within("a failover was demonstrated", [one for one in shown if one.has_failover], today, days)


def _within(name: str, shown: Sequence[Shown], today: str, days: int) -> Item:
    if not shown:
        return Item(name, Ready.NO, "never, in a drill that ran to its end and passed")
    last = max(shown, key=lambda one: one.drill.started_utc)
    day = last.drill.started_utc[:10]
    until = (date.fromisoformat(day) + timedelta(days=days)).isoformat()
    said = f"on {day}, in {last.drill.run}; good until {until}"
    return Item(name, Ready.YES if today <= until else Ready.NO, said)


def capacity(word: str, why: str) -> Item:
    """Its capacity is signed off: `word` is how the latest sign-off stands, empty where there is none."""
    name = "capacity is signed off"
    if not word:
        return Item(name, Ready.NO, "no capacity drill of it ran to its end")
    state = Ready.YES if word == "VALID" else Ready.UNKNOWN if word in ("UNKNOWN", "UNDECIDED") else Ready.NO
    return Item(name, state, f"{word}: {why}")


def nothing_overdue(tracked: Sequence[Tracked], today: str) -> Item:
    """No finding of it is open past its day."""
    name = "no finding is overdue"
    late = [item.id for item in tracked if item.is_overdue(today)]
    if late:
        return Item(name, Ready.NO, f"{count(len(late), 'finding')}: {', '.join(late)}")
    left = sum(item.state_on(today) is State.OPEN for item in tracked)
    return Item(name, Ready.YES, f"{count(left, 'finding')} open, none past its day")


def by_hand(name: str, signed: Sequence[Signed], today: str) -> Item:
    """An item that only people can answer for."""
    mine = [one for one in signed if one.item == name]
    if not mine:
        return Item(name, Ready.NO, "nobody has signed for it", "people")
    last = max(mine, key=lambda one: (one.until, one.given_utc))
    state = Ready.YES if today <= last.until else Ready.NO
    return Item(name, state, f"signed on {last.given_utc[:10]}, until {last.until}", last.principal)
