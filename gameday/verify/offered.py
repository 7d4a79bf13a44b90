"""How many arrivals a plan asked of a load until it was stopped, from the records that asked for them.

A generator that died counts nothing as due; so its silence is found by what was asked: rate by rate, or
along the straight lines of the plan's stages. Whole numbers throughout: 10^12 of them are one arrival.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

from .run import PLAN, Run
from .segments import BUCKET_NS, Total
from .strictjson import get, maybe, rows

ONE = 10**12


def offered(run: Run, load: dict[str, Any], total: Total) -> tuple[int | None, int]:
    """Return the arrivals asked for and how many may be missing; None where users were asked for."""
    name = get(load, "name", str, PLAN)
    asks = [r for r in run.history.all("LoadAsked") if get(r.data, "load", str, "LoadAsked") == name]
    if not asks or get(asks[0].data, "ask", str, "LoadAsked") != "start":
        return None, 0
    twice = may_lag = 0
    for number, record in enumerate(asks):
        if get(record.data, "ask", str, "LoadAsked") == "stop":
            break
        until_ns = asks[number + 1].at_ns if number + 1 < len(asks) else total.last_ns
        lines = _lines(load, record.data)
        if lines is None:
            return None, 0
        twice += _twice(lines, max(until_ns - record.at_ns, 0))
        may_lag += max(to for _, to in lines) * BUCKET_NS
    asked = twice // (2 * ONE)
    spread = 4 * isqrt(asked) if maybe(load, "arrivals", str, PLAN) == "poisson" else 0
    return asked, may_lag // ONE + 1 + spread


def _lines(load: dict[str, Any], ask: dict[str, Any]) -> list[tuple[int, int]] | None:
    """Return (length, rate at the end) of each line that an ask means; None where it means users."""
    if maybe(ask, "users", int, "LoadAsked") is not None:
        return None
    rate = maybe(ask, "rate_per_1000s", int, "LoadAsked")
    if rate is not None:
        return [(0, rate)]
    stages = rows(load, "stages", PLAN) if load.get("stages") else []
    if not stages or any(maybe(stage, "users", int, PLAN) is not None for stage in stages):
        return None
    return [
        (get(stage, "over_ns", int, PLAN), maybe(stage, "rate_per_1000s", int, PLAN) or 0) for stage in stages
    ]


def _twice(lines: list[tuple[int, int]], span_ns: int) -> int:
    """Return twice the area under the lines; the level of the last one lasts."""
    area, begin_ns, level = 0, 0, 0
    for length_ns, to in lines:
        if begin_ns >= span_ns:
            return area
        if length_ns > 0:
            here_ns = min(length_ns, span_ns - begin_ns)
            area += here_ns * (2 * level + (to - level) * here_ns // length_ns)
            begin_ns += here_ns
        level = to
    return area + 2 * level * max(span_ns - begin_ns, 0)
