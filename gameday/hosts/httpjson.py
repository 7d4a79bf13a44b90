"""Read one value out of a JSON answer over HTTP: monitoring that has no reader of its own.

Whoever is asked is no target: silence, an error, an answer of another shape are unreadable, not bad.

    {"path": "series.0.pointlist.-1.1", "bad_above"?, "bad_below"?, "equals"?}
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from gameday.history.events import Reading
from gameday.hosts.httpprobe import Answer
from gameday.hosts.words import one_line

DETAIL_MAX = 120
_MISSING = object()


def json_reader(
    spec: dict[str, Any], accepted: frozenset[int], ask: Callable[[], Answer]
) -> Callable[[], tuple[Reading, str]]:
    """Return the function that takes one sample."""
    parts = spec["path"].split(".")

    def read() -> tuple[Reading, str]:
        answer = ask()
        if answer.status not in accepted:
            return Reading.UNREADABLE, answer.error or f"HTTP {answer.status}"
        try:
            value = json.loads(answer.body)
        except (ValueError, RecursionError):
            return Reading.UNREADABLE, "not JSON"
        for part in parts:
            value = _at(value, part)
        if value is _MISSING or value is None:
            return Reading.UNREADABLE, one_line(f"nothing at {spec['path']}", DETAIL_MAX)
        return _judge(spec, value)

    return read


def _at(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part, _MISSING)
    if isinstance(value, list) and part.removeprefix("-").isdecimal() and len(part) < 10:
        number = int(part)
        return value[number] if -len(value) <= number < len(value) else _MISSING
    return _MISSING


def _judge(spec: dict[str, Any], value: Any) -> tuple[Reading, str]:
    if "equals" in spec:
        wanted = spec["equals"]
        is_it = value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
        return (Reading.GOOD, "") if is_it else (Reading.BAD, "wrong answer")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return Reading.UNREADABLE, one_line(f"no number at {spec['path']}", DETAIL_MAX)
    above, below = spec.get("bad_above"), spec.get("bad_below")
    if (above is not None and value > above) or (below is not None and value < below):
        return Reading.BAD, f"value {value:g}"
    return Reading.GOOD, ""
