"""A fault's part of a plan file: it stands among the steps, or in a capacity sign-off."""

from pydantic import Field

from gameday.plan.shape import ActivityIn, Duration, Name, Part


class FaultIn(Part):
    """Put a fault in. Its undo is owed from then on."""

    fault: Name
    do: ActivityIn
    undo: ActivityIn | None = None
    in_place: ActivityIn | None = None
    target: str | None = None
    ttl: Duration
    lasting: Duration | None = Field(default=None, alias="for")
    timeout: Duration = 10_000_000_000
    undo_timeout: Duration = 30_000_000_000
    grace: Duration = 50_000_000
    survives: str | None = None
