"""Where in the file stands what chaoslib found wrong when an experiment was armed: it says only what.

Each part is asked about again, alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gameday.plan.source import Source, Where


def place_of(source: Source, raised: BaseException, check: Callable[[dict[str, Any]], object]) -> str:
    """Return `LINE:COLUMN` of what `raised` is about, or nothing where that cannot be told.

    Args:
        source: The experiment.
        raised: What its validation raised.
        check: Chaos Toolkit's validation of one activity.
    """
    said = str(raised)
    for where, item in (*_activities(source.data), *_tolerances(source.data)):
        try:
            check(item)
        except BaseException as again:  # noqa: BLE001 - it imports user code
            if str(again) == said:
                return _shown(source, where)
    for where, key in _keys(source.data, ()):
        if said.endswith(f": {key}"):
            return _shown(source, where)
    return ""


def _shown(source: Source, where: Where) -> str:
    line, column = source.place(where)
    return f"{line}:{column}"


def _activities(data: dict[str, Any]) -> Iterator[tuple[Where, dict[str, Any]]]:
    hypothesis = data.get("steady-state-hypothesis") or {}
    for number, item in enumerate(hypothesis.get("probes") or ()):
        yield ("steady-state-hypothesis", "probes", number), item
    for part in ("method", "rollbacks"):
        for number, item in enumerate(data.get(part) or ()):
            yield (part, number), item


def _tolerances(data: dict[str, Any]) -> Iterator[tuple[Where, dict[str, Any]]]:
    for where, item in _activities(data):
        tolerance = item.get("tolerance")
        if isinstance(tolerance, dict) and tolerance.get("type") == "probe":
            yield (*where, "tolerance"), tolerance


def _keys(data: Any, where: Where) -> Iterator[tuple[Where, str]]:
    """Yield the variables that configuration and secrets are taken from."""
    for key in data if where else ("configuration", "secrets"):
        item = data.get(key)
        if isinstance(item, dict):
            if item.get("type") == "env":
                yield (*where, key), str(item.get("key"))
            else:
                yield from _keys(item, (*where, key))
