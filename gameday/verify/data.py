"""Recovery point actual, computed anew from the ledger (rules: "What a number means", RPA).

    onset  in [command of the fault, its read-back]
    x      the earliest lost acknowledged write, p the last acknowledged before it
    RPA    in [onset.min - ack(x), onset.max - sent(p)], not below 0
    nothing lost: [0, onset.max - sent(last acknowledged by the old authority)]

Where a lost write was sent before p was, that one stands for p. Where no write survived before x, there
is no upper end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .chain import Record
from .recovery import Interval, outage_of, recovered_by
from .run import PLAN, Fault, Run
from .strictjson import get, maybe, rows


@dataclass(slots=True)
class Reading:
    """The ledger held against one read-back."""

    occasion: str
    at_ns: int
    lost: list[int]
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Tell that nothing is there that should not be, and nothing twice or changed."""
        return not (self.counts["phantom"] or self.counts["duplicate"] or self.counts["corrupt"])


@dataclass(frozen=True, slots=True)
class DataFinding:
    """One finding on data: its name, verdict, interval and counts."""

    name: str
    verdict: str
    interval: Interval | None = None
    numbers: dict[str, Any] = field(default_factory=dict)


def ledgers_of(plan: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a plan's ledgers by name; the only one may have none."""
    first = maybe(plan, "ledger", dict, PLAN)
    more = rows(plan, "more_ledgers", PLAN) if plan.get("more_ledgers") else []
    return {maybe(row, "name", str, PLAN) or "": row for row in ([first, *more] if first else [])}


def read_back(run: Run, occasion: str, name: str) -> Reading | None:
    """Hold a ledger against a read-back; None when there was none that succeeded."""
    reads = [r for r in run.history.all("LedgerRead") if r.data.get("occasion") == occasion]
    reads = [r for r in reads if (maybe(r.data, "ledger", str, "LedgerRead") or "") == name]
    read: Record | None = next((r for r in reads if get(r.data, "ok", bool, "LedgerRead")), None)
    if read is None:
        return None
    ledger = run.history.ledger.of(name)
    found = ledger.present.get(occasion, {})
    mine = {n: write for n, write in ledger.writes.items() if write.sent_ns < read.at_ns}
    marked = {mark: {n for n, w in mine.items() if w.mark == mark} for mark in ("acked", "unknown", "failed")}
    there = found.keys()
    lost = sorted(marked["acked"] - there)
    gone = set(lost)
    return Reading(
        occasion,
        read.at_ns,
        lost,
        {
            "acked": len(marked["acked"]),
            "lost": len(lost),
            "unknown_recovered": len(marked["unknown"] & there),
            "unknown_lost": len(marked["unknown"] - there),
            "phantom": len(there - mine.keys()) + len(marked["failed"] & there),
            "duplicate": ledger.twice.get(occasion, 0),
            "corrupt": sum(n in mine and sha256 != mine[n].sha256 for n, sha256 in found.items()),
            "holes": max(sum(n + 1 not in gone for n in lost) - 1, 0),
        },
    )


def check_data(run: Run, objective: dict[str, Any]) -> list[DataFinding]:
    """Return the findings on lost data for one objective."""
    if maybe(objective, "rpo_ns", int, PLAN) is None:
        return []
    service = get(objective, "service", str, PLAN)
    name = f"RPA {service}"
    if not run.faults:
        return [DataFinding(name, "not_tested")]
    if run.plan.get("ledger") is None:
        return [DataFinding(name, "unknown")]
    asked = maybe(objective, "ledger", str, PLAN) or ""
    found: list[DataFinding] = []
    for ledger in ledgers_of(run.plan):
        if asked in ("", ledger):
            found += _one_store(run, objective, ledger, f"{service} ({ledger})" if ledger else service)
    return found


def _one_store(run: Run, objective: dict[str, Any], ledger: str, what: str) -> list[DataFinding]:
    first = read_back(run, "after-failover", ledger) or read_back(run, "end", ledger)
    if first is None:
        return [DataFinding(f"RPA {what}", "unknown")]
    findings = [_rpa(run, objective, first, f"RPA {what}", ledger)]
    last = read_back(run, "end", ledger)
    if last is not None and last.occasion != first.occasion:
        clean = last.is_clean and not set(last.lost) - set(first.lost)
        verdict = "pass" if clean else "fail"
        findings.append(DataFinding(f"data after fail-back {what}", verdict, None, _numbers(last, 0, ledger)))
    return findings


def _numbers(read: Reading, late: int, ledger: str) -> dict[str, Any]:
    numbers = {"read_back": read.occasion, **read.counts, "acked_after_onset_then_lost": late}
    return numbers | ({"ledger": ledger} if ledger else {})


def failover_starts(run: Run) -> list[int]:
    """Return when the plan's steps of failing over began."""
    return [
        run.started[s["id"]]
        for s in run.steps
        if s.get("kind") == "failover" and s.get("segment") == "fail-over" and s["id"] in run.started
    ]


def _rpa(run: Run, objective: dict[str, Any], read: Reading, name: str, ledger: str) -> DataFinding:
    found = outage_of(run, objective)
    assert found is not None
    starts = failover_starts(run)
    fault = ended_authority(run, found.fault, starts)
    onset_hi_ns = fault.read_back_ns or (fault.end.at_ns if fault.end else None)
    if onset_hi_ns is None:
        return DataFinding(name, "unknown")
    writes = run.history.ledger.of(ledger).writes
    acks = sorted(
        (w.acked_ns, w.sent_ns, n)
        for n, w in writes.items()
        if w.acked_ns is not None and w.acked_ns <= read.at_ns
    )
    old_until_ns = min(starts, default=fault.at_ns)
    onset_lo_ns = min(_lost_from(run, fault, acks, old_until_ns), onset_hi_ns)
    before = [sent for acked, sent, _ in acks if acked <= min(old_until_ns, onset_hi_ns)]
    late = sum((writes[n].acked_ns or 0) > onset_hi_ns for n in read.lost)
    numbers = _numbers(read, late, ledger)
    if not before:
        return DataFinding(name, "unknown", None, numbers)
    interval = _interval(acks, max(before), set(read.lost), onset_lo_ns, onset_hi_ns)
    paced = ledgers_of(run.plan)[ledger]
    allowed_ns = 2 * (get(paced, "every_ns", int, PLAN) + get(paced, "timeout_ns", int, PLAN))
    numbers |= {"onset_min_ns": onset_lo_ns, "onset_max_ns": onset_hi_ns, "width_allowed_ns": allowed_ns}
    verdict = _judge(run, interval, read, late, fault, objective["rpo_ns"])
    if verdict == "pass" and recovered_by(run, found) == "fault_removed":
        verdict = "fail"  # The data came back because the fault was taken away: nothing recovered it.
    return DataFinding(name, verdict, interval, numbers)


def ended_authority(run: Run, disrupting: Fault, starts: list[int]) -> Fault:
    """Return the last fault before the failing over: after it the old authority answered no more."""
    before = [fault for fault in run.faults if starts and fault.at_ns <= min(starts)]
    latest = max((fault.at_ns for fault in before), default=0)
    return next((fault for fault in before if fault.at_ns == latest), disrupting)


def _lost_from(run: Run, fault: Fault, acks: list[tuple[int, int, int]], until_ns: int) -> int:
    """Return from when on the old authority may have been lost.

    That is the command of the first fault after whose read-back nothing was sent that it acknowledged.
    """
    sent_ns = max((sent for acked, sent, _ in acks if acked <= until_ns), default=0)
    for earlier in run.faults:
        seen_ns = earlier.read_back_ns
        if earlier.at_ns >= fault.at_ns or seen_ns is None or sent_ns <= seen_ns:
            return earlier.at_ns
    return fault.at_ns


def _interval(
    acks: list[tuple[int, int, int]], sent_last_ns: int, lost: set[int], lo_ns: int, hi_ns: int
) -> Interval:
    first = next((place for place, (_, _, number) in enumerate(acks) if number in lost), None)
    if first is None:
        return 0, max(hi_ns - sent_last_ns, 0)
    low_ns = max(lo_ns - acks[first][0], 0)
    if first == 0:
        return low_ns, None
    sent_ns = min([acks[first - 1][1], *(sent for _, sent, number in acks if number in lost)])
    return low_ns, max(hi_ns - sent_ns, low_ns)


def _judge(run: Run, interval: Interval, read: Reading, late: int, fault: Fault, rpo_ns: int) -> str:
    low_ns, high_ns = interval
    if not read.is_clean or late or low_ns > rpo_ns:
        return "fail"
    if run.outcome == "crashed" or run.is_interrupted or fault.took_effect is not True:
        return "unknown"
    return "pass" if high_ns is not None and high_ns <= rpo_ns else "unknown"
