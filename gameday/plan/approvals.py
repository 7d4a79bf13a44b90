"""Who must say yes before a drill goes on, and exactly what they say yes to.

    requirement   how many people in which role, by a signature given beforehand or live
    statement     what one person signs: canonical JSON, the same bytes on every machine
    subject       what is to be approved, as the runner knows it; a statement must agree in all of it

A statement names the plan by its digest, which covers runbooks and load profiles, and the policy by
its own: whoever edits one of them voids every approval given before. It repeats the blast radius in
words a person can check before signing. A live statement also names the run and its frozen targets.

A typed name is no approval. Without a signature it is kept as `claimed` and never counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Protocol

from gameday.canonical import canonical, from_json, to_json
from gameday.errors import RecordError

KIND = "gameday-approval-v1"
NAMESPACE = "gameday-approval"
START = "start"
SIGNERS = "approvals/allowed_signers"
APART_FROM = ("author", "operator")
STATEMENT_MAX = 16 << 10
_PRINCIPAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@+-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Requirement:
    """So many different people must approve in this role; `a/b` means each in one of these roles.

    `live` asks for a signature over the frozen targets, given while the run waits. `people` limits
    who may do it; empty means everybody in allowed_signers. `apart_from` names the parts in the
    drill that such a person must not have: `author`, `operator`. Whoever signs twice in one way counts
    once; who approved beforehand may sign live as well.
    """

    role: str = "approver"
    count: int = 1
    live: bool = False
    people: tuple[str, ...] = ()
    apart_from: tuple[str, ...] = APART_FROM

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of which each person must have one."""
        return tuple(self.role.split("/"))


class Demand(Protocol):
    """What a policy asks for: so many people of one of these roles; `live`: a second signature too."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Any one of these will do."""

    @property
    def number(self) -> int:
        """How many different people."""

    @property
    def distinct_from_author(self) -> bool:
        """Whether author and operator are none of them."""

    @property
    def live(self) -> bool:
        """Whether they sign over the frozen targets too."""


def demanded(demands: Iterable[Demand]) -> tuple[Requirement, ...]:
    """Return what a policy's demands come to: each beforehand, and those that say so live as well."""
    return tuple(
        Requirement(
            role="/".join(demand.roles),
            count=demand.number,
            live=live,
            apart_from=APART_FROM if demand.distinct_from_author else (),
        )
        for demand in demands
        for live in ((False, True) if demand.live else (False,))
    )


@dataclass(frozen=True, slots=True)
class Approvals:
    """What a plan asks for before its first fault, and where the keys of its people stand."""

    before_faults: tuple[Requirement, ...] = ()
    allowed_signers: str = SIGNERS
    timeout_ns: int = 600_000_000_000


NONE_ASKED = Approvals()


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be approved. `run` and `targets` are set for a live approval only."""

    gate: str
    plan: str
    plan_sha256: str
    policy_sha256: str
    environment: str
    select: tuple[tuple[str, str], ...]
    caps: str
    duration_ns: int
    run: str = ""
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """What one person signs, in one role, until a fixed time (`…_utc` is `2026-11-24T20:15:00Z`)."""

    subject: Subject
    principal: str
    role: str
    given_utc: str
    expires_utc: str
    kind: str = KIND


_CHANGED = {
    "gate": "it is for another gate",
    "plan": "it is for another plan",
    "plan_sha256": "the plan, a runbook or a load profile was edited since",
    "policy_sha256": "the policy was edited since",
    "environment": "it is for another environment",
    "run": "it is for another run",
    "targets": "it is for other targets",
}


def is_principal(name: str) -> bool:
    """Tell whether a name can stand for a person in allowed_signers: no pattern, no option, no path."""
    return bool(_PRINCIPAL.match(name))


def statement_bytes(statement: Statement) -> bytes:
    """Return the bytes that are signed: one line of canonical JSON."""
    return canonical(to_json(statement)) + b"\n"


def parse_statement(data: bytes) -> Statement:
    """Return the statement in `data`.

    Raises:
        RecordError: It is no statement, or not written in the one form that may be signed.
    """
    if len(data) > STATEMENT_MAX:
        raise RecordError(f"is larger than {STATEMENT_MAX} bytes, which no approval needs")
    try:
        found = from_json(Statement, json.loads(data))
    except (ValueError, RecursionError) as error:
        raise RecordError(f"is no JSON: {error}") from error
    if found.kind != KIND:
        raise RecordError(f"is {found.kind!r}, expected {KIND!r}")
    if not is_principal(found.principal) or not is_principal(found.role):
        raise RecordError(f"{found.principal!r} as {found.role!r} is no name and role")
    if statement_bytes(found) != data:
        raise RecordError("is not written in canonical form, so it was not made by `gameday approve`")
    return found


def objection(statement: Statement, subject: Subject, *, now_utc: str) -> str:
    """Return why a statement does not approve `subject` now; empty when it does.

    Args:
        statement: What was signed.
        subject: What is to be approved.
        now_utc: The wall clock.
    """
    for field in fields(Subject):
        if getattr(statement.subject, field.name) != getattr(subject, field.name):
            return _CHANGED.get(field.name, f"the blast radius ({field.name}) is another one")
    now, given = parse_utc(now_utc), parse_utc(statement.given_utc)
    expires = parse_utc(statement.expires_utc)
    if now is None or given is None or expires is None:
        return f"{statement.expires_utc!r} is no time like 2026-11-24T20:15:00Z"
    if expires <= now:
        return f"it expired at {statement.expires_utc}"
    return ""


def unfit(requirement: Requirement, names: tuple[str, ...], parts: tuple[tuple[str, str], ...]) -> str:
    """Return why a person cannot meet a requirement; empty when they can.

    Args:
        requirement: What is asked for.
        names: Every name under which the signing key stands in allowed_signers, the claimed first.
        parts: Who has which part in this drill, like `("author", "r.ito")`.
    """
    for part, name in parts:
        if part in requirement.apart_from and name and name in names:
            return f"{name} is the {part} of this drill and cannot also be its {requirement.role}"
    if requirement.people and names[0] not in requirement.people:
        return f"{names[0]} is none of those who may: {', '.join(requirement.people)}"
    return ""


def can_all_count(
    requirements: tuple[Requirement, ...],
    signers: tuple[tuple[str, tuple[str, ...]], ...],
    parts: tuple[tuple[str, str], ...],
) -> bool:
    """Tell whether each signer can stand for one of the people asked for, nobody for two.

    Two approvers out of one team and none of the other are not one of each.

    Args:
        requirements: What is asked for, at one gate and by one way of signing.
        signers: Role and names of each who signed.
        parts: Who has which part in this drill.

    Source: bipartite matching by augmenting paths (Kuhn 1955); there are few of both.
    """
    places = [need for need in requirements for _ in range(need.count)]
    taken: dict[int, int] = {}

    def seat(signer: int, seen: set[int]) -> bool:
        role, names = signers[signer]
        for place, need in enumerate(places):
            if place in seen or need.role != role or unfit(need, names, parts):
                continue
            seen.add(place)
            if place not in taken or seat(taken[place], seen):
                taken[place] = signer
                return True
        return False

    return all(seat(signer, set()) for signer in range(len(signers)))


def parse_utc(text: str) -> datetime | None:
    """Return an instant written as `2026-11-24T20:15:00Z` (fractions allowed); None for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def words(requirement: Requirement) -> str:
    """Return a requirement as a person would say it."""
    who = f" out of {', '.join(requirement.people)}" if requirement.people else ""
    apart = f", not the {' or the '.join(requirement.apart_from)}" if requirement.apart_from else ""
    how = "signing live over the frozen targets" if requirement.live else "signing beforehand"
    return f"{requirement.count} {requirement.role}{who}{apart}, {how}"
