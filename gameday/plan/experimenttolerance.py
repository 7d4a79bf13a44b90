"""The tolerance of a probe, as Chaos Toolkit knows them: what it refuses, and what can never be met."""

from __future__ import annotations

import re
from typing import Any, Protocol

from gameday.plan.source import Where


class Notes(Protocol):
    """Where problems go, and how a provider is checked."""

    def bad(self, where: Where, message: str) -> None:
        """Note an error."""

    def warn(self, where: Where, message: str) -> None:
        """Note a warning."""

    def provider(self, provider: Any, where: Where) -> None:
        """Check a provider."""


_EXPECTED = "expected true, a whole number, a text, a list or a mapping with a type"


def check_tolerance(notes: Notes, tolerance: Any, where: Where, provider: Any) -> None:
    """Note what is wrong with a tolerance."""
    if isinstance(tolerance, list):
        _list(notes, tolerance, where, provider)
    elif not isinstance(tolerance, bool | int | str | dict):
        notes.bad(where, f"{tolerance!r}: {_EXPECTED}")
    elif isinstance(tolerance, dict):
        match tolerance.get("type"):
            case "probe":
                if not tolerance.get("name"):
                    notes.bad(where, "a tolerance of type probe needs a name")
                notes.provider(tolerance.get("provider"), (*where, "provider"))
            case "regex":
                _regex(notes, tolerance, where)
            case "jsonpath":
                if not isinstance(tolerance.get("path"), str) or not tolerance["path"].strip():
                    notes.bad((*where, "path"), f"path {tolerance.get('path')!r}: expected a JSON path")
            case "range":
                _range(notes, tolerance.get("range"), (*where, "range"))
            case other:
                said = f"type {other!r}: expected probe, regex, jsonpath or range"
                notes.bad((*where, "type"), said)


def _list(notes: Notes, tolerance: list[Any], where: Where, provider: Any) -> None:
    numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in tolerance)
    if len(tolerance) != 2 or not numbers:
        return
    kind = provider.get("type") if isinstance(provider, dict) else ""
    if kind in ("http", "process"):
        notes.warn(where, f"{tolerance}: two statuses to choose from here, not a range between them")
    elif tolerance[0] > tolerance[1]:
        notes.warn(where, f"{tolerance}: the bounds are reversed, so it can never be met")


def _range(notes: Notes, bounds: Any, where: Where) -> None:
    numbers = isinstance(bounds, list) and all(isinstance(item, int | float) for item in bounds)
    if not numbers or len(bounds) != 2:
        notes.bad(where, f"{bounds!r}: expected two numbers, the lower one first")
    elif bounds[0] > bounds[1]:
        notes.warn(where, f"{bounds}: the bounds are reversed, so it can never be met")


def _regex(notes: Notes, tolerance: dict[str, Any], where: Where) -> None:
    pattern = tolerance.get("pattern")
    try:
        re.compile(pattern if isinstance(pattern, str) else "(")
    except re.error as error:
        said = error.msg if isinstance(pattern, str) else "it is no text"
        notes.bad((*where, "pattern"), f"pattern {pattern!r}: {said}")
