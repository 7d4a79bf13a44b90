"""Whether a plan makes sense as a whole: references that lead somewhere, limits that can trip."""

from __future__ import annotations

from collections import Counter

from gameday.plan.capacitysteps import capacity_warnings, check_capacity
from gameday.plan.lasting import steps_ns
from gameday.plan.model import PPM, Plan, ProbeKind, Segment, Step, StepKind
from gameday.plan.pacing import is_open
from gameday.plan.people import people_warnings
from gameday.plan.radius import too_much
from gameday.plan.source import Source
from gameday.plan.trippable import limit_warnings
from gameday.plan.units import as_text


def check_references(plan: Plan, source: Source) -> None:  # noqa: C901, PLR0912 - one clause a reference
    """Note every name that leads nowhere."""
    probes = {probe.name for probe in plan.probes}
    slos = {slo.name for slo in plan.slos}
    for slo in plan.slos:
        where = ("slos", slo.name)
        if (slo.probe is None) == (slo.load_stat is None):
            source.complain(where, f"SLO {slo.name!r}: exactly one of `probe` and `load` is needed")
        if slo.probe is not None:
            _known(source, (*where, "probe"), slo.probe, probes, "probe")
        if slo.load_stat is not None and not plan.load:
            source.complain(where, f"SLO {slo.name!r} is measured on load, but the plan has none")
        if slo.below_ns is not None and slo.load_stat in (None, "errors"):
            source.complain((*where, "below"), "`below` needs a percentile of the load, like `load: p99`")
    for number, name in enumerate(plan.steady_state.slos):
        _known(source, ("steady_state", "slos", number), name, slos, "SLO")
    for number, condition in enumerate(plan.stop_conditions):
        place = ("stop_conditions", number)
        if condition.slo is not None:
            _known(source, (*place, "slo"), condition.slo, slos, "SLO")
        if condition.probe is not None:
            _known(source, (*place, "probe"), condition.probe, probes, "probe")
        if (condition.load is not None or condition.failed_above is not None) and not plan.load:
            source.complain(place, "this condition is measured on load, but the plan has none")
    for number, objective in enumerate(plan.objectives):
        _known(source, ("objectives", number, "measured_by"), objective.measured_by, probes, "probe")
        if objective.ledger:
            written = {ledger.name for ledger in plan.ledgers}
            _known(source, ("objectives", number, "ledger"), objective.ledger, written, "ledger")
    if plan.capacity is not None:
        radius_ns = plan.blast_radius.duration_ns if plan.blast_radius else 0
        check_capacity(plan.capacity, plan.load, plan.slos, source, steps_ns(plan), radius_ns)
    _check_names(plan, source)
    _check_steps(plan, source)


def _known(source: Source, where: tuple[str | int, ...], name: str, known: set[str], what: str) -> None:
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        source.complain(where, f"{name!r}: no such {what}; there are {there}")


def _check_names(plan: Plan, source: Source) -> None:
    for what, names in (
        ("load", [load.name for load in plan.load]),
        ("stop_conditions", [condition.name for condition in plan.stop_conditions]),
    ):
        for name, count in Counter(names).items():
            if count > 1:
                source.complain((what,), f"{name!r} is the name of {count} of them: names must differ")
    loads = {load.name: load for load in plan.load}
    for step in plan.steps:
        if step.load is None:
            continue
        _known(source, ("steps",), step.load.load, set(loads), "load")
        load = loads.get(step.load.load)
        if load is not None and is_open(load) != (step.load.rate_per_1000s is not None):
            loop, key = ("an open", "rate") if is_open(load) else ("a closed", "users")
            said = f"step {step.name!r}: load {load.name!r} is {loop} loop: change its `{key}`"
            source.complain(("steps",), said)


def _check_steps(plan: Plan, source: Source) -> None:
    radius = plan.blast_radius
    owed: set[str] = set()
    for step in plan.steps:
        if step.kind is StepKind.FAULT and radius is not None and step.ttl_ns is not None:
            if step.ttl_ns > radius.duration_ns:
                source.complain(
                    ("blast_radius", "duration"),
                    f"fault {step.name!r} lives {as_text(step.ttl_ns)}, longer than the blast radius allows "
                    f"({as_text(radius.duration_ns)})",
                )
            if step.for_ns is not None and step.for_ns > step.ttl_ns:
                source.complain(("steps",), f"fault {step.name!r}: `for` is longer than its `ttl`")
        _check_targets(step, owed, source)
        if step.owes_undo:
            owed.add(step.target)
    if radius is not None:
        for reason in too_much(plan, radius):
            source.complain(("blast_radius", "max"), reason)


def _check_targets(step: Step, owed: set[str], source: Source) -> None:
    wanted = [*step.supersedes, *([step.target] if step.kind is StepKind.UNDO else [])]
    for target in wanted:
        if target not in owed:
            there = ", ".join(sorted(owed - {""})) or "none"
            source.complain(
                ("steps",),
                f"step {step.name!r}: nothing before it owes an undo on {target!r}; owed is {there}",
            )
    if step.owes_undo and not step.target:
        source.complain(("steps",), f"step {step.name!r} has an undo, so it needs a `target`, like `node:a`")


def warnings(plan: Plan) -> tuple[str, ...]:
    """Return what is allowed but will disappoint."""
    found: list[str] = []
    probes = {probe.name: probe for probe in plan.probes}
    for objective in plan.objectives:
        probe = probes[objective.measured_by]
        width_ns = probe.every_ns + probe.timeout_ns
        if width_ns * 20 > objective.rto_ns:
            found.append(
                f"probe {probe.name}: period + timeout is {as_text(width_ns)}, more than 5 % of the RTO of "
                f"{as_text(objective.rto_ns)}; you are buying INCONCLUSIVE"
            )
    for slo in plan.slos:
        sampled = probes.get(slo.probe or "")
        if (
            sampled is not None and sampled.kind is not ProbeKind.PROMETHEUS
        ):  # Its samples are shares themselves.
            count = max(slo.window_ns // sampled.every_ns, 1)
            if PPM // count > PPM - slo.objective_ppm:
                found.append(
                    f"SLO {slo.name}: {count} samples a window, so one bad sample misses "
                    f"{slo.objective_ppm / 10_000:g} %"
                )
    found += limit_warnings(plan)
    found += people_warnings(plan)
    if (
        plan.recovery == "plan"
        and plan.objectives
        and not any(s.kind in (StepKind.FAILOVER, StepKind.MANUAL) for s in plan.steps)
    ):
        found.append("recovery is by the plan, but no step of it fails over")
    if plan.ledger is None and any(probe.writes for probe in plan.probes):
        found.append("a probe writes, but without a `ledger` nothing removes what it wrote at the end")
    found += _dwell_warnings(plan)
    found += capacity_warnings(plan.capacity) if plan.capacity is not None else []
    return tuple(found)


def _dwell_warnings(plan: Plan) -> list[str]:
    """Recovery is shown by a whole window of steady state before the plan begins to fail back."""
    back = next((n for n, step in enumerate(plan.steps) if step.segment is Segment.FAIL_BACK), None)
    if back is None or not plan.objectives:
        return []
    dwell_ns = sum(step.for_ns or 0 for step in plan.steps[:back] if step.kind is StepKind.HOLD)
    stabilise_ns = plan.steady_state.stabilise_ns
    if dwell_ns >= stabilise_ns:
        return []
    short = f"last {as_text(dwell_ns)} together" if dwell_ns else "are missing"
    need = f"`stabilise` needs {as_text(stabilise_ns)}"
    return [f"the holds before failing back {short}, {need}: recovery could not be shown"]
