"""A plan in words: what will happen, to what, how it is taken back, and what ends it."""

from __future__ import annotations

from datetime import datetime

from gameday.cli.capacitywords import capacity_words, trial_lasts
from gameday.plan.approvals import words
from gameday.plan.limitwords import limit_words
from gameday.plan.loadwords import begin_words
from gameday.plan.model import Plan, Step, StepKind, StopCondition
from gameday.plan.permit import Permit, expired
from gameday.plan.policy import Policy, policy_digest
from gameday.plan.radius import cap_words
from gameday.plan.stored import plan_digest
from gameday.plan.units import as_text

_INDENT = "  "


def plan_words(plan: Plan) -> list[str]:
    """Return the lines that tell a person what a plan will do."""
    about = dict(plan.about)
    lines = [plan.title, f"{_INDENT}{about['hypothesis']}" if "hypothesis" in about else ""]
    lines += [f"{_INDENT}service {plan.service}, {plan.kind}, environment {plan.target.environment}"]
    lines += [f"{_INDENT}digest {plan_digest(plan)}", ""]
    lines += _objectives(plan)
    lines += capacity_words(plan)
    lines += _approvals(plan)
    held = as_text(plan.steady_state.baseline_ns)
    lines += ["What happens, in order"]
    lines += [f"{_INDENT}load: {_load(plan)}"]
    lines += [f"{_INDENT}the steady state must hold for {held} first, or nothing is injected"]
    lines += [line for step in plan.steps for line in _step(step, trial_lasts(plan, step.kind, step.for_ns))]
    stable = as_text(plan.steady_state.stabilise_ns)
    lines += [
        f"{_INDENT}then whatever is still owed is undone, and the steady state must hold for {stable}",
        "",
    ]
    lines += ["What ends it early"]
    lines += [f"{_INDENT}{_condition(condition)}" for condition in plan.stop_conditions]
    radius = plan.blast_radius
    if radius is not None:
        lines += [f"{_INDENT}{cap_words(radius)}, for at most {as_text(radius.duration_ns)}"]
    lines += [f"{_INDENT}Ctrl-C, `gameday halt`, or the safety lever: always, and faults are undone"]
    if plan.warnings:
        lines += ["", "Mind", *(f"{_INDENT}{warning}" for warning in plan.warnings)]
    return lines


def policy_words(policy: Policy, permit: Permit, now: datetime) -> list[str]:
    """Return the lines that tell what the policy makes of a plan: values, origins, refusals."""
    lines = ["", f"What the policy says ({policy.file}, digest {policy_digest(policy)[:12]})"]
    lines += [f"{_INDENT}{item.name:18} {item.value}   [{item.origin}]" for item in permit.values]
    lines += [
        f"{_INDENT}waiver expired on {w.until}: {w.rule}, by {w.by}" for w in expired(policy, now.date())
    ]
    lines += [
        f"{_INDENT}WAIVED {item.rule}: {item.reason}   [{waiver.by}, until {waiver.until}: {waiver.reason}]"
        for item, waiver in permit.waived
    ]
    for need in permit.approvals:
        notes = [", not the author"] * need.distinct_from_author + [", live"] * need.live
        lines.append(
            f"{_INDENT}approval: {need.number} of {'/'.join(need.roles)}{''.join(notes)}; {need.why}"
        )
    lines += [f"{_INDENT}REFUSED {item.rule}: {item.reason}" for item in permit.refusals]
    return [*lines, ""]


def _objectives(plan: Plan) -> list[str]:
    lines = ["What must be shown"] if plan.objectives else []
    for o in plan.objectives:
        rpo = f", RPO {as_text(o.rpo_ns)}" if o.rpo_ns is not None else ""
        lines.append(f"{_INDENT}{o.service}: RTO {as_text(o.rto_ns)}{rpo}, measured by {o.measured_by}")
    return [*lines, ""] if lines else []


def _approvals(plan: Plan) -> list[str]:
    asked = plan.approvals.before_faults
    if not asked:
        return []
    lines = [f"{_INDENT}{words(need)}" for need in asked]
    keys = f"{_INDENT}keys: {plan.approvals.allowed_signers}; nobody counts twice; no answer is a no"
    return ["Who must approve before the first fault", *lines, keys, ""]


def _load(plan: Plan) -> str:
    return "; ".join(f"{load.profile} at {begin_words(load)}" for load in plan.load) or "none"


def _step(step: Step, lasts: str) -> list[str]:
    mark = {
        "fault": "FAULT",
        "failover": "step ",
        "change": "step ",
        "undo": "undo ",
        "manual": "hand ",
        "approval": "GATE ",
        "trial": "trial",
        "search": "trial",
    }.get(step.kind, "     ")
    line = f"{_INDENT}{step.group + 1:>2}. {mark} {step.name}{', ' if lasts else ''}{lasts}"
    if step.runbook:
        line += f"   ({step.runbook.rpartition('/')[2]})"
    lines = [line]
    pad = " " * 12
    if step.point_of_no_return:
        lines.append(f"{pad}point of no return: from here the old undo is replaced by this step's own")
    if step.kind is StepKind.FAULT:
        ttl = as_text(step.ttl_ns) if step.ttl_ns else "none"
        lines.append(f"{pad}target {step.target}; lives {ttl} at most; undone by {_undo(step)}, read back")
        lines.append(f"{pad}{step.survives}" if step.survives else f"{pad}what it survives is not stated")
    elif step.needs:
        lines += [f"{pad}waits {as_text(step.deadline_ns)} for {words(need)}" for need in step.needs]
    elif step.kind is StepKind.MANUAL:
        how = f": {step.instructions}" if step.instructions else ""
        lines.append(f"{pad}by {step.who or 'somebody'}, within {as_text(step.deadline_ns)}{how}")
    if step.undo_by_hand:
        lines.append(f"{pad}undone by hand: {step.undo_by_hand}")
    elif step.undo is not None and step.kind is not StepKind.FAULT:
        seen = ", read back" if step.in_place is not None else ""
        lines.append(f"{pad}undone by {_undo(step)}{seen}")
    return lines


def _undo(step: Step) -> str:
    import json  # noqa: PLC0415 - small, and only for words

    provider = json.loads(step.undo.provider) if step.undo else {}
    if provider.get("type") == "experiment":
        return f"the rollbacks in {provider['file']} that are still owed ({provider['rollbacks']})"
    arguments = ", ".join(f"{k}={v}" for k, v in (provider.get("arguments") or {}).items())
    name = provider.get("func") or provider.get("path") or provider.get("url") or "?"
    return f"{str(provider.get('module', '')).rpartition('.')[2]}.{name}({arguments})"


def _condition(condition: StopCondition) -> str:
    verb = "halts" if condition.then == "halt" else "warns"
    load = "" if condition.stops == "faults" else ", and stops the load at once"
    return f"{verb} when {limit_words(condition)}{load}"
