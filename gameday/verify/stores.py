"""What concerns several stores: how far apart they came back, and rows held against their source.

    lost something   point in [sent(p), ack(x)], x its earliest lost write, p the last acknowledged before it
    lost nothing     point in [sent(last acknowledged before the onset), onset.max]
    window           [latest.min - earliest.max, latest.max - earliest.min], not below 0

The window is judged by the strictest RPO. What a reconciling step said of all rows stands in its report.
"""

from __future__ import annotations

from typing import Any

from .data import Reading, ended_authority, failover_starts, ledgers_of, read_back
from .others import Other
from .recovery import Interval
from .run import PLAN, Run
from .strictjson import get, maybe, parse, rows

RECONCILE = "gameday.actions.reconcile"
Point = tuple[int, int, int]  # earliest, latest instant it came back to, and how many writes it lost


def check_stores(run: Run) -> list[tuple[Other, Interval | None]]:
    """Return the finding on how far the stores lie apart; none where there is but one."""
    names, name = ledgers_of(run.plan), "consistency across stores"
    if len(names) < 2:
        return []
    if not run.faults:
        return [(Other(name, "not_tested"), None)]
    fault = ended_authority(run, run.faults[-1], failover_starts(run))
    onset_ns = fault.read_back_ns or (fault.end.at_ns if fault.end else None)
    points = [_point(run, ledger, onset_ns) for ledger in names] if onset_ns is not None else []
    found = [point for point in points if point is not None]
    if not found or len(found) < len(points):
        return [(Other(name, "unknown"), None)]
    earliest = min(found)
    low_ns = max(max(p[0] for p in found) - min(p[1] for p in found), 0)
    high_ns = max(max(p[1] for p in found) - earliest[0], 0)
    verdict = "pass"
    if any(point[2] for point in found):
        limits = [maybe(o, "rpo_ns", int, PLAN) for o in rows(run.plan, "objectives", PLAN)]
        allowed_ns = min((limit for limit in limits if limit is not None), default=None)
        verdict = "unknown" if allowed_ns is None or high_ns > allowed_ns else "pass"
        verdict = "fail" if allowed_ns is not None and low_ns > allowed_ns else verdict
    if verdict == "pass" and (run.outcome == "crashed" or run.is_interrupted):
        verdict = "unknown"
    numbers: dict[str, Any] = {
        "consistent_until_min_ns": earliest[0],
        "consistent_until_max_ns": min(p[1] for p in found),
    }
    for ledger, point in zip(names, found, strict=True):
        numbers |= {f"{ledger}_min_ns": point[0], f"{ledger}_max_ns": point[1]}
    return [(Other(name, verdict, numbers), (low_ns, high_ns))]


def _point(run: Run, ledger: str, onset_ns: int) -> Point | None:
    read: Reading | None = read_back(run, "after-failover", ledger) or read_back(run, "end", ledger)
    writes = run.history.ledger.of(ledger).writes
    acks = sorted((w.acked_ns, w.sent_ns, n) for n, w in writes.items() if w.acked_ns is not None)
    before = [sent for acked, sent, _ in acks if acked <= onset_ns]
    if read is None or not before:
        return None
    lost = set(read.lost)
    first = next((place for place, (_, _, number) in enumerate(acks) if number in lost), None)
    if first is None:
        return before[-1], onset_ns, 0
    return acks[max(first - 1, 0)][1], acks[first][0], len(lost)


def check_reconciled(run: Run) -> list[Other]:
    """Return what each step said that holds a recovered store against its source."""
    found = []
    for step in run.steps:
        do = maybe(step, "do", dict, PLAN)
        if (
            do is None
            or maybe(parse(get(do, "provider", str, PLAN).encode(), PLAN, floats=True), "module", str, PLAN)
            != RECONCILE
        ):
            continue
        verdict, end = "not_tested", run.ended.get(step["id"])
        if step["id"] in run.started:
            said = get(end.data, "detail", str, "StepEnded").partition(": ")[0] if end else ""
            happened = end is not None and end.data.get("effect") == "happened"
            verdict = {"equal": "pass", "differs": "fail"}.get(said, "unknown") if happened else "unknown"
        found.append(Other(f"reconciliation: {get(step, 'name', str, PLAN)}", verdict))
    return found
