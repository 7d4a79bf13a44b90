"""One way to write a record down, so that its digest means something.

Everything that is hashed (the plan, each line of a history) passes through here. The form is
RFC 8785 canonical JSON, narrowed to what every language reads alike: text, integers within
±(2^53 - 1), true, false, null, arrays and objects. There are no floats: durations are whole
nanoseconds, ratios whole parts per million, so no reader can disagree about a last digit.

The codec turns frozen dataclasses into that form and back. It is strict on the way in: an
unknown key, a missing key or a wrong type is refused with the path where it stood.
"""

from __future__ import annotations

import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from gameday.errors import RecordError

T = TypeVar("T")
INT_MAX = 2**53 - 1


def canonical(value: object) -> bytes:
    """Return the canonical JSON bytes of `value`.

    Raises:
        RecordError: A float, a non-text key or an integer beyond ±(2^53 - 1) stands in it.

    Source: RFC 8785. Keys are sorted by UTF-16 code units, as its section 3.2.3 asks.
    """
    _refuse(value, "$")
    ordered = _ordered(value)
    return json.dumps(ordered, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical JSON of `value`, as lower-case hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _refuse(value: object, path: str) -> None:
    if isinstance(value, float):
        raise RecordError(f"{path}: {value!r} is a float; hashed records hold whole numbers only")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > INT_MAX:
        raise RecordError(f"{path}: {value} is beyond ±(2^53 - 1); write it as text")
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise RecordError(f"{path}: the text holds half a surrogate pair, which is not Unicode")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise RecordError(f"{path}: key {key!r} is not text")
            _refuse(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _refuse(item, f"{path}[{index}]")
    elif value is not None and not isinstance(value, str | int | bool):
        raise RecordError(f"{path}: {type(value).__name__} has no JSON form")


def _ordered(value: object) -> object:
    if isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return {key: _ordered(value[key]) for key in keys}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    return str(value) if isinstance(value, StrEnum) else value


def to_json(value: object) -> Any:
    """Return the plain JSON form of a dataclass, tuple, enum or scalar."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    return str(value) if isinstance(value, StrEnum) else value


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def from_json(cls: type[T], data: object, path: str = "$") -> T:
    """Build the dataclass `cls` from its JSON form.

    Raises:
        RecordError: A key is unknown or missing, or a value has the wrong type.
    """
    return typing.cast("T", _decode(cls, data, path))


def _decode(hint: Any, data: object, path: str) -> object:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _decode_union(typing.get_args(hint), data, path)
    if origin is tuple:
        return _decode_tuple(typing.get_args(hint), data, path)
    if is_dataclass(hint):
        return _decode_dataclass(typing.cast("type", hint), data, path)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        if data not in list(hint):
            known = ", ".join(hint)
            raise RecordError(f"{path}: {data!r} is none of {known}")
        return hint(str(data))
    exact = type(data) is hint
    if not exact:
        name = getattr(hint, "__name__", str(hint))
        raise RecordError(f"{path}: {data!r} is not {name}")
    return data


def _decode_union(options: tuple[Any, ...], data: object, path: str) -> object:
    if data is None and type(None) in options:
        return None
    rest = [option for option in options if option is not type(None)]
    if len(rest) == 1:
        return _decode(rest[0], data, path)
    for option in rest:
        try:
            return _decode(option, data, path)
        except RecordError:
            continue
    raise RecordError(f"{path}: {data!r} fits none of {rest}")


def _decode_tuple(args: tuple[Any, ...], data: object, path: str) -> tuple[object, ...]:
    if not isinstance(data, list | tuple):
        raise RecordError(f"{path}: {data!r} is not a list")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_decode(args[0], item, f"{path}[{i}]") for i, item in enumerate(data))
    if len(args) != len(data):
        raise RecordError(f"{path}: {len(data)} items, expected {len(args)}")
    return tuple(_decode(a, d, f"{path}[{i}]") for i, (a, d) in enumerate(zip(args, data, strict=True)))


def _decode_dataclass(cls: type, data: object, path: str) -> object:
    if not isinstance(data, Mapping):
        raise RecordError(f"{path}: {data!r} is not an object")
    hints = _hints(cls)
    unknown = sorted(set(data) - set(hints))
    if unknown:
        raise RecordError(f"{path}: unknown key {unknown[0]!r} in {cls.__name__}")
    values = {}
    for field in fields(cls):
        if field.name in data:
            values[field.name] = _decode(hints[field.name], data[field.name], f"{path}.{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise RecordError(f"{path}: key {field.name!r} is missing in {cls.__name__}")
    return cls(**values)
