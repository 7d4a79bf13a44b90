"""JSON as the format allows it: RFC 8785 canonical, without floats, and integers within ±(2^53 - 1).

What is hashed must have one form only, so a text is read and written again, and the two must be the
same bytes. That alone refuses duplicate keys, odd escapes, spaces and unsorted keys.
"""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring
from typing import Any, TypeVar, cast

from .lines import Broken

T = TypeVar("T")
INT_MAX = 2**53 - 1


def _no_float(text: str) -> object:
    raise Broken(f"{text[:40]} is no integer")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Broken("a key stands twice in one object")
    return found


_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float)
_WITH_FLOATS = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_float)
_QUICK = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
_LONG = re.compile(r"[0-9]{16}")


def parse(data: bytes, where: str, *, floats: bool = False) -> Any:
    """Return the value of a JSON text: no key twice, no NaN, no float unless `floats`, not too deep.

    Raises:
        Broken: It is none of that.
    """
    try:
        return (_WITH_FLOATS if floats else _STRICT).decode(data.decode("utf-8"))
    except Broken as error:
        raise Broken(f"{where}: {error}") from None
    except RecursionError:
        raise Broken(f"{where}: is nested too deeply") from None
    except ValueError as error:
        raise Broken(f"{where}: is no JSON: {error}") from None


def parse_canonical(data: bytes, where: str) -> Any:
    """Return the value of a canonical JSON text.

    Raises:
        Broken: It is not canonical, byte for byte.
    """
    value = parse(data, where)
    try:
        same = canonical(value) == data
    except (Broken, RecursionError, UnicodeEncodeError) as error:
        raise Broken(f"{where}: {str(error)[:200] or 'is nested too deeply'}") from None
    if not same:
        raise Broken(f"{where}: is not canonical JSON")
    return value


def canonical(value: object) -> bytes:
    """Return the canonical bytes of a value.

    Source: RFC 8785; object keys in the order of their UTF-16 code units (section 3.2.3).
    """
    # Where all is ASCII, keys sorted by code points are sorted by code units, and the library is quicker.
    quick = _QUICK.encode(value)
    if quick.isascii() and not _LONG.search(quick):
        return quick.encode("ascii")
    return _text(value).encode("utf-8")


def _text(value: object) -> str:
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    if isinstance(value, str):
        return encode_basestring(value)
    if isinstance(value, int):
        if abs(value) > INT_MAX:
            raise Broken("an integer is beyond ±(2^53 - 1)")
        return str(value)
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{encode_basestring(key)}:{_text(value[key])}" for key in keys) + "}"
    raise Broken(f"{type(value).__name__} does not stand in canonical JSON")


def get(data: object, key: str, kind: type[T], where: str) -> T:
    """Return `data[key]`, which must be there and of that type exactly (true is no integer).

    Raises:
        Broken: It is not.
    """
    if not isinstance(data, dict) or type(data.get(key)) is not kind:
        raise Broken(f"{where}: {key} is not {kind.__name__}")
    return cast("T", data[key])


def maybe(data: object, key: str, kind: type[T], where: str) -> T | None:
    """Return `data[key]` or None where it is null or absent.

    Raises:
        Broken: It is of another type.
    """
    if isinstance(data, dict) and data.get(key) is None:
        return None
    return get(data, key, kind, where)


def texts(data: object, key: str, where: str) -> list[str]:
    """Return a list of texts.

    Raises:
        Broken: It is none.
    """
    found = get(data, key, list, where)
    if not all(type(item) is str for item in found):
        raise Broken(f"{where}: {key} is not a list of texts")
    return found


def rows(data: object, key: str, where: str) -> list[dict[str, Any]]:
    """Return a list of objects.

    Raises:
        Broken: It is none.
    """
    found = get(data, key, list, where)
    if not all(type(item) is dict for item in found):
        raise Broken(f"{where}: {key} is not a list of objects")
    return found
