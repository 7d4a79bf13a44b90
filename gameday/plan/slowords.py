"""What an SLO file says, in our words, whichever format it is written in; and how its queries are made.

    ImportedSlo   one objective: a share of errors held against a target, or a value against a limit
    Burn          an alert on how fast its budget burns, over one window or two

A query may hold `{{.window}}`, as sloth's do: only then can it be asked over other windows than the file's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gameday.plan.model import NS
from gameday.plan.source import Source, Where

WINDOW = re.compile(r"\{\{\s*\.window\s*\}\}")
_SELECTOR = re.compile(r"[A-Za-z_:][\w:]*\s*(\{[^{}]*\})?\Z")
_RANGE = re.compile(r"\[[^\]]+\]")
HOUR_NS, DAY_NS = 3600 * NS, 86_400 * NS
_UNITS_NS = {"s": NS, "m": 60 * NS, "h": HOUR_NS, "d": DAY_NS, "w": 7 * DAY_NS}


@dataclass(frozen=True, slots=True)
class Burn:
    """Too fast when the budget burns above `rate` over both windows, for so long."""

    name: str
    rate: float
    long_ns: int
    short_ns: int | None
    for_ns: int
    is_page: bool


@dataclass(frozen=True, slots=True)
class ImportedSlo:
    """One objective of a file. Either `errors` (a share) or `value` with its limit is set."""

    name: str
    target: float
    period_ns: int
    errors: str = ""
    value: str = ""
    at_most: float | None = None
    at_least: float | None = None
    slice_target: float | None = None
    burns: tuple[Burn, ...] = ()
    where: Where = ()

    @property
    def moves(self) -> bool:
        """Tell whether its errors can be asked over any window."""
        return WINDOW.search(self.errors) is not None


def over(query: str, window_ns: int) -> str:
    """Return a query over a window."""
    return WINDOW.sub(text_ns(window_ns), query)


def text_ns(window_ns: int) -> str:
    """Return a window as PromQL writes it."""
    return f"{window_ns // 1_000_000}ms" if window_ns % NS else f"{window_ns // NS}s"


def window_ns(text: str) -> int:
    """Return how long a window of a file is: `30d`, `4w`, `5m`.

    Raises:
        ValueError: It is no such text, or its length is not fixed (a month, a quarter, a year).
    """
    match = re.fullmatch(r"(\d{1,5})([smhdwMQY])", text)
    if match is None or not int(match[1]):
        raise ValueError(f"{text!r}: expected a window like 30d")
    if match[2] not in _UNITS_NS:
        raise ValueError(f"{text!r}: a month, quarter or year has no fixed length: write it in days")
    return int(match[1]) * _UNITS_NS[match[2]]


def counted(query: str, source: Source, where: Where) -> str:
    """Return the query of a counter as a rate over `{{.window}}`, or as it is where it has a range."""
    if WINDOW.search(query) or _RANGE.search(query):
        return query
    if _SELECTOR.match(query.strip()):
        return f"sum(rate({query.strip()}[{{{{.window}}}}]))"
    source.complain(where, "a counter needs a range, like `rate(…[5m])`, or to be a plain selector")
    return query
