"""A capacity sign-off in words: what is tried, how long it takes, and what GO would mean."""

from __future__ import annotations

from gameday.plan.capacity import DAY_NS, Capacity
from gameday.plan.lasting import longest_ns
from gameday.plan.model import Plan, Slo, StepKind
from gameday.plan.units import as_text

_INDENT = "  "


def capacity_words(plan: Plan) -> list[str]:
    """Return the lines that tell what a plan signs off; none where it is no sign-off."""
    found = plan.capacity
    if found is None:
        return []
    tested = rate(found.tested_per_1000s)
    lasts = f"{as_text(found.duration_ns)} to {as_text(found.duration_max_ns)}, until it is decided"
    warm_up = f"after {as_text(found.warm_up_ns)} of warm-up that are not counted"
    peak = f"forecast peak {rate(found.forecast.peak_per_1000s)} ({found.forecast.source})"
    lines = [
        "What would be signed",
        f"{_INDENT}{peak}, with {found.headroom_ppm / 10_000:g} % headroom: {tested} of load {found.load}",
        f"{_INDENT}held for {lasts}, {warm_up}; confidence {found.confidence_ppm / 10_000:g} %",
    ]
    lines += [f"{_INDENT}{slo_words(slo)}" for slo in plan.slos if slo.name in found.slos]
    lines.append(f"{_INDENT}{_fault(plan, found)}")
    lines.append(f"{_INDENT}artefact: {_artefact(found)}")
    lines += _search(found)
    lines.append(f"{_INDENT}all of it takes {as_text(_round(longest_ns(plan)))} at most")
    where = "with N and with N-1" if found.fault else "with N"
    lines.append(
        f"{_INDENT}GO would mean: this artefact, in {plan.target.environment}, holds {tested} {where} within "
        f"these SLOs, wrong at most {(1_000_000 - found.confidence_ppm) / 10_000:g} times in 100; "
        f"valid for {found.expires_ns / DAY_NS:g} days, or until the artefact changes"
    )
    return [*lines, ""]


def rate(per_1000s: int) -> str:
    """Return a rate as a person writes it."""
    return f"{per_1000s / 1000:g}/s"


def slo_words(slo: Slo) -> str:
    """Return in words what one SLO asks of the requests of a trial."""
    if slo.below_ns is not None:
        below = as_text(slo.below_ns)
        return f"SLO {slo.name}: {slo.load_stat} below {below}, {slo.objective_ppm / 10_000:g} % answered"
    return f"SLO {slo.name}: {slo.objective_ppm / 10_000:g} % of requests answered"


def _fault(plan: Plan, found: Capacity) -> str:
    fault = next((step for step in plan.steps if step.id == found.fault), None)
    if fault is None:
        return "with N only: no fault is named for N-1"
    return f"with N, then again with N-1: {fault.name} ({fault.target}), undone afterwards"


def _artefact(found: Capacity) -> str:
    artefact = found.artefact
    if artefact.digest:
        return f"{artefact.digest} (as given)"
    return (
        f"read from {artefact.url} ({artefact.key}) when armed"
        if artefact.url
        else (f"read from `{' '.join(artefact.argv)}` when armed")
    )


def _search(found: Capacity) -> list[str]:
    search = found.search
    if search is None:
        return [f"{_INDENT}the limit is not searched for"]
    first = f"from {rate(search.first_per_1000s)} " if search.first_per_1000s else ""
    each = f"{as_text(search.each_ns)} to {as_text(search.each_max_ns)}"
    to = f"up to {rate(search.ceiling_per_1000s)}, to a width of {search.width_ppm / 10_000:g} %"
    return [
        f"{_INDENT}then the limit is searched for {first}{to}, in at most {search.trials} trials of {each}",
        f"{_INDENT}an SLO that is missed ends its trial, not the drill",
    ]


def _round(value_ns: int) -> int:
    return -(-value_ns // 10**9) * 10**9


def trial_lasts(plan: Plan, kind: StepKind, for_ns: int | None) -> str:
    """Return in words what one made step does."""
    found = plan.capacity
    if found is None or kind not in (StepKind.TRIAL, StepKind.SEARCH):
        return ""
    if kind is StepKind.SEARCH:
        return f"at most {found.search.trials if found.search else 0} trials"
    return f"{rate(found.tested_per_1000s)} for at most {as_text(for_ns or 0)}"
