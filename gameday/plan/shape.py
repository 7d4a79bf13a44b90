"""What every part of a plan file is made of: strict, frozen, no unknown keys.

Neither here nor in the schemas are annotations put off (`from __future__ import annotations`): pydantic
would compile each of them again from its text, a tenth of what `gameday validate` takes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import core_schema

from gameday.plan.units import duration_ns, rate_per_1000s, ratio_ppm

Name = Annotated[str, Field(min_length=1, max_length=120)]
Key = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$")]
Person = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@+-]{0,63}$")]


@dataclass(frozen=True, slots=True)
class Written:
    """A quantity that is written as text: what reads it, and what editors are told of it.

    pydantic's own validators do the same, but it looks at the signature of each of them wherever it stands.
    """

    read: Callable[[Any], int]
    pattern: str
    examples: tuple[str, ...]

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        """Return what validates it."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        """Return what editors know of it."""
        return {"type": "string", "pattern": self.pattern, "examples": list(self.examples)}


DURATION, RATE = r"^\d+(\.\d+)?\s*(ms|s|m|h|d)$", r"^\d+(\.\d+)?\s*/\s*(s|m|min|h)$"
Duration = Annotated[int, Written(duration_ns, DURATION, ("10s",))]
Rate = Annotated[int, Written(rate_per_1000s, RATE, ("50/s",))]
Ratio = Annotated[int, Written(ratio_ppm, r"^\d+(\.\d+)?\s*%$", ("99%",))]


class Part(BaseModel):
    """What all parts of a plan share: strict, frozen, no unknown keys."""

    # Built when it is first used: most parts are only ever used inside a plan, so they are built once, there.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, populate_by_name=True, defer_build=True
    )


def as_given(part: BaseModel, *, by_alias: bool = False) -> dict[str, Any]:
    """Return what a part says, its parts as mappings too, without what is None.

    pydantic's `model_dump` says the same, but builds each kind of part once more: a tenth of `validate`.
    """
    fields = type(part).model_fields
    said = {
        field.alias if by_alias and field.alias else name: getattr(part, name)
        for name, field in fields.items()
    }
    return {key: _plain(value, by_alias) for key, value in said.items() if value is not None}


def _plain(value: Any, by_alias: bool) -> Any:
    if isinstance(value, BaseModel):
        return as_given(value, by_alias=by_alias)
    if isinstance(value, dict):
        return {key: _plain(item, by_alias) for key, item in value.items()}
    return type(value)(_plain(item, by_alias) for item in value) if isinstance(value, list | tuple) else value


class ActivityIn(Part):
    """A Chaos Toolkit activity: short (`action` and `with`) or in full (`provider`)."""

    action: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict, alias="with")
    provider: dict[str, Any] | None = None
