"""Who takes part in a drill: the roles of a plan, the people in it, and who is absent on purpose.

`roles:` names who holds which role. `people:` lists everybody, with a role where they have one; whoever is
`absent: true` takes part by not being there: nobody may ask them, which shows what only they know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gameday.plan.model import Plan

if TYPE_CHECKING:
    from gameday.plan.schema_people import PersonIn
    from gameday.plan.source import Source

PEOPLE, ROLES = "people.", "roles."
PARTICIPANT = "participant"
_ABSENT = "; absent"


@dataclass(frozen=True, slots=True)
class Participant:
    """One person: their name, what they do in the drill, and whether nobody may ask them."""

    name: str
    role: str
    absent: bool = False


def people_about(people: list[PersonIn]) -> dict[str, str]:
    """Return the people of a plan as its papers keep them."""
    return {f"{PEOPLE}{p.name}": f"{p.role}{_ABSENT if p.absent else ''}" for p in people}


def check_people(people: list[PersonIn], source: Source) -> None:
    """Complain about a name that stands there twice: two people cannot be told apart by it."""
    known: set[str] = set()
    for number, person in enumerate(people):
        if person.name in known:
            source.complain(("people", number, "name"), f"{person.name!r} stands here twice")
        known.add(person.name)


def participants(plan: Plan) -> tuple[Participant, ...]:
    """Return everybody that a plan names: who holds a role first, then the others, absentees last."""
    held = [Participant(value, key.removeprefix(ROLES)) for key, value in plan.about if key.startswith(ROLES)]
    others = [
        Participant(key.removeprefix(PEOPLE), value.removesuffix(_ABSENT), value.endswith(_ABSENT))
        for key, value in plan.about
        if key.startswith(PEOPLE)
    ]
    absent = {person.name for person in others if person.absent}
    found = [Participant(p.name, p.role, p.name in absent) for p in held]
    known = {(p.name, p.role) for p in held}
    found += [p for p in others if (p.name, p.role) not in known]
    return tuple(sorted(found, key=lambda person: person.absent))


def people_odd(plan: Plan) -> list[str]:
    """Return what is allowed but cannot be meant: a role that is held by somebody who is absent."""
    roles = {key.removeprefix(ROLES) for key, _ in plan.about if key.startswith(ROLES)}
    return [
        f"{person.name} holds the role {person.role} and is absent: nobody may ask them"
        for person in participants(plan)
        if person.absent and person.role in roles
    ]
