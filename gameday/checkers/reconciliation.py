"""What a reconciliation said: every row of the recovered store against its source.

The step's own report begins with `equal:` or `differs:`; see gameday.actions.reconcile.
"""

from __future__ import annotations

import json

from gameday.checkers.findings import Finding, Verdict
from gameday.checkers.view import View
from gameday.history.events import Effect
from gameday.plan.model import Step

MODULE = "gameday.actions.reconcile"
LIMIT = "equal"


def check_reconciliations(view: View) -> tuple[Finding, ...]:
    """Return a finding for each step that reconciles."""
    return tuple(_finding(view, step) for step in view.plan.steps if _reconciles(step))


def _reconciles(step: Step) -> bool:
    return step.do is not None and json.loads(step.do.provider).get("module") == MODULE


def _finding(view: View, step: Step) -> Finding:
    name = f"reconciliation: {step.name}"
    started = view.started.get(step.id)
    if started is None:
        return Finding(name, Verdict.NOT_TESTED, "not compared", LIMIT, "", "it did not come to it")
    _, ended = view.ended.get(step.id, (0, None))
    said = ended.detail if ended is not None else "no reply"
    events = (started[1],)
    if ended is None or ended.effect is not Effect.HAPPENED:
        return Finding(name, Verdict.UNKNOWN, "not compared", LIMIT, "", said, events)
    word, _, what = said.partition(": ")
    if word == "equal":
        why = "row counts, sums and hashes of all rows, by bucket of time"
        return Finding(name, Verdict.PASS, what, LIMIT, "", why, events)
    if word == "differs":
        why = "the recovered store holds other rows than its source"
        return Finding(name, Verdict.FAIL, what, LIMIT, "", why, events)
    return Finding(name, Verdict.UNKNOWN, "not compared", LIMIT, "", said or "it said nothing", events)
