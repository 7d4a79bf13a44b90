"""Stop conditions that are allowed but will disappoint: those that never trip, and those that trip at once.

A limit that cannot be reached protects nobody, and a plan that holds one looks safer than it is. What
is said here is arithmetic over the plan alone: a drill lasts at most as long as its blast radius
allows, and at most as long as its steps may take.
"""

from __future__ import annotations

from collections.abc import Iterator

from gameday.plan.lasting import steps_ns
from gameday.plan.limitwords import time_words
from gameday.plan.loadwords import peak_per_1000s
from gameday.plan.model import PPM, LimitKind, Plan, Probe, Slo, StopCondition

SHARE_SAMPLES_MIN = 10


def limit_warnings(plan: Plan) -> list[str]:
    """Return what to mind about the stop conditions."""
    longest_ns = _longest_ns(plan)
    found = []
    for condition in plan.stop_conditions:
        never = next(_never(plan, condition, longest_ns), None)
        if never:
            found.append(f"stop condition {condition.name} can never trip: {never}")
        found += [f"stop condition {condition.name} {words}" for words in _too_soon(plan, condition)]
    return found


def _longest_ns(plan: Plan) -> int:
    """Return the longest that the steps can take, within what the blast radius allows."""
    radius = plan.blast_radius
    return steps_ns(plan) if radius is None else min(steps_ns(plan), radius.duration_ns)


def _never(plan: Plan, condition: StopCondition, longest_ns: int) -> Iterator[str]:
    lasts = f"the drill lasts at most {_about(longest_ns)}"
    for name, wait_ns in (("for", condition.for_ns), ("silence", condition.silence_ns or 0)):
        if wait_ns >= longest_ns:
            yield f"`{name}` is {time_words(wait_ns)}, {lasts}"
    if condition.duration_ns is not None and condition.duration_ns >= longest_ns:
        yield lasts
    if condition.bad_above_ppm == PPM:
        yield "no share is above 100 %"
    if condition.below_ppm == 0:
        yield "no share is below 0 %"
    probe = next((probe for probe in plan.probes if probe.name == condition.probe), None)
    if probe is not None:
        yield from _too_few(condition, probe, longest_ns, lasts)
    slo = next((slo for slo in plan.slos if slo.name == condition.slo), None)
    if slo is not None:
        yield from _too_rich(condition, slo, longest_ns)
    yield from _too_little_load(plan, condition, longest_ns)


def _too_few(condition: StopCondition, probe: Probe, longest_ns: int, lasts: str) -> Iterator[str]:
    """A row or a count that the probe's own rate cannot reach."""
    rate = f"probe {probe.name} is read every {time_words(probe.every_ns)}"
    if condition.in_a_row is not None and (condition.in_a_row - 1) * probe.every_ns >= longest_ns:
        yield f"{rate}, and {lasts}"
    if condition.count is not None and (condition.count - 1) * probe.every_ns > condition.within_ns:
        yield f"{rate}, so {time_words(condition.within_ns)} hold fewer than {condition.count} samples"


def _too_rich(condition: StopCondition, slo: Slo, longest_ns: int) -> Iterator[str]:
    """A burn rate or a budget that a complete outage would not reach."""
    budget_ppm = max(PPM - slo.objective_ppm, 1)
    if condition.burn_above_milli is not None and condition.burn_above_milli * budget_ppm >= 1000 * PPM:
        yield f"an SLO of {slo.objective_ppm / 10_000:g} % burns at most {PPM / budget_ppm:g}x"
    if condition.budget_above_ppm is not None:
        most_ppm = longest_ns * PPM * PPM // (condition.budget_ns * budget_ppm)
        if condition.budget_above_ppm >= most_ppm:
            yield f"an outage of the whole drill would spend {most_ppm / 10_000:.3g} % of that budget"


def _too_little_load(plan: Plan, condition: StopCondition, longest_ns: int) -> Iterator[str]:
    if condition.kind is LimitKind.FAILED and all(peak_per_1000s(load) for load in plan.load):
        rates = {load.name: peak_per_1000s(load) or 0 for load in plan.load}
        for step in plan.steps:
            if step.load is not None and step.load.rate_per_1000s:
                rates[step.load.load] = max(rates.get(step.load.load, 0), step.load.rate_per_1000s)
        span_ns = condition.within_ns or longest_ns
        most = sum(rates.values()) * span_ns // 10**12
        if (condition.failed_above or 0) >= most:
            yield f"the load makes at most {most} requests in {_about(span_ns)}"
    if (
        condition.kind is LimitKind.ACHIEVED
        and plan.load
        and not any(peak_per_1000s(load) for load in plan.load)
    ):
        yield "users are a closed loop, in which every request starts on time"


def _about(duration_ns: int) -> str:
    """Return a duration in whole seconds where it has any."""
    return time_words(duration_ns // 10**9 * 10**9 or duration_ns)


def _too_soon(plan: Plan, condition: StopCondition) -> Iterator[str]:
    probes = [
        probe
        for probe in plan.probes
        if condition.probe == probe.name or (condition.probe is None and not probe.of_condition)
    ]
    if condition.kind is LimitKind.SILENCE:
        for probe in probes:
            gap_ns = probe.every_ns + probe.timeout_ns
            if (condition.silence_ns or 0) <= gap_ns:
                yield f"trips by itself: samples of {probe.name} may be {time_words(gap_ns)} apart"
    own = next((probe for probe in probes if probe.name == condition.probe), None)
    if own is None:
        return
    if condition.fresh_ns is not None and condition.fresh_ns <= own.every_ns + own.timeout_ns:
        yield f"trips by itself: `silence` is {time_words(condition.fresh_ns)}, its probe is slower than that"
    if condition.kind is LimitKind.SHARE and condition.within_ns < SHARE_SAMPLES_MIN * own.every_ns:
        count = max(condition.within_ns // own.every_ns, 1)
        yield f"is a share of {count} samples, so each is worth {100 / count:.0f} %: widen `within`"
