"""A Chaos Toolkit experiment among the steps of a native plan."""

from typing import Literal

from pydantic import Field

from gameday.plan.shape import Duration, Key, Name, Part


class ExperimentIn(Part):
    """Carry out a Chaos Toolkit experiment. Its rollbacks are the undo."""

    experiment: str
    name: Name | None = None
    target: str | None = None
    rollbacks: Literal["default", "always", "never", "deviated"] | None = None
    hypothesis: (
        Literal["default", "before-method-only", "after-method-only", "during-method-only", "continuously"]
        | None
    ) = None
    frequency: Duration = 1_000_000_000
    fail_fast: bool = False
    compat: bool = False
    variables: dict[Key, str | bool | int | float] = Field(default_factory=dict)
    variable_files: list[str] = Field(default_factory=list)
    ttl: Duration | None = None
    undo_timeout: Duration | None = None
