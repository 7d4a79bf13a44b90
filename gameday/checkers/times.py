"""What the time around a disruption went into: noticed, acknowledged, mitigated; checked; gone back.

    TTD   from the onset to the first `detected` mark, or to the first alert that went red after it
    TTA   from then to the `acknowledged` mark
    TTM   from the onset to the `mitigated` mark; without one, to that alert's going green
    WRT   from the recovery to the end of the last step of segment `validate` before failing back
    MTPD  from the onset to the end of the WRT, or to the recovery where nothing is validated
    dwell     from the recovery to the beginning of the first step of segment `fail-back`
    fail-back from there to the end of the last such step, and the service's own gap in between

An alert is a sampled thing like any other: it went red at some instant from the sending of its last
green sample to the end of its first red one. One drill has times; a mean needs many drills. What the
plan sets no limit for is measured, not judged: it has a finding only where it was measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from gameday.checkers.clocks import bound_between, widened
from gameday.checkers.disruption import Recovery, Span, disruption
from gameday.checkers.findings import Finding, Interval, Verdict
from gameday.checkers.view import View, seconds
from gameday.history.events import Effect, Noted, Reading, Sample
from gameday.plan.model import NS, Objective, ProbeKind, Segment, Step

Numbers = tuple[tuple[str, int | str | None], ...]
NO_LIMIT = "measured; the plan sets no limit"


def check_times(view: View, objective: Objective) -> tuple[Finding, ...]:
    """Return the findings on everything timed beside RTA and RPA, for one objective."""
    found = disruption(view, objective)
    if found is None:
        return ()
    findings = [*_noticed(view, objective, found)]
    if objective.mtpd_ns is not None:
        findings.append(_tolerable(view, objective, found, objective.mtpd_ns))
    if found.recovered is not None:
        findings += _afterwards(view, objective, found.recovered)
        findings += _capacity(objective, found)
    return tuple(findings)


def between(view: View, start: Span, end: Span) -> Interval | None:
    """Return the duration from one uncertain instant to another; None when two clocks leave it unknown."""
    plain = Interval(max(end.lo_ns - start.hi_ns, 0), max(end.hi_ns - start.lo_ns, 0))
    return widened(plain, bound_between(view, start.lo_ns, end.hi_ns))


def _words(interval: Interval) -> str:
    assert interval.max_ns is not None
    if interval.max_ns - interval.min_ns < NS // 100:
        return f"{interval.max_ns / NS:.2f} s"
    return f"{interval.min_ns / NS:.2f} to {interval.max_ns / NS:.2f} s"


def _timed(
    view: View,
    name: str,
    start: Span,
    end: Span,
    how: str,
    events: tuple[int, ...] = (),
    numbers: Numbers = (),
) -> list[Finding]:
    interval = between(view, start, end)
    if interval is None:
        return []
    why = f"{how}. {NO_LIMIT}"
    return [Finding(name, Verdict.PASS, _words(interval), "none set", "s", why, events, interval, numbers)]


# --- noticed ---------------------------------------------------------------------------------


def _noticed(view: View, objective: Objective, found: Recovery) -> Iterator[Finding]:
    """TTD, TTA and TTM from marks and from alerts."""
    onset = found.onset
    if onset is None:
        return
    marks = _marks(view, onset.lo_ns)
    alert = _first_alert(view, onset)
    seen: list[tuple[Span, str, tuple[int, ...]]] = [
        (Span(at, at), f"marked as detected by {by}", (seq,)) for at, by, seq in marks.get("detected", ())
    ]
    if alert is not None:
        seen.append((alert[1], f"alert probe {alert[0]} went red", ()))
    detected = min(seen, key=lambda one: one[0].hi_ns, default=None)
    if detected is not None:
        yield from _timed(view, f"TTD {objective.service}", onset, *detected)
    acknowledged = next(iter(marks.get("acknowledged", ())), None)
    if acknowledged is not None and detected is not None and acknowledged[0] >= detected[0].lo_ns:
        at_ns, by, seq = acknowledged
        how = f"marked as acknowledged by {by}, from the detection"
        yield from _timed(view, f"TTA {objective.service}", detected[0], Span(at_ns, at_ns), how, (seq,))
    mitigated = next(iter(marks.get("mitigated", ())), None)
    if mitigated is not None:
        at_ns, by, seq = mitigated
        how = f"marked as mitigated by {by}"
        yield from _timed(view, f"TTM {objective.service}", onset, Span(at_ns, at_ns), how, (seq,))
    elif alert is not None and alert[2] is not None:
        how = f"alert probe {alert[0]} went green again"
        yield from _timed(view, f"TTM {objective.service}", onset, alert[2], how)


def _marks(view: View, from_ns: int) -> dict[str, list[tuple[int, str, int]]]:
    """Return the marks people set since an instant, as (when, by whom, record), in order."""
    found: dict[str, list[tuple[int, str, int]]] = {}
    for record in view.trace.records:
        event = record.event
        if isinstance(event, Noted) and event.mark and record.at_ns >= from_ns:
            found.setdefault(event.mark, []).append((record.at_ns, event.by, record.seq))
    return found


def _first_alert(view: View, onset: Span) -> tuple[str, Span, Span | None] | None:
    """Return the alert that went red first after the onset: its probe, when, and when it went green."""
    found = []
    for probe in view.plan.probes:
        is_alert = probe.kind is ProbeKind.ALERTMANAGER
        is_alert = is_alert or (probe.kind is ProbeKind.PROMETHEUS and '"alert"' in probe.spec)
        if is_alert:
            turn = _turns(view.samples.get(probe.name, ()), onset)
            if turn is not None:
                found.append((probe.name, *turn))
    return min(found, key=lambda one: one[1].hi_ns, default=None)


def _turns(samples: tuple[Sample, ...], onset: Span) -> tuple[Span, Span | None] | None:
    """Return when an alert went red, of those times after the onset, and when it was green again after.

    An alert that was red before the onset detects nothing until it has been green.
    """
    green_ns: int | None = None
    red: Span | None = None
    last_red_ns = 0
    for sample in samples:
        if sample.reading is Reading.UNREADABLE:
            continue
        if sample.reading is Reading.GOOD:
            if red is not None:
                return red, Span(last_red_ns, sample.ended_ns)
            green_ns = sample.sent_ns
        else:
            last_red_ns = sample.sent_ns
            if red is None and green_ns is not None and sample.ended_ns >= onset.lo_ns:
                red = Span(max(green_ns, onset.lo_ns), sample.ended_ns)
            green_ns = None
    return None if red is None else (red, None)


# --- afterwards ------------------------------------------------------------------------------


def _run(view: View, segment: Segment) -> tuple[list[Step], int, int] | None:
    """Return the steps of a segment, when the first began and the last ended; None if not all have.

    What is validated after failing back is no work on the recovered side.
    """
    steps = [step for step in view.plan.steps if step.segment is segment]
    if segment is Segment.VALIDATE:
        before = takewhile(lambda step: step.segment is not Segment.FAIL_BACK, view.plan.steps)
        steps = [step for step in before if step.segment is segment]
    if not steps or any(step.id not in view.started or step.id not in view.ended for step in steps):
        return None
    begin = min(view.started[step.id][0] for step in steps)
    return steps, begin, max(view.ended[step.id][0] for step in steps)


def _afterwards(view: View, objective: Objective, recovered: Span) -> Iterator[Finding]:
    """WRT, dwell and fail-back, each on its own."""
    checked = _run(view, Segment.VALIDATE)
    if checked is not None:
        end = Span(checked[2], checked[2])
        how = "from the recovery to the end of the last step that validates or reconciles"
        yield from _timed(view, f"WRT {objective.service}", recovered, end, how)
    back = _run(view, Segment.FAIL_BACK)
    if back is None:
        return
    steps, begin, end_ns = back
    how = "on the recovered side, from the recovery to the beginning of failing back"
    yield from _timed(view, f"dwell {objective.service}", recovered, Span(begin, begin), how)
    happened = all(view.ended[step.id][1].effect is Effect.HAPPENED for step in steps)
    if happened:
        how = "from the first to the last step of failing back"
        span = Span(begin, begin), Span(end_ns, end_ns)
        numbers = _gap(view.samples.get(objective.measured_by, ()), begin)
        events = tuple(view.started[step.id][1] for step in steps)
        yield from _timed(view, f"fail-back {objective.service}", *span, how, events, numbers)


def _gap(samples: tuple[Sample, ...], from_ns: int) -> Numbers:
    """Return how long the service was out while failing back, by its own probe."""
    readable = [s for s in samples if s.ended_ns >= from_ns and s.reading is not Reading.UNREADABLE]
    bad = [n for n, s in enumerate(readable) if s.reading is Reading.BAD]
    if not bad:
        return (("out_of_service_max_ns", 0),)
    first, last = readable[bad[0]], readable[bad[-1]]
    before = readable[bad[0] - 1].sent_ns if bad[0] else from_ns
    least = ("out_of_service_min_ns", max(last.sent_ns - first.ended_ns, 0))
    if bad[-1] + 1 == len(readable):
        return (least, ("out_of_service_max_ns", None))
    return (least, ("out_of_service_max_ns", readable[bad[-1] + 1].ended_ns - max(before, from_ns)))


def _capacity(objective: Objective, found: Recovery) -> Iterator[Finding]:
    """Return how much of the baseline's good throughput there was in the window that held."""
    if found.capacity_ppm is None:
        return
    needed = f"{objective.minimum_capacity_ppm / 10_000:g}"
    why = "good throughput over the window that held, against that of the baseline; part of what held means"
    numbers: Numbers = (("capacity_ppm", found.capacity_ppm),)
    name, observed = f"minimum capacity {objective.service}", f"{found.capacity_ppm / 10_000:.1f}"
    yield Finding(name, Verdict.PASS, observed, needed, "%", why, (), None, numbers)


# --- the limit of what is tolerable ----------------------------------------------------------


def _tolerable(view: View, objective: Objective, found: Recovery, mtpd_ns: int) -> Finding:
    """Judge the whole disruption, validation included, by its maximum tolerable period."""
    name, limit = f"MTPD {objective.service}", seconds(mtpd_ns)
    if found.onset is None:
        why = "no disruption was seen"
        return Finding(name, Verdict.PASS, "no disruption", limit, "s", why, (found.fault.seq,))
    plain = found.interval
    assert plain is not None
    checked = _run(view, Segment.VALIDATE)
    if found.recovered is not None:
        end = found.recovered
        if checked is not None and checked[2] > end.lo_ns:
            end = Span(checked[2], max(checked[2], end.hi_ns))
        total = between(view, found.onset, end)
        if total is None:
            why = "two clocks measured it, and they were not synchronised"
            return Finding(name, Verdict.UNKNOWN, "not measured", limit, "s", why, (found.fault.seq,))
        plain = total
    if plain.max_ns is None:
        observed = f"at least {seconds(plain.min_ns)}"
        verdict = Verdict.FAIL if plain.min_ns > mtpd_ns else Verdict.UNKNOWN
        why = "the service had not recovered when observation ended"
    else:
        observed, why = (
            _words(plain),
            "from the onset until service was back, and validated where that is planned",
        )
        verdict = Verdict.PASS if plain.max_ns <= mtpd_ns else Verdict.UNKNOWN
        verdict = Verdict.FAIL if plain.min_ns > mtpd_ns else verdict
    return Finding(name, verdict, observed, limit, "s", why, (found.fault.seq,), plain)
