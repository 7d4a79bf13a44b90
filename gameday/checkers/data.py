"""Recovery point actual: what was acknowledged and is gone, as counts and as an interval of time.

    onset in [command of the fault, its read-back]
    x     the earliest lost acknowledged write, p the last acknowledged before it
    RPA   in [onset.lo - ack(x), onset.hi - sent(p)], not below 0
    nothing lost: RPA in [0, onset.hi - sent(last acknowledged before the onset)]

The old authority may have died before an acknowledgement of its arrived here, so the last of those
bounds nothing from below; the command does. Of several faults before the failing over, the first
counts after whose read-back no write was sent and acknowledged. Only what was acknowledged before the
plan began to fail over, or else before that command, was surely acknowledged by the old authority.
Where a lost write was sent before p was, `sent(p)` is the sending of that one. Where no write that the
old authority acknowledged survived, the loss may reach back further than the ledger: no upper end.

Loss need not be a suffix, so the counts always stand beside the time.
"""

from __future__ import annotations

from dataclasses import dataclass

from gameday.checkers.disruption import Span, disruption
from gameday.checkers.findings import Finding, Interval, Verdict
from gameday.checkers.recovery import recovered_by
from gameday.checkers.view import Injection, View, seconds
from gameday.history.events import LedgerMark
from gameday.plan.model import NS, Ledger, Objective, Segment, StepKind


@dataclass(slots=True)
class Write:
    """One numbered write, as the ledger knows it."""

    sent_ns: int
    sha256: str
    acked_ns: int | None = None
    mark: LedgerMark = LedgerMark.UNKNOWN


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The ledger against one read-back."""

    occasion: str
    read_ns: int
    seq: int
    acked: int
    lost: tuple[int, ...]
    unknown_recovered: int
    unknown_lost: int
    phantom: int
    duplicate: int
    corrupt: int
    holes: int

    @property
    def is_clean(self) -> bool:
        """Nothing is there that should not be, and nothing twice or changed."""
        return not (self.phantom or self.duplicate or self.corrupt)


def writes_of(view: View, ledger: str = "") -> dict[int, Write]:
    """Return every write of a ledger by number."""
    writes: dict[int, Write] = {}
    for entry in view.trace.ledger:
        if entry.ledger != ledger:
            continue
        if entry.mark is LedgerMark.INTENT:
            writes[entry.number] = Write(entry.at_ns, entry.sha256)
        elif entry.mark is not LedgerMark.PRESENT and entry.number in writes:
            write = writes[entry.number]
            write.mark = entry.mark
            write.acked_ns = entry.at_ns if entry.mark is LedgerMark.ACKED else None
    return writes


def reconcile(view: View, writes: dict[int, Write], occasion: str, ledger: str = "") -> Reconciliation | None:
    """Hold a ledger against one read-back; None when there was none that succeeded."""
    read = next(
        ((at, seq) for at, seq, e in view.reads if e.occasion == occasion and e.ok and e.ledger == ledger),
        None,
    )
    if read is None:
        return None
    found: dict[int, str] = {}
    duplicate = 0
    for entry in view.trace.ledger:
        if entry.ledger == ledger and entry.mark is LedgerMark.PRESENT and entry.occasion == occasion:
            duplicate += entry.count > 1 or entry.number in found
            found[entry.number] = entry.sha256
    mine = {number: write for number, write in writes.items() if write.sent_ns < read[0]}
    acked = {number for number, write in mine.items() if write.mark is LedgerMark.ACKED}
    unknown = {number for number, write in mine.items() if write.mark is LedgerMark.UNKNOWN}
    failed = {number for number, write in mine.items() if write.mark is LedgerMark.FAILED}
    lost = tuple(sorted(acked - set(found)))
    return Reconciliation(
        occasion=occasion,
        read_ns=read[0],
        seq=read[1],
        acked=len(acked),
        lost=lost,
        unknown_recovered=len(unknown & set(found)),
        unknown_lost=len(unknown - set(found)),
        phantom=len(set(found) - set(mine)) + len(failed & set(found)),
        duplicate=duplicate,
        corrupt=sum(number in mine and sha != mine[number].sha256 for number, sha in found.items()),
        holes=sum(number + 1 not in lost for number in lost) - bool(lost),
    )


def check_data(view: View, objective: Objective) -> tuple[Finding, ...]:
    """Return the findings on lost data: RPA after the failover, and that nothing went missing later."""
    if objective.rpo_ns is None:
        return ()
    name = f"RPA {objective.service}"
    limit = seconds(objective.rpo_ns)
    if not view.injections:
        why = "no fault took place"
        return (Finding(name, Verdict.NOT_TESTED, "nothing was injected", limit, "s", why),)
    if view.plan.ledger is None:
        why = "the plan has no ledger, so lost writes cannot be counted"
        return (Finding(name, Verdict.UNKNOWN, "not measured", limit, "s", why),)
    named = [item.name for item in view.plan.ledgers if objective.ledger in ("", item.name)]
    return tuple(finding for ledger in named for finding in _check_ledger(view, objective, ledger))


def of_service(objective: Objective, ledger: str) -> str:
    """Name what an objective is about, in one of its stores: `orders`, or `orders (redis)`."""
    return f"{objective.service} ({ledger})" if ledger else objective.service


def _check_ledger(view: View, objective: Objective, ledger: str) -> list[Finding]:
    writes = writes_of(view, ledger)
    first = reconcile(view, writes, "after-failover", ledger) or reconcile(view, writes, "end", ledger)
    if first is None:
        name, limit = f"RPA {of_service(objective, ledger)}", seconds(objective.rpo_ns)
        why = "the ledger was not read back from the recovered authority"
        return [Finding(name, Verdict.UNKNOWN, "not measured", limit, "s", why)]
    findings = [_rpa(view, objective, writes, first, ledger)]
    last = reconcile(view, writes, "end", ledger)
    if last is not None and last.occasion != first.occasion:
        findings.append(_at_the_end(objective, first, last, ledger))
    return findings


def _rpa(
    view: View, objective: Objective, writes: dict[int, Write], read: Reconciliation, ledger: str
) -> Finding:
    name, limit = f"RPA {of_service(objective, ledger)}", seconds(objective.rpo_ns)
    found = disruption(view, objective)
    assert found is not None
    fault = _ended_authority(view, found.fault)
    onset_hi_ns = fault.read_back_ns or fault.ended_ns
    if onset_hi_ns is None:
        why = "the fault was never read back, so its instant is not known"
        return Finding(name, Verdict.UNKNOWN, "not measured", limit, "s", why, (read.seq,))
    acks = sorted(
        (write.acked_ns, write.sent_ns, number)
        for number, write in writes.items()
        if write.acked_ns is not None and write.acked_ns <= read.read_ns
    )
    onset_lo_ns, old_until_ns = _begins(view, fault, acks)
    onset_lo_ns = min(onset_lo_ns, onset_hi_ns)
    before = [ack for ack in acks if ack[0] <= min(old_until_ns, onset_hi_ns)]
    late = [number for number in read.lost if (writes[number].acked_ns or 0) > onset_hi_ns]
    numbers = _numbers(read, len(late), ledger)
    if not before:
        why = "nothing was acknowledged before the fault, so nothing can be said to be lost"
        return Finding(name, Verdict.UNKNOWN, "not measured", limit, "s", why, (read.seq,), None, numbers)
    interval = _interval(acks, before, set(read.lost), Span(onset_lo_ns, onset_hi_ns))
    observed = _observed(interval, read)
    pace = next(item for item in view.plan.ledgers if item.name == ledger)
    numbers += _widths(pace, interval, Span(onset_lo_ns, onset_hi_ns))
    verdict, why = _judge(view, objective, interval, read, len(late), took_effect=fault.took_effect is True)
    if verdict is Verdict.PASS and recovered_by(view, found) == "fault_removed":
        verdict, why = (
            Verdict.FAIL,
            "the data came back because the fault was taken away: nothing recovered it",
        )
    return Finding(name, verdict, observed, limit, "s", why, (fault.seq, read.seq), interval, numbers)


def _begins(view: View, fault: Injection, acks: list[tuple[int, int, int]]) -> tuple[int, int]:
    """Return from when on the old authority may have been lost, and until when it surely answered alone."""
    starts = _failover_starts(view)
    until_ns = min(starts, default=fault.commanded_ns)
    sent_ns = max((sent for acked, sent, _ in acks if acked <= until_ns), default=0)
    for injection in view.injections:
        seen_ns = injection.read_back_ns
        if injection.commanded_ns >= fault.commanded_ns or seen_ns is None or sent_ns <= seen_ns:
            return injection.commanded_ns, until_ns
    return fault.commanded_ns, until_ns


def _failover_starts(view: View) -> list[int]:
    return [
        view.started[step.id][0]
        for step in view.plan.steps
        if step.kind is StepKind.FAILOVER and step.segment is Segment.FAIL_OVER and step.id in view.started
    ]


def _ended_authority(view: View, disrupting: Injection) -> Injection:
    """Return the fault after which the old authority acknowledged no more.

    That is the last one before the plan began to fail over. The first bad sample may belong to an
    earlier, milder fault (a slow link, say), during which the old authority went on acknowledging.
    """
    starts = _failover_starts(view)
    before = [i for i in view.injections if starts and i.commanded_ns <= min(starts)]
    return max(before, key=lambda i: i.commanded_ns, default=disrupting)


def last_authority(view: View) -> int | None:
    """Return the latest instant at which the old authority can have acknowledged; None when unknown."""
    fault = _ended_authority(view, view.injections[-1])
    return fault.read_back_ns or fault.ended_ns


def _interval(
    acks: list[tuple[int, int, int]], before: list[tuple[int, int, int]], lost: set[int], onset: Span
) -> Interval:
    first = next((place for place, ack in enumerate(acks) if ack[2] in lost), None)
    if first is None:
        return Interval(0, max(onset.hi_ns - max(sent for _, sent, _ in before), 0))
    low = max(onset.lo_ns - acks[first][0], 0)
    if first == 0:
        return Interval(low, None)
    sent_ns = min(acks[first - 1][1], *(sent for _, sent, number in acks if number in lost))
    return Interval(low, max(onset.hi_ns - sent_ns, low))


def _widths(ledger: Ledger, interval: Interval, onset: Span) -> tuple[tuple[str, int | str | None], ...]:
    """Return the instants behind the interval, and why it is wider than a ledger of that pace promises."""
    allowed_ns = 2 * (ledger.every_ns + ledger.timeout_ns)
    numbers: tuple[tuple[str, int | str | None], ...] = (
        ("onset_min_ns", onset.lo_ns),
        ("onset_max_ns", onset.hi_ns),
        ("width_allowed_ns", allowed_ns),
    )
    if interval.max_ns is None or interval.max_ns - interval.min_ns <= allowed_ns:
        return numbers
    took = seconds(onset.hi_ns - onset.lo_ns)
    return (
        *numbers,
        ("wide_because", f"the fault was read back {took} after its command, or acks were rare"),
    )


def _observed(interval: Interval, read: Reconciliation) -> str:
    counts = f"{len(read.lost)} of {read.acked} acknowledged writes lost"
    if interval.max_ns is None:
        return f"at least {interval.min_ns / NS:.2f} s, {counts}, none before them kept"
    if not read.lost:
        return f"at most {interval.max_ns / NS:.2f} s, {counts}"
    return f"{interval.min_ns / NS:.2f} to {interval.max_ns / NS:.2f} s, {counts}"


def _judge(
    view: View,
    objective: Objective,
    interval: Interval,
    read: Reconciliation,
    late: int,
    *,
    took_effect: bool,
) -> tuple[Verdict, str]:
    assert objective.rpo_ns is not None
    if not read.is_clean:
        return Verdict.FAIL, "the data is not clean: phantom, duplicate or corrupt writes were found"
    if late:
        return Verdict.FAIL, f"{late} writes were acknowledged after the loss and are gone: split brain"
    if interval.min_ns > objective.rpo_ns:
        return Verdict.FAIL, "even the lower end is above the objective"
    if view.outcome == "crashed" or view.is_interrupted:
        return Verdict.UNKNOWN, "the run was cut short"
    if not took_effect:
        return Verdict.UNKNOWN, "no read-back shows that the fault took effect"
    if interval.max_ns is None:
        return Verdict.UNKNOWN, "no earlier write survived: the loss may reach back further than the ledger"
    if interval.max_ns > objective.rpo_ns:
        return Verdict.UNKNOWN, "the objective lies inside the interval: write faster to decide"
    return Verdict.PASS, "numbered writes on the users' path, read back from the recovered authority"


def _at_the_end(objective: Objective, first: Reconciliation, last: Reconciliation, ledger: str) -> Finding:
    """What was there after the failover, and all that was acknowledged since, must be there still."""
    more = set(last.lost) - set(first.lost)
    clean = not more and last.is_clean
    why = "every write acknowledged after the failover is there" if clean else "writes went missing after it"
    return Finding(
        name=f"data after fail-back {of_service(objective, ledger)}",
        verdict=Verdict.PASS if clean else Verdict.FAIL,
        observed=f"{len(more)} more lost",
        limit="0",
        unit="writes",
        why=why,
        events=(last.seq,),
        numbers=_numbers(last, 0, ledger),
    )


def _numbers(read: Reconciliation, late: int, ledger: str) -> tuple[tuple[str, int | str | None], ...]:
    return (
        ("read_back", read.occasion),
        ("acked", read.acked),
        ("lost", len(read.lost)),
        ("unknown_recovered", read.unknown_recovered),
        ("unknown_lost", read.unknown_lost),
        ("phantom", read.phantom),
        ("duplicate", read.duplicate),
        ("corrupt", read.corrupt),
        ("holes", read.holes),
        ("acked_after_onset_then_lost", late),
        *((("ledger", ledger),) if ledger else ()),
    )
