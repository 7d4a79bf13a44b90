"""A disruption from the samples of one probe: when service was lost, and when it came back and held.

A sample says only that the service was up or down at some instant between its sending and its end.

    onset    in [max(sent of the last good before, first fault command), end of the first bad]
    recovery in [sent of the last bad, end of the first good of the run that then held]
    RTA      in [recovery.lo - onset.hi, recovery.hi - onset.lo]

"The last good before" goes back beyond a blind stretch: where a disruption longer than one and a half
periods and a timeout of the probe could hide between two good samples after the fault and before the
first bad one (from the sending of one to the end of the next), the service may have been lost there
already. What is shorter than that no probe of this period, late by half of it, can promise to see.

Held: `held_goods` good samples in a row, and every steady-state SLO met over the stabilisation
window, at no less than the minimum capacity under load; of the samples due in that window at least
half were read. A relapse, which is `held_goods` bad samples in a row afterwards, voids it.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from itertools import islice, takewhile

from gameday.checkers.findings import Interval
from gameday.checkers.view import Injection, View
from gameday.checkers.window import Levels
from gameday.history.events import Reading, Sample
from gameday.plan.model import Objective


@dataclass(frozen=True, slots=True)
class Span:
    """An instant known to lie in [lo_ns, hi_ns]."""

    lo_ns: int
    hi_ns: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """What the samples of one probe say about one disruption."""

    onset: Span | None
    recovered: Span | None
    fault: Injection
    relapsed: bool = False
    unreadable: int = 0
    down_until_ns: int = 0  # Where it had not recovered: the last instant at which that is known.
    is_unsure: bool = False  # It answered again, and nobody measured whether that held.
    capacity_ppm: int | None = None  # Of the baseline's good throughput, in the window that held.

    @property
    def interval(self) -> Interval | None:
        """The RTA; `max_ns` None when it had not recovered when observation ended."""
        if self.onset is None:
            return None
        if self.recovered is None:
            return Interval(max(self.down_until_ns - self.onset.hi_ns, 0), None)
        low = max(self.recovered.lo_ns - self.onset.hi_ns, 0)
        return Interval(low, max(self.recovered.hi_ns - self.onset.lo_ns, 0))


def disruption(view: View, objective: Objective) -> Recovery | None:
    """Return the disruption of an objective's service; None when nothing was injected."""
    if not view.injections:
        return None
    if objective not in view.memo:
        view.memo[objective] = _disruption(view, objective)
    found = view.memo[objective]
    assert isinstance(found, Recovery)
    return found


def _disruption(view: View, objective: Objective) -> Recovery:
    first_fault_ns = view.injections[0].commanded_ns
    samples = view.samples.get(objective.measured_by, ())
    until_ns = view.failback_ns
    # What was in flight when failing back began may have been answered after that.
    window = [s for s in samples if s.ended_ns <= until_ns]
    readable = [s for s in window if s.reading is not Reading.UNREADABLE]
    start = next(
        (n for n, s in enumerate(readable) if s.reading is Reading.BAD and s.ended_ns >= first_fault_ns),
        None,
    )
    if start is None:
        return Recovery(None, None, view.injections[-1])
    bad = readable[start]
    fault = max((i for i in view.injections if i.commanded_ns <= bad.ended_ns), key=lambda i: i.commanded_ns)
    # Not the last fault's command: an earlier one may have been the one that hurt.
    up_ns = _last_up_ns(readable[:start], bad.sent_ns, first_fault_ns, blind_ns=_blind_ns(view, objective))
    onset = Span(max(up_ns, first_fault_ns), _first_end_ns(readable, start))
    found = _recovered(view, objective, readable[start:], onset.hi_ns, until_ns)
    found = replace(found, onset=onset, fault=fault)
    hi_ns = found.recovered.hi_ns if found.recovered else readable[-1].ended_ns
    unreadable = sum(s.reading is Reading.UNREADABLE and onset.lo_ns <= s.sent_ns <= hi_ns for s in window)
    return replace(found, unreadable=unreadable)


def _blind_ns(view: View, objective: Objective) -> int:
    """Return the longest disruption that the objective's probe may fail to see, of those it promises."""
    probe = next(p for p in view.plan.probes if p.name == objective.measured_by)
    return probe.every_ns * 3 // 2 + probe.timeout_ns


def _last_up_ns(samples: list[Sample], first_bad_ns: int, fault_ns: int, *, blind_ns: int) -> int:
    """Return the last instant at which the service was surely up yet, of the samples before the first bad.

    Several samples may be in flight at once. A good one shows the service up before the bad one's
    instant only if it had ended before that was sent; one that overlaps may have been answered later.
    Between two good ones that are more than `blind_ns` apart it may have been down, unseen.
    """
    up_ns, after = 0, None
    for sample in reversed(samples):
        if sample.reading is not Reading.GOOD or sample.ended_ns > first_bad_ns:
            continue
        if after is None or after.ended_ns - sample.sent_ns > blind_ns:
            up_ns = sample.sent_ns
        if sample.sent_ns <= fault_ns:
            return up_ns
        after = sample
    # No good sample since before the fault: it may have been lost as soon as that was commanded.
    return up_ns if after is not None and after.ended_ns - fault_ns <= blind_ns else 0


def _first_end_ns(samples: list[Sample], start: int) -> int:
    """Return when the first bad sample ended: of those in flight beside it, the quickest."""
    end_ns = samples[start].ended_ns
    beside = takewhile(lambda s: s.sent_ns <= end_ns, islice(samples, start, None))
    return min(s.ended_ns for s in beside if s.reading is Reading.BAD)


def _recovered(
    view: View, objective: Objective, samples: list[Sample], down_ns: int, until_ns: int
) -> Recovery:
    """Return what is known of the recovery, without its onset; a relapse voids an earlier one.

    A good sample that was sent before `down_ns`, when the service was surely down, may have been
    answered before it went down: it shows no recovery.
    """
    levels = Levels(view, objective)
    need = objective.held_goods
    voided = False
    bads_after = _last_bad_runs(samples, need)
    next_bads = _next_bads(samples)
    last_bad_ns = samples[0].sent_ns
    missed = unsure = False
    for number, sample in enumerate(samples):
        if sample.reading is Reading.BAD:
            last_bad_ns = sample.sent_ns
            missed = unsure = False
            continue
        if sample.sent_ns < down_ns or number + need > min(next_bads[number], len(samples)):
            continue
        held = levels.held_from(sample.ended_ns, until_ns)
        if not held:
            # It answered, but not yet as well as it must; where that was not measured, nobody can tell.
            last_bad_ns = sample.sent_ns if held is False else last_bad_ns
            missed, unsure = missed or held is False, unsure or held is None
            continue
        if bads_after > number:
            voided = True
            continue
        recovered = Span(last_bad_ns, sample.ended_ns)
        capacity_ppm = levels.capacity_ppm(sample.ended_ns)
        return Recovery(None, recovered, view.injections[-1], voided, capacity_ppm=capacity_ppm)
    return Recovery(
        None, None, view.injections[-1], voided, down_until_ns=last_bad_ns, is_unsure=unsure and not missed
    )


def _next_bads(samples: list[Sample]) -> array[int]:
    """Return for each sample the place of the first bad one from it on, or one beyond the last."""
    found, place = array("q", bytes(8 * len(samples))), len(samples)
    for number in range(len(samples) - 1, -1, -1):
        place = number if samples[number].reading is Reading.BAD else place
        found[number] = place
    return found


def _last_bad_runs(samples: list[Sample], need: int) -> int:
    """Return where the last run of at least `need` bad samples ends; -1 when there is none."""
    end, row = -1, 0
    for number, sample in enumerate(samples):
        row = row + 1 if sample.reading is Reading.BAD else 0
        if row >= need:
            end = number
    return end
