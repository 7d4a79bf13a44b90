"""What the clocks allow: a duration of one clock needs no bound, one across two clocks needs both.

All durations of a run come from one monotonic clock, so a step of the wall clock changes none of them.
A run that was taken over after its machine started again, or from another machine, goes on by the wall
clocks of both: a duration from before to after is uncertain by the sum of their bounds, and unknown
where one of them was not synchronised.

    wall clock   its distance from the monotonic clock, read at the start, at each phase and at the end.
                 A step is a change of that distance by more than both bounds, and than 100 ms, between
                 two reads of one clock.
"""

from __future__ import annotations

from itertools import pairwise

from gameday.checkers.findings import Finding, Interval, Verdict
from gameday.checkers.view import View
from gameday.history.events import ClockRead
from gameday.plan.model import NS

STEP_MIN_NS = 100_000_000
DRIFT_PPM = 500  # The most by which a clock is slewed, which is no step.


def bound_between(view: View, start_ns: int, end_ns: int) -> int | None:
    """Return by how much a duration between two instants may be wrong.

    0 when one clock measured it, both clocks' bounds when two did, None when one of those is unknown.
    """
    before, after = _clock_at(view, start_ns), _clock_at(view, end_ns)
    if before is None or after is None or before.boot_id == after.boot_id:
        return 0
    if before.bound_ns is None or after.bound_ns is None:
        return None
    return before.bound_ns + after.bound_ns


def widened(interval: Interval, bound_ns: int | None) -> Interval | None:
    """Return an interval widened by a clock bound at both ends; None when the bound is unknown."""
    if bound_ns is None:
        return None
    max_ns = None if interval.max_ns is None else interval.max_ns + bound_ns
    return Interval(max(interval.min_ns - bound_ns, 0), max_ns)


def _clock_at(view: View, at_ns: int) -> ClockRead | None:
    """Return the clock in force at an instant: the last one read by then, else the first."""
    found = None
    for read_ns, _, event in view.clocks:
        if found is not None and read_ns > at_ns:
            break
        found = event
    return found


def check_clock(view: View) -> tuple[Finding, ...]:
    """Return a finding when the wall clock stepped, or another clock took over."""
    steps, events = [], []
    for (at_ns, _, a), (then_ns, seq, b) in pairwise(view.clocks):
        moved_ns = int(b.wall_minus_boot_ns) - int(a.wall_minus_boot_ns)
        slewed_ns = (then_ns - at_ns) * DRIFT_PPM // 1_000_000
        bounds_ns = (a.bound_ns or 0) + (b.bound_ns or 0) + slewed_ns
        if a.boot_id == b.boot_id and abs(moved_ns) > max(STEP_MIN_NS, bounds_ns):
            steps.append((at_ns, then_ns, moved_ns))
            events.append(seq)
    title = "durations do not depend on the wall clock"
    boots = dict.fromkeys(event.boot_id for _, _, event in view.clocks)
    numbers: list[tuple[str, int | str | None]] = [("clocks", len(boots)), ("steps", len(steps))]
    for number, (at_ns, then_ns, moved_ns) in enumerate(steps, start=1):
        numbers += [
            (f"step_{number}_after_ns", at_ns),
            (f"step_{number}_before_ns", then_ns),
            (f"step_{number}_by_ns", moved_ns),
        ]
    if len(boots) > 1:
        bounds = [event.bound_ns for _, _, event in view.clocks]
        verdict = Verdict.UNKNOWN if None in bounds else Verdict.PASS
        why = "another clock took over: what spans both is uncertain by the bounds of both"
        why += "" if verdict is Verdict.PASS else ", and not all were synchronised"
        seqs = tuple(seq for _, seq, _ in view.clocks)
        return (Finding(title, verdict, f"{len(boots)} clocks", "1", "", why, seqs, None, tuple(numbers)),)
    if not steps:
        return ()
    shown = ", ".join(f"{moved_ns / NS:+.3f} s" for _, _, moved_ns in steps)
    why = "it was stepped meanwhile; every duration comes from one monotonic clock"
    observed = f"stepped by {shown}"
    return (Finding(title, Verdict.PASS, observed, "", "", why, tuple(events), None, tuple(numbers)),)
