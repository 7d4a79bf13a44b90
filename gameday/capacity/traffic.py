"""Real traffic as counts: lines of an access log in, a forecast's rows out. Pure, and as long as a log is.

    time_of(line, "combined") -> 1763640000.0      when a request was logged, in seconds of UTC
    Counts(60).add(at_s)                           counts by stretch of 60 s, whatever the order of lines

Only times are kept: no address, no path, no user of the log reaches a forecast.

Source: Apache mod_log_config, "Common Log Format" and "Combined"; nginx ngx_http_log_module, `combined`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

FORMATS = ("common", "combined", "json")
TIME_FIELDS = (
    "time", "timestamp", "@timestamp", "ts", "time_iso8601", "time_local", "msec", "date", "StartUTC",
)  # fmt: skip
_YEAR_2000, _YEAR_2200 = 946_684_800.0, 7_258_118_400.0
_QUOTED = rb'"(?:[^"\\]|\\.)*"'
# host ident user [time] "request" status bytes; the user may hold blanks and brackets.
_COMMON = re.compile(rb"\S+ \S+ .{1,512}? \[([0-9A-Za-z/:]{20} [+-][0-9]{4})\] " + _QUOTED + rb" [0-9]{3} ")
_LOCAL = re.compile(
    r"([0-9]{2})/([A-Z][a-z]{2})/([0-9]{4}):([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"
)
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}


def time_of(line: bytes, form: str, time_field: str = "") -> float | None:
    """Return when a line's request was logged, in seconds since 1970 UTC; None when it cannot be read.

    Args:
        line: One line, with or without its newline.
        form: common, combined or json.
        time_field: Of a JSON line; empty takes the first of the usual names.
    """
    if form == "json":
        return _time_in_json(line, time_field)
    match = _COMMON.match(line)
    return _local(match[1].decode("ascii")) if match else None


@lru_cache(maxsize=4096)
def _local(text: str) -> float | None:
    """Read `20/Nov/2026:20:15:00 +0100`. Neighbouring lines share their second: hence the cache."""
    match = _LOCAL.fullmatch(text)
    if match is None or match[2] not in _MONTHS:
        return None
    day, _, year, hour, minute, second, sign, off_hours, off_minutes = match.groups()
    try:
        # A leap second is logged as 60.
        at = datetime(
            int(year), _MONTHS[match[2]], int(day), int(hour), int(minute), min(int(second), 59), tzinfo=UTC
        )
    except ValueError:
        return None
    offset_s = (int(off_hours) * 60 + int(off_minutes)) * 60
    return _sane(at.timestamp() - (offset_s if sign == "+" else -offset_s))


def _time_in_json(line: bytes, time_field: str) -> float | None:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    names = (time_field,) if time_field else TIME_FIELDS
    value = next((data[name] for name in names if name in data), None)
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return _epoch(float(value))
    return _text(value) if isinstance(value, str) else None


def _epoch(value: float) -> float | None:
    """Read seconds, milliseconds, microseconds or nanoseconds since 1970: only one of them is in our time."""
    return next((at for scale in (1, 1e3, 1e6, 1e9) if (at := _sane(value / scale)) is not None), None)


def _text(value: str) -> float | None:
    text = value.strip()
    if "/" in text:
        return _local(text)
    if re.fullmatch(r"[0-9]{9,19}(\.[0-9]{1,9})?", text):
        return _epoch(float(text))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _sane((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp())


def _sane(at_s: float) -> float | None:
    return at_s if _YEAR_2000 <= at_s < _YEAR_2200 else None


@dataclass(slots=True)
class Counts:
    """Requests by stretch of `every_s` seconds, aligned to the hour (or the day) of UTC."""

    every_s: int
    found: dict[int, int] = field(default_factory=dict)

    def add(self, at_s: float) -> None:
        """Count one request."""
        number = int(at_s // self.every_s)
        self.found[number] = self.found.get(number, 0) + 1

    @property
    def stretches(self) -> int:
        """How many rows there will be, those without a request included."""
        return max(self.found) - min(self.found) + 1 if self.found else 0

    def rows(self) -> Iterator[tuple[str, int, int]]:
        """Return (start_utc, seconds, requests) of each stretch from the first to the last."""
        for number in range(min(self.found), max(self.found) + 1) if self.found else ():
            yield utc(number * self.every_s), self.every_s, self.found.get(number, 0)

    def peak(self) -> tuple[str, int]:
        """Return when the busiest stretch began, and its requests. The first of several."""
        number = max(self.found, key=lambda number: (self.found[number], -number))
        return utc(number * self.every_s), self.found[number]


def utc(at_s: int) -> str:
    """Return an instant as RFC 3339 with `Z`."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True)
class Tally:
    """What became of the lines: how many there were, how many could not be read, and the first of those."""

    lines: int = 0
    bad: int = 0
    first_bad: int = 0
    first_bad_text: str = ""

    def take(self, line: bytes, read: Callable[[bytes], float | None], counts: Counts) -> None:
        """Take one line. Blank ones count for nothing."""
        if not line.strip():
            return
        self.lines += 1
        at_s = read(line)
        if at_s is not None:
            counts.add(at_s)
            return
        self.bad += 1
        if not self.first_bad:
            self.first_bad, self.first_bad_text = self.lines, line[:120].decode("utf-8", "replace").strip()
