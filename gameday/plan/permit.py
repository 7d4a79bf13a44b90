"""Whether the policy permits a plan: each effective value with its origin, and each refusal with its reason.

Pure, apart from the time zones: the moment is given. Nothing of the target is known here, nothing of the
plan is imported; what needs the target's identity is judged at arming by `gameday.plan.radius`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from fnmatch import fnmatchcase

from gameday.errors import NotAuthorised
from gameday.plan.experimentstep import experiment_in, without_undo
from gameday.plan.lasting import longest_ns
from gameday.plan.model import LimitKind, Plan, Probe, ProbeKind, StepKind, StopCondition
from gameday.plan.policy import (
    LAB,
    NO_FILE,
    Policy,
    Requirement,
    Rule,
    Rules,
    Waiver,
    approvals_needed,
)
from gameday.plan.radius import (
    BY_POLICY,
    cap_of,
    faults,
    kind_of,
    may_be_faults,
    most_at_once,
    parse_cap,
    targets_in,
    targets_of,
    why_not,
)
from gameday.plan.units import as_text
from gameday.plan.when import closed

PLAN, POLICY, DEFAULT, WAIVER = "plan", "policy", "default", "waiver"


@dataclass(frozen=True, slots=True)
class Value:
    """One effective value and where it came from: plan, policy, default or waiver."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """One rule that speaks against the plan, and why."""

    rule: Rule
    reason: str


@dataclass(frozen=True, slots=True)
class Permit:
    """What the policy says of one plan at one moment."""

    values: tuple[Value, ...]
    refusals: tuple[Refusal, ...]
    waived: tuple[tuple[Refusal, Waiver], ...]
    approvals: tuple[Requirement, ...]

    def check(self, policy: Policy) -> None:
        """Refuse what the policy does not permit.

        Raises:
            NotAuthorised: At least one rule speaks against it; all are named.
        """
        if not self.refusals:
            return
        lines = [f"{item.rule}: {item.reason}" for item in self.refusals]
        todo = f"The policy is {policy.file}. `gameday plan` shows each value and where it came from."
        if policy.file == NO_FILE:
            todo = "There is no policy file: `gameday init` makes one with every key explained."
        raise NotAuthorised("the policy does not permit it:\n    " + "\n    ".join(lines), todo=todo)


def judge(policy: Policy, plan: Plan, now: datetime, lasts_ns: int | None = None) -> Permit:
    """Judge a plan by the policy, at a moment (which must know its time zone).

    Args:
        policy: The policy in force.
        plan: The plan.
        now: The moment.
        lasts_ns: How long it may take from then on; None for all of it, with the wait for signatures.
    """
    environment = plan.target.environment
    rules = policy.rules(environment)
    if rules is None:
        known = ", ".join(name for name, _ in policy.environments)
        where = "there is no policy file" if policy.file == NO_FILE else f"{policy.file} does not name it"
        reason = f"{environment!r} is not allowed: {where}; allowed are: {known}"
        return Permit((), (Refusal(Rule.ENVIRONMENT, reason),), (), ())
    refusals, waived = [], []
    lasts_ns = longest_ns(plan, policy) if lasts_ns is None else lasts_ns
    for item in _refusals(policy, rules, plan, now, lasts_ns):
        waiver = waiver_for(policy, item.rule, plan, now)
        if waiver is None:
            refusals.append(item)
        else:
            waived.append((item, waiver))
    needed = approvals_needed(policy, plan)
    if needed and waiver_for(policy, Rule.APPROVALS, plan, now) is not None:
        needed = ()
    values = tuple(_values(policy, rules, plan, now))
    return Permit(values, tuple(refusals), tuple(waived), needed)


def waiver_for(policy: Policy, rule: Rule, plan: Plan, now: datetime) -> Waiver | None:
    """Return the waiver that sets a rule aside for a plan today, if there is one."""
    today = now.date().isoformat()
    for waiver in policy.waivers:
        about = waiver.rule == rule and waiver.environment in ("", plan.target.environment)
        if about and (not waiver.plan or fnmatchcase(plan.source, waiver.plan)) and today <= waiver.until:
            return waiver
    return None


# --- what speaks against it ------------------------------------------------------------------


def _refusals(policy: Policy, rules: Rules, plan: Plan, now: datetime, lasts_ns: int) -> Iterator[Refusal]:
    yield from _code(rules, plan)
    yield from closed(policy, rules, now, lasts_ns, Refusal)
    yield from _limits(rules, plan)
    yield from _touched(rules, plan)
    yield from _demands(rules, plan)
    if plan.target.environment != LAB:
        for name in without_undo(plan):
            yield Refusal(Rule.UNDO, f"experiment {name!r} acts without rollbacks; only a lab allows that")


def _code(rules: Rules, plan: Plan) -> Iterator[Refusal]:
    """Whatever would be imported or run must be allowed by name, before any host is armed."""
    said = set()
    for name, kind, module in used(plan):
        if kind not in rules.providers:
            said.add((Rule.PROVIDERS, f"{name} uses provider {kind!r}; allowed: {_list(rules.providers)}"))
        elif kind == "python" and not any(allows(pattern, module) for pattern in rules.modules):
            said.add((Rule.MODULES, f"{name} would import {module!r}, allowed are {_list(rules.modules)}"))
    for rule, reason in sorted(said):
        yield Refusal(rule, reason)


def used(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """Yield each activity of a plan: what it is for, its provider's type, and its module (python)."""
    for step in plan.steps:
        for activity, what in ((step.do, "step"), (step.undo, "undo of"), (step.in_place, "read-back of")):
            if activity is None:
                continue
            inside = experiment_in(activity)
            if inside is not None:
                yield from ((f"{what} {step.name!r}", kind, module) for kind, module in inside["uses"])
            else:
                yield f"{what} {step.name!r}", *_provider(activity.provider)
    for probe in plan.probes:
        yield from _of_probe(probe)
    if plan.capacity is not None and plan.capacity.artefact.argv:
        yield "the artefact's command", "process", ""


def _of_probe(probe: Probe) -> Iterator[tuple[str, str, str]]:
    if probe.kind == ProbeKind.ACTIVITY:
        yield f"probe {probe.name!r}", *_provider(json.dumps(json.loads(probe.spec).get("provider")))
    elif probe.kind == ProbeKind.PROCESS:
        yield f"probe {probe.name!r}", "process", ""


def _provider(text: str) -> tuple[str, str]:
    provider = json.loads(text)
    found = provider if isinstance(provider, dict) else {}
    return str(found.get("type", "")), str(found.get("module", ""))


def allows(pattern: str, module: str) -> bool:
    """Tell whether a pattern allows a module. `a.b.*` allows what is below a.b, and a.b itself."""
    if pattern == "*":
        return True
    stem = pattern.removesuffix(".*")
    return module == stem or (pattern.endswith(".*") and module.startswith(f"{stem}."))


def _limits(rules: Rules, plan: Plan) -> Iterator[Refusal]:
    """How long and how much, for faults and for what may be one by another name."""
    counted = may_be_faults(plan)
    if rules.ttl_ns is not None:
        known = faults(plan)
        for step in counted:
            if step.supersedes or step.point_of_no_return:
                continue  # Recovery: it is there to stay.
            if step.ttl_ns is None or step.ttl_ns > rules.ttl_ns:
                lives = as_text(step.ttl_ns) if step.ttl_ns else "for ever"
                what = "fault" if step in known else "step"
                reason = f"{what} {step.name!r} lives {lives}, allowed is {as_text(rules.ttl_ns)}"
                unknown = "" if step in known else "; its action is not gameday's own: write it as a fault"
                yield Refusal(Rule.TTL, reason + unknown)
    radius = plan.blast_radius
    if rules.duration_ns is not None and (radius is None or radius.duration_ns > rules.duration_ns):
        asked = as_text(radius.duration_ns) if radius else "for ever"
        yield Refusal(Rule.DURATION, f"faults may last {asked}, allowed is {as_text(rules.duration_ns)}")
    nodes = [name for name in targets_in(plan, counted) if kind_of(name) == "node"]
    if rules.cap is not None:
        cap = parse_cap(rules.cap)
        if cap.count is not None and len(nodes) > cap.count:
            yield Refusal(Rule.TARGETS, f"the faults touch {len(nodes)} nodes, allowed are {cap}")
    together = [name for name in most_at_once(plan, {}, counted) if kind_of(name) == "node"]
    if rules.at_once is not None and len(together) > rules.at_once:
        names = ", ".join(together)
        reason = f"{len(together)} nodes may be under fault at once ({names}), allowed are {rules.at_once}"
        yield Refusal(Rule.AT_ONCE, reason)


def _touched(rules: Rules, plan: Plan) -> Iterator[Refusal]:
    """Protected and allowed names hold for every step that says what it touches, not for faults alone."""
    for step in plan.steps:
        if step.do is None or not (step.target or step.kind is StepKind.FAULT):
            continue
        what = "fault" if step.kind is StepKind.FAULT else "step"
        for name in targets_of(step):
            if why_not(plan, name, {}, protect=rules.protect).startswith(BY_POLICY):
                yield Refusal(Rule.PROTECT, f"step {step.name!r}: {name} is protected")
            if rules.only and not any(fnmatchcase(name, pattern) for pattern in rules.only):
                reason = f"{what} {step.name!r}: {name} is not among {', '.join(rules.only)}"
                yield Refusal(Rule.ONLY, reason)


def _demands(rules: Rules, plan: Plan) -> Iterator[Refusal]:
    there = {kind for condition in plan.stop_conditions for kind in kinds_of(plan, condition)}
    for kind in rules.stop_conditions:
        if kind not in there:
            yield Refusal(Rule.STOP_CONDITIONS, f"no stop condition of kind {kind!r} that halts")
    if rules.native_ttl:
        for step in faults(plan):
            if not is_native(step.survives):
                said = step.survives or "it does not say what it survives"
                reason = f"fault {step.name!r} must end by itself when its host is lost: {said}"
                yield Refusal(Rule.NATIVE_TTL, reason)
    yield from _papers(rules, plan)


def _papers(rules: Rules, plan: Plan) -> Iterator[Refusal]:
    """What must stand in the plan, and what must be there to be read before the start."""
    about = dict(plan.about)
    for paper in rules.papers:
        if not about.get(paper):
            yield Refusal(Rule.PAPERS, f"the plan says nothing under {paper.replace('.', ': ')!r}")
    probes = {probe.name: probe for probe in plan.probes}
    for name in rules.not_red:
        if name not in probes:
            yield Refusal(Rule.NOT_RED, f"there is no probe {name!r}, which must not be red at the start")
        elif probes[name].writes:
            yield Refusal(Rule.NOT_RED, f"probe {name!r} writes, so it cannot be read before the start")


_POLICY_KINDS = {
    LimitKind.SILENCE: "silence",
    LimitKind.ROW: "probe",
    LimitKind.COUNT: "probe",
    LimitKind.SHARE: "probe",
    LimitKind.SLO: "slo",
    LimitKind.BURN: "burn-rate",
    LimitKind.BUDGET: "budget",
    LimitKind.FAILED: "failed-requests",
    LimitKind.DURATION: "duration",
}


def kinds_of(plan: Plan, condition: StopCondition) -> tuple[str, ...]:
    """Return what kinds of stop condition this is; none where it only warns.

    A control is a condition on a probe that neither an objective nor the steady state is measured by.
    """
    if condition.then != "halt":
        return ()
    found = [_POLICY_KINDS.get(condition.kind, "load")]
    probe = next((probe for probe in plan.probes if probe.name == condition.probe), None)
    if probe is None or condition.kind is LimitKind.SILENCE:
        return tuple(found)
    measured = {objective.measured_by for objective in plan.objectives}
    measured |= {str(slo.probe) for slo in plan.slos if slo.name in plan.steady_state.slos}
    if probe.kind in (ProbeKind.PROMETHEUS, ProbeKind.ALERTMANAGER):
        return ("alert",) if '"alert":' in probe.spec else tuple(found)
    if condition.probe not in measured:
        found.append("control")
    return tuple(found)


def is_native(survives: str) -> bool:
    """Tell whether a fault says that it ends by itself when its host is lost."""
    _, found, after = survives.lower().partition("host lost:")
    return bool(found) and after.strip().startswith(("it ends by itself", "ends by itself", "native ttl"))


# --- what holds, and since when --------------------------------------------------------------


def _values(policy: Policy, rules: Rules, plan: Plan, now: datetime) -> Iterator[Value]:
    def value(rule: Rule, text: str, *, planned: bool = False) -> Value:
        waiver = waiver_for(policy, rule, plan, now)
        if waiver is not None:
            words = f"set aside by {waiver.by} until {waiver.until}: {waiver.reason}"
            return Value(str(rule), words, WAIVER)
        said = POLICY if str(rule) in rules.said else DEFAULT
        return Value(str(rule), text, PLAN if planned else said)

    yield Value("environment", plan.target.environment, DEFAULT if policy.file == NO_FILE else POLICY)
    windows = f"{len(rules.windows)} windows, {policy.zone}" if rules.windows else "any time"
    yield value(Rule.WINDOWS, windows)
    yield from _least(rules, plan, value)
    yield value(Rule.ONLY, _list(rules.only) if rules.only else "any target")
    yield value(Rule.PROTECT, _list(rules.protect))
    yield value(Rule.STOP_CONDITIONS, _list(rules.stop_conditions))
    yield value(Rule.NATIVE_TTL, "demanded" if rules.native_ttl else "not demanded")
    yield value(Rule.MODULES, _list(rules.modules))
    yield value(Rule.PROVIDERS, _list(rules.providers))
    yield value(Rule.CLOCK, "demanded" if rules.synchronised_clock else "a warning where it is not")
    yield value(Rule.NOT_RED, _list(rules.not_red))
    floors = [f"{floor.service}: {floor.floor_ppm / 10_000:g} % left" for floor in rules.error_budget]
    yield value(Rule.ERROR_BUDGET, _list(floors))
    needed = [f"{r.number} of {'/'.join(r.roles)}" for r in approvals_needed(policy, plan)]
    yield value(Rule.APPROVALS, _list(needed))
    yield Value("levers", _list(("of this project", *policy.levers)), POLICY if policy.levers else DEFAULT)
    yield Value("leases", policy.leases or "on this machine only", POLICY if policy.leases else DEFAULT)


def _least(rules: Rules, plan: Plan, value: Callable[..., Value]) -> Iterator[Value]:
    """The plan may ask for less than the policy allows; the smaller one is in force."""
    radius = plan.blast_radius
    lives = [step.ttl_ns for step in faults(plan) if step.ttl_ns is not None]
    for rule, asked, limit in (
        (Rule.TTL, max(lives, default=None), rules.ttl_ns),
        (Rule.DURATION, radius.duration_ns if radius else None, rules.duration_ns),
    ):
        if asked is None and limit is None:
            yield value(rule, "no limit")
        elif limit is None or (asked is not None and asked <= limit):
            yield value(rule, as_text(asked or 0), planned=True)
        else:
            yield value(rule, as_text(limit))
    caps = [str(cap_of(radius))] if radius else []
    caps += [rules.cap] if rules.cap else []
    yield value(Rule.TARGETS, " and ".join(caps), planned=not rules.cap)
    counts = [count for count in (rules.at_once, radius.at_once if radius else None) if count is not None]
    planned = bool(counts) and min(counts) != rules.at_once
    yield value(Rule.AT_ONCE, str(min(counts)) if counts else "no limit", planned=planned)


def _list(items: tuple[str, ...] | list[str]) -> str:
    return ", ".join(items) or "none"


def limits_of(policy: Policy, plan: Plan, now: datetime) -> tuple[str | None, int | None]:
    """Return the policy's cap and its limit at once, as they hold for a plan after its waivers."""
    rules = policy.rules(plan.target.environment) or Rules()
    cap = None if waiver_for(policy, Rule.TARGETS, plan, now) else rules.cap
    at_once = None if waiver_for(policy, Rule.AT_ONCE, plan, now) else rules.at_once
    return cap, at_once


def expired(policy: Policy, today: date) -> tuple[Waiver, ...]:
    """Return the waivers that no longer count."""
    return tuple(waiver for waiver in policy.waivers if waiver.until < today.isoformat())
