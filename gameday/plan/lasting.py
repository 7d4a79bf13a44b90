"""How long a drill can take at the longest, and what is left of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gameday.plan.model import Plan, StepKind

if TYPE_CHECKING:
    from gameday.plan.policy import Policy


def steps_ns(plan: Plan) -> int:
    """Return the longest that the steps can take: every deadline used up, and each fault's own `for`.

    The deadline of a hold includes the hold.
    """
    groups: dict[int, int] = {}
    for step in plan.steps:
        stays_ns = (step.for_ns or 0) if step.kind is StepKind.FAULT else 0
        groups[step.group] = max(groups.get(step.group, 0), step.deadline_ns + stays_ns)
    return sum(groups.values())


def longest_ns(plan: Plan, policy: Policy | None = None) -> int:
    """Return the longest that a drill can take: every deadline, all patience, and the wait for signatures.

    With a policy its own demands of live signatures count too.
    """
    return _wait_ns(plan, policy) + left_ns(plan, baseline_held=False)


def left_ns(plan: Plan, *, baseline_held: bool) -> int:
    """Return the longest that a drill can still take once its start gate is open, or its baseline held.

    Undos of one target wait for each other.
    """
    undos: dict[str, int] = {}
    for step in plan.steps:
        if step.owes_undo:
            undos[step.target] = undos.get(step.target, 0) + step.undo_deadline_ns
    undos_ns = max(undos.values(), default=0)
    return steps_ns(plan) + (1 if baseline_held else 2) * plan.steady_state.patience_ns + undos_ns


def _wait_ns(plan: Plan, policy: Policy | None) -> int:
    """Return how long the start gate may wait for signatures over the frozen targets."""
    live = any(need.live for need in plan.approvals.before_faults)
    if policy is not None and not live:
        from gameday.plan.policy import approvals_needed  # noqa: PLC0415 - `validate` asks no policy

        live = any(need.live for need in approvals_needed(policy, plan))
    return plan.approvals.timeout_ns if live else 0
