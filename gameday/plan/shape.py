"""What every part of a plan file is made of: strict, frozen, no unknown keys."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=120)]
Key = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$")]
Person = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@+-]{0,63}$")]


class Part(BaseModel):
    """What all parts of a plan share: strict, frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class ActivityIn(Part):
    """A Chaos Toolkit activity: short (`action` and `with`) or in full (`provider`)."""

    action: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict, alias="with")
    provider: dict[str, Any] | None = None
