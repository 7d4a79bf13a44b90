"""A step that reconciles gives a finding; whatever is not said plainly is unknown."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gameday.history.events import Effect, StepEnded, StepStarted
from gameday.plan.model import NS, Activity, Step, StepKind
from tests.checkers.made import find
from tests.evidence.synthetic import completed

PROVIDER = {"type": "python", "module": "gameday.actions.reconcile", "func": "tables", "arguments": {}}
STEP = Step(
    "9-compare", "compare", StepKind.FAILOVER, 99, NS, do=Activity("compare", json.dumps(PROVIDER), NS)
)


def story(*events):
    made = completed()
    made.plan = replace(made.plan, steps=(*made.plan.steps, STEP))
    for event in events:
        made.add(26 * NS, event)
    return made


@pytest.mark.parametrize(
    ("effect", "said", "verdict"),
    [
        (Effect.HAPPENED, "equal: orders 12 rows in 2 buckets", "pass"),
        (Effect.HAPPENED, "differs: orders: bucket 2026-11-24T21:00:00Z: rows 3 against 2", "fail"),
        (Effect.HAPPENED, "", "unknown"),
        (Effect.INDETERMINATE, "equal: orders 12 rows in 2 buckets", "unknown"),
        (Effect.DID_NOT_HAPPEN, "the server did not answer", "unknown"),
    ],
)
def test_what_it_said_is_the_finding(effect, said, verdict):
    found = find(
        story(StepStarted("9-compare"), StepEnded("9-compare", effect, detail=said)), "reconciliation"
    )
    assert found.verdict == verdict
    assert found.name == "reconciliation: compare"
    assert said.partition(": ")[2] in found.observed + found.why


def test_one_that_it_did_not_come_to_is_not_tested():
    assert find(story(), "reconciliation").verdict == "not_tested"
    assert find(story(StepStarted("9-compare")), "reconciliation").verdict == "unknown"
