"""What people did in the place of actions: planned time against actual, and that a table tests nothing."""

from __future__ import annotations

from gameday.checkers.findings import Finding, Verdict
from gameday.checkers.view import View
from gameday.history.people import ManualReported
from gameday.plan.byhand import OBJECTIVE, is_table_top, mode_of, planned_ns
from gameday.plan.model import StepKind


def check_table_top(view: View) -> tuple[Finding, ...]:
    """Return a finding for each objective of a table-top: not tested, whatever was said at the table."""
    if not is_table_top(view.plan):
        return ()
    why = "TABLE-TOP: people walked through it; no target was touched, and nothing was measured"
    found = [
        Finding(f"objective {key.removeprefix(OBJECTIVE)}", Verdict.NOT_TESTED, "", value, "", why)
        for key, value in view.plan.about
        if key.startswith(OBJECTIVE)
    ]
    return (Finding("table-top", Verdict.NOT_TESTED, "nothing touched", "", "", why), *found)


def check_by_hand(view: View) -> tuple[Finding, ...]:
    """Return what became of the steps that people carried out in the place of actions."""
    if not mode_of(view.plan):
        return ()
    said = {r.event.step: r.event for r in view.trace.records if isinstance(r.event, ManualReported)}
    steps = [step for step in view.plan.steps if step.kind is StepKind.MANUAL]
    done = [step for step in steps if step.id in said and said[step.id].done]
    numbers: list[tuple[str, int | str | None]] = []
    late = 0
    for step in done:
        start_ns, end_ns = view.started[step.id][0], view.ended.get(step.id, (None, None))[0]
        if end_ns is None:
            continue
        planned = planned_ns(view.plan, step)
        late += end_ns - start_ns > planned
        numbers += [(f"{step.id} took_ns", end_ns - start_ns), (f"{step.id} planned_ns", planned)]
    verdict = Verdict.PASS if len(done) == len(steps) else Verdict.FAIL
    why = f"{len(done)} of {len(steps)} steps were reported done, {late} of them later than planned"
    if verdict is Verdict.FAIL and not any(not event.done for event in said.values()):
        verdict = Verdict.UNKNOWN
    observed = f"{len(done)} done, {late} late"
    return (
        Finding("steps by hand", verdict, observed, f"{len(steps)} done", "", why, (), None, tuple(numbers)),
    )
