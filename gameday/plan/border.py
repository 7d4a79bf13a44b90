"""Where pydantic's complaints become ours: file, line, column, value, expectation, a guess at typos."""

from __future__ import annotations

import difflib
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gameday.plan.schema import STEP_FORMS
from gameday.plan.source import Source, Where

M = TypeVar("M", bound=BaseModel)

_PLAIN = {
    "string_type": "is no text",
    "int_type": "is no whole number",
    "bool_type": "is neither true nor false",
    "dict_type": "is no mapping",
    "list_type": "is no list",
    "model_type": "is no mapping",
}


def validate(model: type[M], source: Source, where: Where = (), part: Any = None) -> M | None:
    """Return the data of a source in a model's shape, or note everything that is wrong with it.

    With `where`, only the `part` of the data that stands there.
    """
    try:
        return model.model_validate(part if where else source.data)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            if source.is_full:
                break  # Guessing at typos is slow, and there can be a hundred thousand of them.
            source.complain((*where, *detail["loc"]), _message(detail, model))
        return None


def _message(detail: ErrorDetails, model: type[BaseModel]) -> str:
    where: Where = tuple(detail["loc"])
    key = where[-1] if where else "the file"
    shown = f"{detail['input']!r}"[:80]
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"unknown key {key!r}{_guess(str(key), model, where)}"
    if kind == "missing":
        return f"key {key!r} is missing"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        return f"{shown} is no step: expected one of {', '.join(STEP_FORMS)} as its key"
    if kind == "value_error":
        return f"{key}: {detail['msg'].removeprefix('Value error, ')}"
    if kind == "literal_error":
        return f"{key}: {shown}: expected {detail['ctx']['expected']}"
    if kind in _PLAIN:
        return f"{key}: {shown} {_PLAIN[kind]}"
    return f"{key}: {shown}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _guess(key: str, model: type[BaseModel], where: Where) -> str:
    """Name the known key that comes closest."""
    near = difflib.get_close_matches(key, sorted(_keys_at(model, where)), n=1, cutoff=0.6)
    return f": did you mean {near[0]!r}?" if near else ""


def _keys_at(model: type[BaseModel], where: Where) -> set[str]:
    """Return the keys of every model that could stand where the unknown key was found."""
    tags = {part for part in where if isinstance(part, str)}
    found: set[str] = set()
    for part in _models(model, set()):
        fields = part.model_fields
        names = {field.alias or name for name, field in fields.items()}
        if len(where) == 1 and part is not model:
            continue
        if len(where) > 1 and part is model:
            continue
        if tags & names or len(where) > 1 or part is model:
            found |= names
    return found


def _models(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    if model in seen:
        return seen
    seen.add(model)
    for field in model.model_fields.values():
        for part in _parts(field.annotation):
            _models(part, seen)
    return seen


def _parts(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found: list[type[BaseModel]] = []
    for part in getattr(annotation, "__args__", ()):
        found += _parts(part)
    return found
