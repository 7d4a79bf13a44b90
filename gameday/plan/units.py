"""Quantities as people write them (`100ms`, `50/s`, `99.9%`, `1 of 2`), as whole numbers inside.

No pydantic here: the watchdog and the views write durations too, and must start quickly.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_NUMBER = r"([0-9]{1,15}(?:\.[0-9]{1,15})?)"  # `\d` would take the digits of every script.
_DURATION = re.compile(_NUMBER + r" ?(ms|s|m|h|d)\Z")
_RATE = re.compile(_NUMBER + r" ?/ ?(s|m|min|h)\Z")
_RATIO = re.compile(_NUMBER + r" ?%\Z")
_NS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_PER_1000S = {
    "s": Decimal(1000),
    "m": Decimal(1000) / 60,
    "min": Decimal(1000) / 60,
    "h": Decimal(1000) / 3600,
}
_DAYS_MAX = 366 * 86400 * 10**9


def duration_ns(value: Any) -> int:
    """Return a duration in nanoseconds.

    Raises:
        ValueError: It is no text like `100ms`, `10s`, `5m`, `1h`, or it is out of all proportion.
    """
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f"{value!r} is no duration: expected a number with a unit, like 100ms, 10s, 5m or 1h"
        )
    found = int(Decimal(match[1]) * _NS[match[2]])
    if not 0 < found <= _DAYS_MAX:
        raise ValueError(f"{value!r} is out of range: expected more than nothing and at most a year")
    return found


def rate_per_1000s(value: Any) -> int:
    """Return a rate in arrivals per 1 000 seconds.

    Raises:
        ValueError: It is no text like `50/s` or `3000/min`.
    """
    match = _RATE.match(value) if isinstance(value, str) else None
    found = int(Decimal(match[1]) * _PER_1000S[match[2]]) if match else 0
    if not 0 < found <= 10**9:
        raise ValueError(f"{value!r} is no rate: expected something like 50/s or 3000/min, at most 1000000/s")
    return found


def ratio_ppm(value: Any) -> int:
    """Return a share in parts per million.

    Raises:
        ValueError: It is no text like `99.9%`, from 0 to 100.
    """
    match = _RATIO.match(value) if isinstance(value, str) else None
    found = int(Decimal(match[1]) * 10_000) if match else -1
    if not 0 <= found <= 1_000_000:
        raise ValueError(f"{value!r} is no share: expected something like 99.9%, from 0% to 100%")
    return found


def as_text(value_ns: int) -> str:
    """Return a duration as a person writes it."""
    for unit, size in (("h", _NS["h"]), ("m", _NS["m"]), ("s", _NS["s"])):
        if value_ns >= size and value_ns % size == 0:
            return f"{value_ns // size}{unit}"
    if value_ns >= _NS["s"]:
        return f"{value_ns / 10**9:g}s"
    return f"{value_ns / 10**6:g}ms"
