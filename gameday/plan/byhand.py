"""The same runbook, carried out by people: automatic steps as manual ones, or as a walk round a table.

    by hand     the steps of runbooks become manual ones, told what the action would have done; faults stay
                automatic, undos are still owed, probes and load measure as always
    table-top   every step is walked through by people; no target, no load, no probe, no action. Nothing is
                tested by that: the plan, its digest and all evidence say TABLE-TOP

Both make another plan with a digest of its own, so that neither can pass for the drill itself.
"""

from __future__ import annotations

import json
from dataclasses import replace

from gameday.plan.approvals import NONE_ASKED
from gameday.plan.limitwords import time_words
from gameday.plan.model import NS, Activity, Plan, SteadyState, Step, StepKind, Target

TABLE_TOP, BY_HAND = "table-top", "by-hand"
MODE, PLANNED, OBJECTIVE = "mode", "planned.", "objective."
HAND_NS = 300 * NS
TABLE_NS = 3600 * NS
_ACTS = (StepKind.FAILOVER, StepKind.CHANGE)


def mode_of(plan: Plan) -> str:
    """Return `table-top`, `by-hand`, or nothing where a plan runs as it was written."""
    return dict(plan.about).get(MODE, "")


def is_table_top(plan: Plan) -> bool:
    """Tell whether nothing but people takes part."""
    return plan.target.environment == TABLE_TOP and mode_of(plan) == TABLE_TOP


def command_of(activity: Activity) -> str:
    """Return how a person does what an action would do: a command for gameday's own, else its name."""
    provider = json.loads(activity.provider)
    arguments = provider.get("arguments") or {}
    pairs = arguments.items() if isinstance(arguments, dict) else [("arguments", arguments)]
    said = " ".join(f"{key}={_word(value)}" for key, value in pairs)
    module, func = str(provider.get("module", "")), str(provider.get("func", ""))
    if module.startswith("gameday.actions"):
        return f"python -m gameday.actions {module.removeprefix('gameday.actions.')}.{func} {said}".rstrip()
    name = f"{module}.{func}" if module else str(provider.get("path") or provider.get("url") or "the action")
    return f"what {name} would do{f' with {said}' if said else ''}"


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def instructions(step: Step) -> str:
    """Return what a person does for a step, made from it where nobody wrote it down."""
    if step.instructions:
        return step.instructions
    match step.kind:
        case StepKind.HOLD:
            return f"Wait {time_words(step.for_ns or 0)}, and watch."
        case StepKind.UNDO:
            return f"Take back whatever is still owed on {step.target}."
        case StepKind.APPROVAL:
            return "Decide whether to go on, and say who decided."
        case StepKind.LOAD | StepKind.TRIAL | StepKind.SEARCH:
            return "The load is changed here."
        case _:
            return f"By hand: {command_of(step.do)}" if step.do is not None else ""


def by_hand(plan: Plan, *, everywhere: bool = True) -> Plan:
    """Return the plan with the automatic steps of its runbooks carried out by people.

    Args:
        plan: The plan.
        everywhere: False: only the steps that the plan itself marked so.
    """
    steps = tuple(hand_step(s, plan) if everywhere and s.runbook is not None else s for s in plan.steps)
    changed = [old for old, new in zip(plan.steps, steps, strict=True) if old != new]
    if not changed:
        return plan
    about = dict(plan.about) | {MODE: BY_HAND} | {f"{PLANNED}{s.id}": str(s.deadline_ns) for s in changed}
    return replace(plan, steps=steps, about=tuple(sorted(about.items())))


def hand_step(step: Step, plan: Plan | None = None) -> Step:
    """Return an automatic step as a manual one, with all else that it owes and replaces."""
    if step.kind not in _ACTS or step.do is None:
        return step
    operator = dict(plan.about).get("roles.operator", "operator") if plan is not None else "operator"
    return replace(
        step,
        kind=StepKind.MANUAL,
        who=operator,
        instructions=instructions(step),
        do=None,
        deadline_ns=max(step.deadline_ns, HAND_NS),
    )


def table_top(plan: Plan) -> Plan:
    """Return the plan as people walk through it at a table."""
    about = dict(plan.about) | {MODE: TABLE_TOP}
    about |= {f"{PLANNED}{step.id}": str(step.deadline_ns) for step in plan.steps}
    for o in plan.objectives:
        rpo = f", RPO {time_words(o.rpo_ns)}" if o.rpo_ns is not None else ""
        about[f"{OBJECTIVE}{o.service}"] = f"RTO {time_words(o.rto_ns)}{rpo}"
    return replace(
        plan,
        title=f"TABLE-TOP: {plan.title}",
        about=tuple(sorted(about.items())),
        target=Target(TABLE_TOP, ""),
        objectives=(),
        load=(),
        probes=(),
        slos=(),
        steady_state=SteadyState((), 0, 0, 10 * NS),
        stop_conditions=(),
        blast_radius=None,
        steps=tuple(_walked(step, number) for number, step in enumerate(plan.steps)),
        ledger=None,
        more_ledgers=(),
        capacity=None,
        approvals=NONE_ASKED,
        warnings=(),
    )


def _walked(step: Step, number: int) -> Step:
    planned = f" Planned: within {time_words(step.deadline_ns)}." if step.kind is not StepKind.HOLD else ""
    fault = "Suppose that this happens: what do you see, and where? " if step.kind is StepKind.FAULT else ""
    said = "" if step.kind is StepKind.FAULT else f"On the day: {instructions(step).rstrip('.')}."
    return Step(
        id=step.id,
        name=step.name,
        kind=StepKind.MANUAL,
        group=number,
        deadline_ns=TABLE_NS,
        runbook=step.runbook,
        segment=step.segment,
        who=step.who or "the table",
        instructions=f"TABLE-TOP, touch nothing. {fault}{said}{planned}",
    )


def planned_ns(plan: Plan, step: Step) -> int:
    """Return how long a step was planned to take, whoever carries it out."""
    said = dict(plan.about).get(f"{PLANNED}{step.id}", "")
    return int(said) if said.isdecimal() else step.deadline_ns
