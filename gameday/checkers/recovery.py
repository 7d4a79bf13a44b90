"""Recovery time actual: the interval of a disruption, judged by its upper end.

How the interval comes about stands in `gameday.checkers.disruption`. Here it is held against the
objective, and it is said who brought the service back and what the time went into.
"""

from __future__ import annotations

from gameday.checkers.clocks import bound_between, widened
from gameday.checkers.disruption import Recovery, disruption
from gameday.checkers.findings import Finding, Interval, Verdict
from gameday.checkers.view import View, seconds
from gameday.history.events import Phase, Reading
from gameday.plan.model import NS, Objective, Probe, StepKind

METHOD = (
    "from the last good to the first bad sample, until the last bad to the first good one "
    "of the run that held"
)


def check_recovery(view: View, objective: Objective) -> Finding:
    """Return the finding on one objective's recovery time."""
    name = f"RTA {objective.service}"
    limit = seconds(objective.rto_ns)
    found = disruption(view, objective)
    if found is None:
        return _finding(name, Verdict.NOT_TESTED, "nothing was injected", limit, "no fault took place")
    probe = next(p for p in view.plan.probes if p.name == objective.measured_by)
    if found.onset is None:
        return _undisturbed(view, objective, found, probe, name)
    interval = found.interval
    assert interval is not None
    by = recovered_by(view, found)
    end_ns = found.recovered.hi_ns if found.recovered else found.down_until_ns
    bound_ns = bound_between(view, found.onset.lo_ns, end_ns)
    interval = widened(interval, bound_ns) or interval
    verdict, why = _judge(view, objective, found, interval, by)
    if bound_ns is None:
        verdict, why = Verdict.UNKNOWN, "two clocks measured it, and they were not synchronised"
    numbers: list[tuple[str, int | str | None]] = [
        ("onset_min_ns", found.onset.lo_ns),
        ("onset_max_ns", found.onset.hi_ns),
        ("recovered_min_ns", found.recovered.lo_ns if found.recovered else None),
        ("recovered_max_ns", found.recovered.hi_ns if found.recovered else None),
        ("width_allowed_ns", 2 * (probe.every_ns + probe.timeout_ns + (bound_ns or 0))),
        ("clock_bound_ns", bound_ns),
        ("unreadable_samples", found.unreadable),
        ("recovered_by", by),
        ("coverage_ppm", coverage_ppm(view, probe)),
        *segments(view, found),
    ]
    if interval.max_ns is None:
        observed = f"at least {seconds(interval.min_ns)}, not recovered when observation ended"
    else:
        observed = f"{interval.min_ns / NS:.2f} to {interval.max_ns / NS:.2f} s"
        if interval.max_ns - interval.min_ns > 2 * (probe.every_ns + probe.timeout_ns + (bound_ns or 0)):
            numbers.append(
                ("wide_because", f"{found.unreadable} unreadable samples, gaps or slow answers at its ends")
            )
    return Finding(name, verdict, observed, limit, "s", why, (found.fault.seq,), interval, tuple(numbers))


def _undisturbed(view: View, objective: Objective, found: Recovery, probe: Probe, name: str) -> Finding:
    """Nobody noticed anything, which may be the best result of all, if the fault was really there."""
    limit = seconds(objective.rto_ns)
    if view.outcome == "crashed":
        why = "no disruption was seen before observation was cut short"
        events, interval = (found.fault.seq,), Interval(0, None)
        return Finding(name, Verdict.NOT_TESTED, "not bounded", limit, "s", why, events, interval)
    unseen_ns = longest_unseen_ns(view, objective)
    if unseen_ns is None:
        why = "the probe was not read after the fault, and unmeasured time is not good time"
        return _finding(name, Verdict.UNKNOWN, "not measured", limit, why)
    bound_ns = max(probe.every_ns + probe.timeout_ns, unseen_ns)
    interval = Interval(0, bound_ns)
    observed = f"at most {seconds(bound_ns)}"
    if any(injection.took_effect is not True for injection in view.injections):
        why = "no disruption was seen, but no read-back shows that the fault took effect"
        return _finding(name, Verdict.UNKNOWN, observed, limit, why)
    verdict = Verdict.PASS if bound_ns <= objective.rto_ns else Verdict.UNKNOWN
    if view.outcome != "completed":
        verdict = Verdict.NOT_TESTED
    why = "no disruption was seen: any there was is shorter than a period and a timeout of the probe"
    if bound_ns > probe.every_ns + probe.timeout_ns:
        why = "no disruption was seen: any there was fits into the longest stretch without a good sample"
    numbers: tuple[tuple[str, int | str | None], ...] = (
        ("longest_unseen_ns", unseen_ns),
        ("coverage_ppm", coverage_ppm(view, probe)),
    )
    return Finding(name, verdict, observed, limit, "s", why, (found.fault.seq,), interval, numbers)


def longest_unseen_ns(view: View, objective: Objective) -> int | None:
    """Return the longest disruption that could hide between two good samples after the first fault.

    It may have begun as soon as one was sent and ended as late as the next was answered, or have
    lasted to the end of the observation. None when no good sample was sent after the fault.
    """
    from_ns, until_ns = view.injections[0].commanded_ns, view.failback_ns
    mine = view.samples.get(objective.measured_by, ())
    good = [(s.sent_ns, s.ended_ns) for s in mine if s.reading is Reading.GOOD and s.ended_ns <= until_ns]
    first = next((place for place, (sent_ns, _) in enumerate(good) if sent_ns >= from_ns), None)
    if first is None:
        return None
    since = [max(sent_ns, from_ns) for sent_ns, _ in good[max(first - 1, 0) :]]
    again = [ended_ns for _, ended_ns in good[first:]]
    if not first:
        since.insert(0, from_ns)
    sampled_until_ns = max(s.ended_ns for s in view.trace.samples if s.sent_ns < until_ns)
    return max(end - start for start, end in zip(since, [*again, sampled_until_ns], strict=True))


def _finding(name: str, verdict: Verdict, observed: str, limit: str, why: str) -> Finding:
    return Finding(name, verdict, observed, limit, "s", why)


def _removed(view: View, found: Recovery) -> str:
    """Tell whether taking a fault away may have ended the outage: `fault_removed`, `unclear` or nothing.

    It is clear when the fault that was commanded last before the outage was taken away, or when a halt
    took everything away. Where it was another one that had been there before, nobody can tell what
    helped. What was put in place after the service was lost did not take it away.
    """
    assert found.onset is not None
    assert found.recovered is not None
    faults = {injection.step.id for injection in view.injections}
    targets = {step.id: step.target for step in view.plan.steps}
    verdict = ""
    for at_ns, _, event in view.undo_starts:
        began = view.started.get(event.step)
        is_removal = event.why in ("halt", "ttl", "for", "end", "lost") or event.step in faults
        if not is_removal or not found.onset.lo_ns <= at_ns <= found.recovered.hi_ns:
            continue
        if event.why in ("halt", "lost") or targets[event.step] == found.fault.step.target:
            return "fault_removed"
        if began is not None and began[0] <= found.onset.hi_ns:
            verdict = "unclear"
    return verdict


def recovered_by(view: View, found: Recovery) -> str:
    """Return who brought the service back: plan, system, fault_removed, unclear, or nobody."""
    if found.onset is None or found.recovered is None:
        return "nobody"
    removed = _removed(view, found)
    if removed:
        return removed
    for step in view.plan.steps:
        started = view.started.get(step.id)
        acts = step.kind is StepKind.FAILOVER and step.segment in ("fail-over", "come-up")
        if acts and started is not None and found.onset.lo_ns <= started[0] <= found.recovered.hi_ns:
            return "plan"
    return "system"


def _judge(  # noqa: C901 - the verdict table, a row each
    view: View, objective: Objective, found: Recovery, interval: Interval, by: str
) -> tuple[Verdict, str]:
    if interval.max_ns is None:
        if interval.min_ns > objective.rto_ns:
            return Verdict.FAIL, "the service had not recovered when observation ended, after its objective"
        if view.is_interrupted or view.outcome == "crashed":
            return Verdict.UNKNOWN, "observation was cut short before the service recovered"
        if found.is_unsure:
            return Verdict.UNKNOWN, "it answered again, but was not observed long enough to show that it held"
        return Verdict.FAIL, "the service had not recovered when observation ended"
    if by == "unclear":
        return Verdict.UNKNOWN, "another fault was taken away meanwhile: nobody can tell what brought it back"
    if by != view.plan.recovery:
        if view.is_interrupted or view.outcome == "crashed":
            return (
                Verdict.UNKNOWN,
                "the run was cut short; the service came back when the fault was taken away",
            )
        words = {
            "fault_removed": "because the fault was taken away",
            "system": "by itself",
            "plan": "by the plan",
        }
        return Verdict.FAIL, f"the service came back {words.get(by, by)}; declared was `{view.plan.recovery}`"
    if found.relapsed:
        return Verdict.FAIL, "the service came back and failed again: a relapse voids the first recovery"
    if view.outcome == "crashed":
        return Verdict.UNKNOWN, "the runner died during the drill"
    if found.fault.took_effect is not True:
        return Verdict.UNKNOWN, "no read-back shows that the fault took effect"
    if interval.max_ns <= objective.rto_ns:
        return Verdict.PASS, f"measured {METHOD}"
    if interval.min_ns > objective.rto_ns:
        return Verdict.FAIL, "even the lower end is above the objective"
    return Verdict.UNKNOWN, "the objective lies inside the interval: sample faster to decide"


def segments(view: View, found: Recovery) -> tuple[tuple[str, int | str | None], ...]:
    """Return the parts of the RTA's upper end: detect, decide, fail over, come up. They sum to it."""
    if found.onset is None or found.recovered is None:
        return ()
    at, end = found.onset.lo_ns, found.recovered.hi_ns
    ends: dict[str, int] = {}
    first_failover = end
    for step in view.plan.steps:
        started, ended = view.started.get(step.id), view.ended.get(step.id)
        if step.segment is None or started is None:
            continue
        if ended is not None and started[0] < end:
            ends[step.segment] = max(ends.get(step.segment, 0), ended[0])
        if step.segment == "fail-over":
            first_failover = min(first_failover, started[0])
    if "fail-over" not in ends:
        return ()
    marks = (
        ("detect_ns", ends.get("detect", first_failover)),
        ("decide_ns", first_failover),
        ("fail_over_ns", ends["fail-over"]),
        ("come_up_ns", end),
    )
    parts = []
    for name, mark in marks:
        stop = min(max(mark, at), end)
        parts.append((name, stop - at))
        at = stop
    return tuple(parts)


def coverage_ppm(view: View, probe: Probe) -> int:
    """Return the share of the run, from baseline to its end, in which the probe was read."""
    begun_ns = view.phase_at(Phase.BASELINE)
    if begun_ns is None:
        return 0
    due = max((view.last_ns - begun_ns) // probe.every_ns, 1)
    mine = view.samples.get(probe.name, ())
    got = sum(s.reading is not Reading.UNREADABLE and s.sent_ns >= begun_ns for s in mine)
    return min(got * 1_000_000 // due, 1_000_000)
