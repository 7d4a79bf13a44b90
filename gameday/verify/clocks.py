"""What the clocks allow: a duration of one clock needs no bound, one across two clocks needs both.

All durations come from one monotonic clock. A run that was taken over after a restart or from another
machine goes on by the wall clocks of both: what spans both is uncertain by the sum of their bounds, and
unknown where one of them was not synchronised. A step of the wall clock alone changes no duration.
"""

from __future__ import annotations

from itertools import pairwise

from .chain import Record
from .others import Other
from .recovery import Interval
from .run import Run
from .strictjson import get, maybe

STEP_MIN_NS = 100_000_000
DRIFT_PPM = 500
WHERE = "ClockRead"


def bound_ns(run: Run, start_ns: int, end_ns: int) -> int | None:
    """Return by how much a duration may be wrong: 0 by one clock, None if two were not synchronised."""
    before, after = _clock_at(run, start_ns), _clock_at(run, end_ns)
    if before is None or after is None or _boot(before) == _boot(after):
        return 0
    bounds = _bound(before), _bound(after)
    return None if bounds[0] is None or bounds[1] is None else bounds[0] + bounds[1]


def widened(interval: Interval, bound: int) -> Interval:
    """Return an interval widened by a bound at both ends."""
    return max(interval[0] - bound, 0), None if interval[1] is None else interval[1] + bound


def check_clock(run: Run) -> list[Other]:
    """Return a finding when the wall clock stepped, or when another clock took over."""
    reads = run.history.all(WHERE)
    numbers: dict[str, int | None] = {"clocks": len({_boot(read) for read in reads}), "steps": 0}
    steps = 0
    for a, b in pairwise(reads):
        moved_ns = _wall(b) - _wall(a)
        allowed_ns = (_bound(a) or 0) + (_bound(b) or 0) + (b.at_ns - a.at_ns) * DRIFT_PPM // 1_000_000
        if _boot(a) == _boot(b) and abs(moved_ns) > max(STEP_MIN_NS, allowed_ns):
            steps += 1
            numbers |= {f"step_{steps}_after_ns": a.at_ns, f"step_{steps}_before_ns": b.at_ns}
            numbers[f"step_{steps}_by_ns"] = moved_ns
    numbers["steps"] = steps
    name = "durations do not depend on the wall clock"
    if (numbers["clocks"] or 0) > 1:
        unknown = any(_bound(read) is None for read in reads)
        return [Other(name, "unknown" if unknown else "pass", dict(numbers))]
    return [Other(name, "pass", dict(numbers))] if steps else []


def _clock_at(run: Run, at_ns: int) -> Record | None:
    """Return the clock in force: the last one read by then, else the first."""
    found = None
    for read in run.history.all(WHERE):
        if found is not None and read.at_ns > at_ns:
            break
        found = read
    return found


def _boot(read: Record) -> str:
    return maybe(read.data, "boot_id", str, WHERE) or ""


def _bound(read: Record) -> int | None:
    return maybe(read.data, "bound_ns", int, WHERE)


def _wall(read: Record) -> int:
    return int(get(read.data, "wall_minus_boot_ns", str, WHERE))
