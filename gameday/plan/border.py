"""Where pydantic's complaints become ours: file, line, column, value, expectation, a guess at typos."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gameday.plan.schema import STEP_FORMS, FilesIn, PlanIn, RunbookFileIn
from gameday.plan.source import Source, Where

_NO_PLUGINS = "PYDANTIC_DISABLE_PLUGINS"
M = TypeVar("M", bound=BaseModel)

_WITHIN: dict[type[BaseModel], str] = {PlanIn: "plan", RunbookFileIn: "runbook"}  # in FilesIn
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
    data, within = part if where else source.data, _WITHIN.get(model)
    with _without_plugins():
        (model if within is None else FilesIn).model_rebuild()
    try:
        if within is None:
            return model.model_validate(data)
        whole = FilesIn.model_validate({within: data})
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            if source.is_full:
                break  # Guessing at typos is slow, and there can be a hundred thousand of them.
            place: Where = detail["loc"][0 if within is None else 1 :]
            source.complain((*where, *place), _message(detail, model, place))
        return None
    found: M = getattr(whole, within)
    return found


@contextmanager
def _without_plugins() -> Iterator[None]:
    """Keep plugins of pydantic, which other programs install, from seeing plans; looking for them is slow.

    Source: pydantic, "Plugins": PYDANTIC_DISABLE_PLUGINS.
    """
    before = os.environ.get(_NO_PLUGINS)
    os.environ[_NO_PLUGINS] = "__all__"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_NO_PLUGINS]
        else:
            os.environ[_NO_PLUGINS] = before


def _message(detail: ErrorDetails, model: type[BaseModel], where: Where) -> str:
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
    import difflib  # noqa: PLC0415 - only for a plan with a mistake

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
