"""Secret values never reach a file: each is replaced before a line is hashed or written.

A value is looked for as it is, and as it looks inside JSON, inside a URL and inside base64 (as in a
header of basic authentication, at each of the three places where it may begin there). Names by which
records refer to one another are left alone: no secret stands in them, and without them nothing could
be read back.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast
from urllib.parse import quote, quote_plus

T = TypeVar("T")
MARK = "[redacted]"
LENGTH_MIN = 4
_NAMES = {
    "step",
    "probe",
    "load",
    "host",
    "role",
    "stream",
    "run",
    "boot_id",
    "condition",
    "gate",
    "principal",
}


class Redactor:
    """Replaces known secret values. Without any it does nothing, and costs nothing."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = sorted({form for value in secrets for form in _forms(value)}, key=len, reverse=True)
        inside = {json.dumps(form, ensure_ascii=False)[1:-1] for form in forms}
        self._text = re.compile("|".join(map(re.escape, forms))) if forms else None
        self._bytes = re.compile(
            b"|".join(re.escape(form.encode("utf-8", "replace")) for form in {*forms, *inside})
        )

    def is_in(self, line: bytes) -> bool:
        """Tell whether a secret stands in a line as it would be written."""
        return self._text is not None and self._bytes.search(line) is not None

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        return self._text.sub(MARK, text) if self._text is not None else text

    def data(self, data: bytes) -> bytes:
        """Return a file's content without secrets."""
        return self._bytes.sub(MARK.encode(), data) if self._text is not None else data

    def places(self, data: bytes) -> list[tuple[int, int]]:
        """Return where secrets stand in a file's content: start and length of each."""
        if self._text is None:
            return []
        return [(found.start(), found.end() - found.start()) for found in self._bytes.finditer(data)]

    def record(self, item: T) -> T:
        """Return a record without secrets in what people and programs said in it."""
        if self._text is None:
            return item
        if type(item) is str:
            return cast("T", self.text(cast("str", item)))
        if isinstance(item, tuple):
            return cast("T", tuple(self.record(part) for part in item))
        if is_dataclass(item) and not isinstance(item, type):
            changed: dict[str, Any] = {
                field.name: self.record(getattr(item, field.name))
                for field in fields(item)
                if field.name not in _NAMES
            }
            return cast("T", replace(cast("Any", item), **changed))
        return item


NOTHING = Redactor()


def _forms(value: str) -> set[str]:
    """Return how a value may look; none for one so short that it would be found everywhere."""
    if len(value) < LENGTH_MIN:
        return set()
    found = {value, value.strip(), quote(value, safe=""), quote_plus(value), quote(value)}
    found |= {json.dumps(value, ensure_ascii=False)[1:-1], json.dumps(value)[1:-1], repr(value)[1:-1]}
    if len(value) > LENGTH_MIN:
        raw = value.encode("utf-8", "replace")
        for before in range(3):
            coded = base64.b64encode(bytes(before) + raw).decode()
            # What its neighbours have a part in says nothing by itself, and differs each time.
            first = (before * 8 + 5) // 6
            last = (before + len(raw)) * 8 // 6
            found.add(coded[first:last])
    return {form for form in found if len(form) >= LENGTH_MIN}
