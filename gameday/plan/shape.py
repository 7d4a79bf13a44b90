"""What every part of a plan file is made of: strict, frozen, no unknown keys.

Neither here nor in the schemas are annotations put off (`from __future__ import annotations`): pydantic
would compile each of them again from its text, a tenth of what `gameday validate` takes.
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from gameday.plan.units import duration_ns, rate_per_1000s, ratio_ppm

Name = Annotated[str, Field(min_length=1, max_length=120)]
Key = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$")]
Person = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@+-]{0,63}$")]


def _text(pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


Duration = Annotated[int, BeforeValidator(duration_ns), _text(r"^\d+(\.\d+)?\s*(ms|s|m|h|d)$", "10s")]
Rate = Annotated[int, BeforeValidator(rate_per_1000s), _text(r"^\d+(\.\d+)?\s*/\s*(s|m|min|h)$", "50/s")]
Ratio = Annotated[int, BeforeValidator(ratio_ppm), _text(r"^\d+(\.\d+)?\s*%$", "99%")]


class Part(BaseModel):
    """What all parts of a plan share: strict, frozen, no unknown keys."""

    # Built when it is first used: most parts are only ever used inside a plan, so they are built once, there.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, populate_by_name=True, defer_build=True
    )


class ActivityIn(Part):
    """A Chaos Toolkit activity: short (`action` and `with`) or in full (`provider`)."""

    action: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict, alias="with")
    provider: dict[str, Any] | None = None
