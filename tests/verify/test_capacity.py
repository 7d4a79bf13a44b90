"""The verifier on capacity sign-offs: it agrees with the checkers, and believes no verdict that the requests deny."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest

from gameday.history.capacityevents import TrialEnded
from gameday.history.histogram import index_of
from gameday.plan.model import NS
from gameday.verify.capacity import _tail, check_capacity
from gameday.verify.run import Run
from gameday.verify.strictjson import parse_canonical
from gameday.canonical import canonical, to_json
from tests.checkers.test_capacity import trace_of
from tests.engine.capacity_world import CapacityWorld, ran, sign_off
from tests.verify.test_differential import disagreements, history_of


def decision(plan, trace):
    data = parse_canonical(canonical(to_json(plan)), "plan.json")
    (found,) = check_capacity(Run(data, history_of(data, trace)))
    return found.numbers["decision"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [{}, {"limit_with_fault": 450}, {"limit": 300}, {"silent_at": 400}, {"halt_at_ns": 9 * NS}],
    ids=str,
)
def test_the_verifier_and_the_checkers_agree(more):
    world = ran(**more)
    trace = trace_of(world, halted="halt_at_ns" in more)
    assert disagreements(world.plan, trace) == []


def test_a_stated_go_that_the_requests_deny_is_not_believed():
    world = ran(search=False)
    trace = trace_of(world)
    assert decision(world.plan, trace) == "GO"
    spoilt = tuple(
        replace(b, latency=((index_of(900_000), 1), (index_of(5_000), b.good - 1))) for b in trace.load
    )
    assert decision(world.plan, replace(trace, load=spoilt)) == "UNDECIDED"


def test_a_trial_shorter_than_the_plan_asks_proves_nothing():
    world = ran(search=False)
    trace = trace_of(world)
    short = tuple(
        replace(r, event=replace(r.event, to_ns=r.event.to_ns - 9 * NS))
        if isinstance(r.event, TrialEnded)
        else r
        for r in trace.records
    )
    assert decision(world.plan, replace(trace, records=short)) == "UNDECIDED"


@pytest.mark.parametrize(("spoilt", "valid", "allowed"), [(0, 299, 0.01), (3, 1000, 0.01), (40, 1000, 0.05)])
def test_the_tail_is_the_binomial_one(spoilt, valid, allowed):
    p = Fraction(str(allowed))
    exact = sum(math.comb(valid, k) * p**k * (1 - p) ** (valid - k) for k in range(spoilt + 1))
    assert _tail(spoilt, valid, allowed) == pytest.approx(float(exact), rel=1e-9)
