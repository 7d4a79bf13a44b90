"""All checkers over one history. Pure: the same history gives the same findings, years later."""

from __future__ import annotations

from gameday.checkers.capacity import check_capacity
from gameday.checkers.clocks import check_clock
from gameday.checkers.comparison import check_comparison
from gameday.checkers.data import check_data
from gameday.checkers.experiment import check_experiments
from gameday.checkers.faults import check_effects, check_halt, check_residual
from gameday.checkers.findings import Finding, Findings, Verdict
from gameday.checkers.hand import check_by_hand, check_table_top
from gameday.checkers.levels import check_after, check_baseline, check_load
from gameday.checkers.reconciliation import check_reconciliations
from gameday.checkers.recovery import check_recovery
from gameday.checkers.stores import check_stores
from gameday.checkers.times import check_times
from gameday.checkers.view import View, view_of
from gameday.history.record import Trace
from gameday.plan.byhand import is_table_top
from gameday.plan.experimentstep import is_experiment
from gameday.plan.model import Plan


def check(plan: Plan, trace: Trace) -> Findings:
    """Return what the history of a run proves about its plan.

    Args:
        plan: The plan, as it lies in the run folder.
        trace: Its history, as read back.
    """
    view = view_of(plan, trace)
    # An experiment has a hypothesis of its own, and no steady state, objective or load of the plan's.
    if is_table_top(plan):
        return _findings(view, [*check_table_top(view), *check_by_hand(view), *_check_whole(view)])
    alone = is_experiment(plan)
    findings: list[Finding] = [] if alone else [check_baseline(view)]
    findings += check_experiments(view)
    for objective in plan.objectives:
        findings.append(check_recovery(view, objective))
        findings += check_data(view, objective)
        findings += check_times(view, objective)
    findings += check_capacity(view)
    findings += check_stores(view)
    findings += check_reconciliations(view)
    findings += check_effects(view)
    findings += check_load(view)
    findings += check_comparison(view)
    findings += [] if alone else [check_after(view)]
    findings.append(check_residual(view))
    findings += check_halt(view)
    findings += check_clock(view)
    findings += check_by_hand(view)
    findings += _check_whole(view)
    return _findings(view, findings)


def _findings(view: View, findings: list[Finding]) -> Findings:
    plan = view.plan
    ended = view.run_ended
    return Findings(
        outcome=view.outcome,
        halted_by=view.halted[2].by if view.halted else "",
        findings=tuple(findings),
        stuck=ended.stuck if ended else (),
        failed_over=ended.failed_over if ended else False,
        not_tested=tuple(step.name for step in plan.steps if step.id not in view.started),
    )


def _check_whole(view: View) -> tuple[Finding, ...]:
    """Say so when the history itself is damaged: then nothing in it can pass unseen."""
    faults = view.trace.faults
    if not faults:
        return ()
    why = "; ".join(faults[:3])
    return (Finding("the history is whole", Verdict.FAIL, f"{len(faults)} breaks", "0", "", why),)
