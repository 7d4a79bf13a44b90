"""Recovery time actual, computed anew from samples (rules: "What a number means", RTA).

    onset     in [sent of the last good before, or the first fault's command;  end of the first bad]
    recovered in [sent of the last bad;  end of the first good of the run that then held]
    RTA       in [recovered.min - onset.max, recovered.max - onset.min]

The last good before goes back beyond a stretch in which an outage longer than one and a half periods and
a timeout could hide. Held: so many goods in a row, the levels over the stabilisation window, minimum
capacity. As many bads in a row afterwards are a relapse. No disruption seen: RTA is at most the longest
stretch in which one could hide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .levels import Levels
from .lines import Broken
from .run import PLAN, Fault, Run
from .segments import BAD, GOOD, UNREADABLE
from .strictjson import get, rows

Interval = tuple[int, int | None]


@dataclass(slots=True)
class Outage:
    """What the samples of one probe say about one disruption."""

    fault: Fault
    onset: tuple[int, int] | None = None
    back: tuple[int, int] | None = None
    relapsed: bool = False
    unreadable: int = 0
    down_until_ns: int = 0
    unsure: bool = False

    @property
    def interval(self) -> Interval | None:
        """The RTA; no upper end when service had not recovered."""
        if self.onset is None:
            return None
        if self.back is None:
            return max(self.down_until_ns - self.onset[1], 0), None
        return max(self.back[0] - self.onset[1], 0), max(self.back[1] - self.onset[0], 0)


def outage_of(run: Run, objective: dict[str, Any]) -> Outage | None:
    """Return the disruption of an objective's service; None when no fault took place."""
    if not run.faults:
        return None
    first_ns, until_ns = run.faults[0].at_ns, run.failback_ns
    name = get(objective, "measured_by", str, PLAN)
    sent, ended, reading = run.history.samples.of(name).by_sending()
    # What was in flight when failing back began may have been answered after that.
    window = [n for n in range(len(sent)) if ended[n] <= until_ns]
    read = [n for n in window if reading[n] != UNREADABLE]
    sent_, ended_ = [sent[n] for n in read], [ended[n] for n in read]
    bad_ = [reading[n] == BAD for n in read]
    start = next((n for n, bad in enumerate(bad_) if bad and ended_[n] >= first_ns), None)
    if start is None:
        return Outage(run.faults[-1])
    fault = run.faults[0]
    for later in run.faults[1:]:
        if fault.at_ns < later.at_ns <= ended_[start]:
            fault = later
    goods = [
        (s, e)
        for s, e, bad in zip(sent_[:start], ended_[:start], bad_, strict=False)
        if not bad and e <= sent_[start]
    ]
    every_ns, timeout_ns = run.probe(name)
    up_ns = _last_up_ns(goods, first_ns, every_ns * 3 // 2 + timeout_ns)
    lost_by_ns = min(
        e
        for s, e, bad in zip(sent_[start:], ended_[start:], bad_[start:], strict=True)
        if bad and s <= ended_[start]
    )
    found = _back(run, objective, (sent_[start:], ended_[start:], bad_[start:]), lost_by_ns, until_ns)
    found.fault, found.onset = fault, (max(up_ns, first_ns), lost_by_ns)
    to_ns = found.back[1] if found.back else ended_[-1]
    found.unreadable = sum(reading[n] == UNREADABLE and found.onset[0] <= sent[n] <= to_ns for n in window)
    return found


def _last_up_ns(goods: list[tuple[int, int]], first_ns: int, blind_ns: int) -> int:
    """Return when the service was surely up for the last time before the first bad sample."""
    up_ns, after_ns = 0, None
    for sent_ns, ended_ns in reversed(goods):
        if after_ns is None or after_ns - sent_ns > blind_ns:
            up_ns = sent_ns
        if sent_ns <= first_ns:
            return up_ns
        after_ns = ended_ns
    return up_ns if after_ns is not None and after_ns - first_ns <= blind_ns else 0


def _back(
    run: Run,
    objective: dict[str, Any],
    samples: tuple[list[int], list[int], list[bool]],
    down_ns: int,
    until_ns: int,
) -> Outage:
    sent, ended, bad = samples
    need = get(objective, "held_goods", int, PLAN)
    capacity_ppm = get(objective, "minimum_capacity_ppm", int, PLAN)
    if need < 1:
        raise Broken(f"plan.json: held_goods is {need}")
    phases = run.phase_ns("baseline"), run.phase_ns("running")
    levels = Levels(run.plan, run.history.samples, run.history.loads, phases)
    next_bad, last_row = _bads(bad, need)
    found = Outage(run.faults[-1], down_until_ns=sent[0])
    missed = unsure = False
    for n, is_bad in enumerate(bad):
        if is_bad:
            found.down_until_ns, missed, unsure = sent[n], False, False
        elif sent[n] >= down_ns and n + need <= next_bad[n]:
            held = levels.held(ended[n], until_ns, capacity_ppm)
            if held is None:
                unsure = True
            elif not held:
                found.down_until_ns, missed = sent[n], True
            elif last_row > n:
                found.relapsed = True
            else:
                found.back = found.down_until_ns, ended[n]
                return found
    found.unsure = unsure and not missed
    return found


def _bads(bad: list[bool], need: int) -> tuple[list[int], int]:
    """Return the place of the next bad sample from each on, and where the last row of `need` bads ends."""
    following, place = [0] * len(bad), len(bad)
    for n in range(len(bad) - 1, -1, -1):
        place = n if bad[n] else place
        following[n] = place
    row, last = 0, -1
    for n, is_bad in enumerate(bad):
        row = row + 1 if is_bad else 0
        last = n if row >= need else last
    return following, last


def unseen_ns(run: Run, objective: dict[str, Any]) -> int | None:
    """Return the longest disruption that could hide after the first fault; None without a good sample."""
    first_ns, until_ns = run.faults[0].at_ns, run.failback_ns
    sent, ended, reading = run.history.samples.of(get(objective, "measured_by", str, PLAN)).by_sending()
    longest: int | None = None
    since = first_ns
    for s, e, r in zip(sent, ended, reading, strict=True):
        if r != GOOD or e > until_ns:
            continue
        if s >= first_ns:
            longest = max(longest or 0, e - since)
        since = max(s, first_ns)
    if longest is None:
        return None
    last = max(
        e
        for c in run.history.samples.probes.values()
        for s, e in zip(c.sent, c.ended, strict=True)
        if s < until_ns
    )
    return max(longest, last - since)


def recovered_by(run: Run, found: Outage) -> str:
    """Return who brought the service back: plan, system, fault_removed, unclear, or nobody."""
    if found.onset is None or found.back is None:
        return "nobody"
    faults = {fault.step["id"] for fault in run.faults}
    targets = {step["id"]: step.get("target") for step in run.steps}
    answer = ""
    for record in run.history.all("UndoStarted"):
        step, why = get(record.data, "step", str, "UndoStarted"), get(record.data, "why", str, "UndoStarted")
        taken = why in ("halt", "ttl", "for", "end", "lost") or step in faults
        if not taken or not found.onset[0] <= record.at_ns <= found.back[1]:
            continue
        if why in ("halt", "lost") or targets.get(step) == found.fault.step.get("target"):
            return "fault_removed"
        if step in run.started and run.started[step] <= found.onset[1]:
            answer = "unclear"
    if answer:
        return answer
    for row in run.steps:
        acts = row.get("kind") == "failover" and row.get("segment") in ("fail-over", "come-up")
        if acts and found.onset[0] <= run.started.get(row["id"], -1) <= found.back[1]:
            return "plan"
    return "system"


def judge(run: Run, objective: dict[str, Any], found: Outage, interval: Interval, by: str) -> str:
    """Return the verdict on a disruption that was seen, `interval` being its RTA with the clocks' bounds."""
    rto_ns, (low_ns, high_ns) = get(objective, "rto_ns", int, PLAN), interval
    cut_short = run.is_interrupted or run.outcome == "crashed"
    if high_ns is None:
        if low_ns > rto_ns:
            return "fail"
        return "unknown" if cut_short or found.unsure else "fail"
    if by == "unclear":
        return "unknown"
    if by != get(run.plan, "recovery", str, PLAN):
        return "unknown" if cut_short else "fail"
    if found.relapsed:
        return "fail"
    if run.outcome == "crashed" or found.fault.took_effect is not True:
        return "unknown"
    if high_ns <= rto_ns:
        return "pass"
    return "fail" if low_ns > rto_ns else "unknown"


def coverage_ppm(run: Run, name: str) -> int:
    """Return the share of the run from the baseline on in which a probe was read."""
    begun_ns = run.phase_ns("baseline")
    if begun_ns is None:
        return 0
    column = run.history.samples.of(name)
    due = max((run.last_ns - begun_ns) // run.probe(name)[0], 1)
    got = sum(r != UNREADABLE and s >= begun_ns for s, r in zip(column.sent, column.reading, strict=True))
    return min(got * 1_000_000 // due, 1_000_000)


def segments(run: Run, found: Outage) -> dict[str, int]:
    """Return the parts of the RTA's upper end: detect, decide, fail over, come up. They sum to it."""
    if found.onset is None or found.back is None:
        return {}
    at_ns, end_ns = found.onset[0], found.back[1]
    ends: dict[str, int] = {}
    first_ns = end_ns
    for step in run.steps:
        segment, began_ns = step.get("segment"), run.started.get(step["id"])
        if segment is None or began_ns is None:
            continue
        if step["id"] in run.ended and began_ns < end_ns:
            ends[segment] = max(ends.get(segment, 0), run.ended[step["id"]].at_ns)
        if segment == "fail-over":
            first_ns = min(first_ns, began_ns)
    if "fail-over" not in ends:
        return {}
    parts = {}
    for name, mark_ns in (
        ("detect_ns", ends.get("detect", first_ns)), ("decide_ns", first_ns),
        ("fail_over_ns", ends["fail-over"]), ("come_up_ns", end_ns),
    ):  # fmt: skip
        stop_ns = min(max(mark_ns, at_ns), end_ns)
        parts[name], at_ns = stop_ns - at_ns, stop_ns
    return parts


def has_probe(run: Run, name: str) -> bool:
    """Tell whether the plan has a probe of that name."""
    return any(probe.get("name") == name for probe in rows(run.plan, "probes", PLAN))
