"""Consistency across stores: the latest instant up to which every store holds every acknowledged write.

Stores that are recovered apart come back to different points: an order is there, its event is not. Each
store's recovery point lies in an interval, made as RPA is made:

    lost something    point in [sent(p), ack(x)], x its earliest lost write, p the last acknowledged before it
    lost nothing      point in [sent(last acknowledged before the onset), onset.hi]
    lost all          no lower end: how far back it reaches is not known, so the window has no upper end
    window            [latest.lo - earliest.hi, latest.hi - earliest.lo], not below 0: how far they lie apart

The earliest point is the consistency point: what happened after it may be in one store and not in another.
"""

from __future__ import annotations

from dataclasses import dataclass

from gameday.checkers.data import Reconciliation, Write, last_authority, reconcile, writes_of
from gameday.checkers.findings import Finding, Interval, Verdict
from gameday.checkers.view import View, seconds
from gameday.plan.model import NS

NAME = "consistency across stores"


@dataclass(frozen=True, slots=True)
class Point:
    """Where one store came back to."""

    ledger: str
    lo_ns: int
    hi_ns: int
    lost: int
    acked: int
    seq: int
    is_open: bool = False


def check_stores(view: View) -> tuple[Finding, ...]:
    """Return the finding on how far the stores lie apart; none where there is but one."""
    names = [ledger.name for ledger in view.plan.ledgers]
    if len(names) < 2:
        return ()
    allowed_ns = min((o.rpo_ns for o in view.plan.objectives if o.rpo_ns is not None), default=None)
    limit = "" if allowed_ns is None else seconds(allowed_ns)
    if not view.injections:
        return (Finding(NAME, Verdict.NOT_TESTED, "nothing was injected", limit, "s", "no fault took place"),)
    onset_hi_ns = last_authority(view)
    points = [_point(view, name, onset_hi_ns) for name in names] if onset_hi_ns is not None else []
    missing = [name for name, point in zip(names, points, strict=False) if point is None]
    found = [point for point in points if point is not None]
    if missing or not found:
        said = f"not read back, or nothing acknowledged: {', '.join(missing)}" if missing else "no read-back"
        return (Finding(NAME, Verdict.UNKNOWN, "not measured", limit, "s", said),)
    return (_judge(view, found, allowed_ns, limit),)


def _point(view: View, ledger: str, onset_hi_ns: int) -> Point | None:
    writes = writes_of(view, ledger)
    read = reconcile(view, writes, "after-failover", ledger) or reconcile(view, writes, "end", ledger)
    return None if read is None else _point_of(ledger, writes, read, onset_hi_ns)


def _point_of(ledger: str, writes: dict[int, Write], read: Reconciliation, onset_hi_ns: int) -> Point | None:
    acks = sorted((w.acked_ns, w.sent_ns, n) for n, w in writes.items() if w.acked_ns is not None)
    before = [ack for ack in acks if ack[0] <= onset_hi_ns]
    if not before:
        return None
    lost = set(read.lost)
    first = next((place for place, ack in enumerate(acks) if ack[2] in lost), None)
    if first is None:
        return Point(ledger, before[-1][1], onset_hi_ns, 0, read.acked, read.seq)
    lo_ns = acks[first - 1][1] if first else 0
    return Point(ledger, lo_ns, acks[first][0], len(lost), read.acked, read.seq, is_open=first == 0)


def _judge(view: View, points: list[Point], allowed_ns: int | None, limit: str) -> Finding:
    earliest = min(points, key=lambda point: (point.lo_ns, point.hi_ns))
    earliest_hi_ns = min(point.hi_ns for point in points)
    low_ns = max(max(point.lo_ns for point in points) - earliest_hi_ns, 0)
    high_ns = max(max(point.hi_ns for point in points) - earliest.lo_ns, 0)
    window = Interval(low_ns, None if any(point.is_open for point in points) else high_ns)
    counts = ", ".join(f"{point.ledger} {point.lost} of {point.acked}" for point in points)
    if not any(point.lost for point in points):
        observed = f"every store holds every acknowledged write (lost: {counts})"
        verdict, why = Verdict.PASS, "no store lost what another kept"
    else:
        upper = "more" if window.max_ns is None else f"{window.max_ns / NS:.2f} s"
        observed = f"{window.min_ns / NS:.2f} s to {upper} apart, lost: {counts}"
        verdict, why = _against(window, allowed_ns, earliest)
    if verdict is Verdict.PASS and (view.outcome == "crashed" or view.is_interrupted):
        verdict, why = Verdict.UNKNOWN, "the run was cut short"
    numbers: list[tuple[str, int | str | None]] = [
        ("consistent_until_min_ns", earliest.lo_ns),
        ("consistent_until_max_ns", earliest_hi_ns),
    ]
    for point in points:
        numbers += [(f"{point.ledger}_min_ns", point.lo_ns), (f"{point.ledger}_max_ns", point.hi_ns)]
    events = tuple(sorted({point.seq for point in points}))
    return Finding(NAME, verdict, observed, limit, "s", why, events, window, tuple(numbers))


def _against(window: Interval, allowed_ns: int | None, earliest: Point) -> tuple[Verdict, str]:
    what = f"after the consistency point, that of {earliest.ledger}, one store may hold what another lost"
    if allowed_ns is None:
        return Verdict.UNKNOWN, f"{what}; no objective says how much of that is allowed"
    if window.min_ns > allowed_ns:
        return Verdict.FAIL, what
    if window.max_ns is None:
        return Verdict.UNKNOWN, f"a store lost all that its ledger wrote; {what}"
    if window.max_ns > allowed_ns:
        return Verdict.UNKNOWN, f"the RPO lies inside the interval; {what}"
    return Verdict.PASS, f"{what}, and that is less than the RPO"
