"""The shapes of what people do in a plan: approve, and carry out steps by hand."""

from typing import Literal

from pydantic import Field

from gameday.plan.shape import ActivityIn, Duration, Name, Part, Person

Apart = Literal["author", "operator"]


def _apart() -> list[Apart]:
    return ["author", "operator"]


class RequirementIn(Part):
    """So many different people in one role; `live` over the frozen targets, else beforehand."""

    role: Person = "approver"
    count: int = Field(default=1, ge=1, le=20)
    live: bool = False
    people: list[Person] = Field(default_factory=list)
    apart_from: list[Apart] = Field(default_factory=_apart)


class ApprovalsIn(Part):
    """Who must approve before the first fault, and where their keys stand."""

    before_faults: list[RequirementIn] = Field(default_factory=list)
    allowed_signers: str | None = None
    timeout: Duration = 600_000_000_000


class ApprovalIn(Part):
    """Go on only when one person in each of these roles has signed live."""

    approval: Name
    roles: list[Person] = Field(default_factory=lambda: ["approver"], min_length=1)
    people: list[Person] = Field(default_factory=list)
    apart_from: list[Apart] = Field(default_factory=_apart)
    timeout: Duration = 600_000_000_000


class PersonIn(Part):
    """Somebody who takes part; or who is absent on purpose, and may not be asked."""

    name: Name
    role: Person = "participant"
    absent: bool = False


class ManualIn(Part):
    """A person does something and says that it is done. An `undo` in words is done by hand too."""

    manual: Name
    who: str = ""
    instructions: str = ""
    undo: ActivityIn | str | None = None
    in_place: ActivityIn | None = None
    target: str | None = None
    timeout: Duration
    undo_timeout: Duration = 300_000_000_000
    segment: Literal["detect", "decide", "fail-over", "come-up", "validate", "fail-back"] | None = None
    point_of_no_return: bool = False
    supersedes: list[str] = Field(default_factory=list)
    complete: bool = False
    returns_home: bool = False
