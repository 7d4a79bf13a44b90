"""Load of several generators: checkers and verifier agree on what was asked, offered, and covered."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from gameday.history.loadevents import LoadAsked, LoadReported
from gameday.plan.model import Stage
from tests.simulated import simulate
from tests.verify.test_differential import disagreements, perturbed

NS = 1_000_000_000


def of_a_crew(drill, dice):
    """The same drill, its load from several generators, asked in several ways, and some of it lost."""
    load = list(drill.trace.load)
    count = dice.randrange(1, 4)
    lost_ns = load[dice.randrange(len(load))].start_ns
    parts = [
        replace(bucket, generator=number)
        for bucket in load
        for number in range(count)
        if number or bucket.start_ns < lost_ns
    ]
    begin_ns, end_ns = load[0].start_ns, load[-1].start_ns
    asks = [
        (
            begin_ns,
            LoadAsked("orders", "start", *dice.choice([(50_000 * count, None), (None, None), (None, 4)])),
        )
    ]
    for _ in range(dice.randrange(3)):
        change = LoadAsked("orders", "change", *dice.choice([(dice.randrange(90_000), None), (None, 7)]))
        asks.append((dice.randrange(begin_ns, end_ns + 1), change))
    if dice.random() < 0.8:
        asks.append((end_ns, LoadAsked("orders", "stop")))
    if dice.random() < 0.7:
        asks.append((lost_ns, LoadReported("orders", "short", "generator 1 was lost")))
    records = list(drill.trace.records)
    more = [replace(records[0], at_ns=at_ns, event=event) for at_ns, event in asks]
    first, *rest = records
    records = [first, *sorted([*rest, *more], key=lambda record: record.at_ns)]
    stages = tuple(
        Stage(dice.randrange(5) * NS, dice.randrange(100_000), None) for _ in range(dice.randrange(4))
    )
    plan = replace(
        drill.plan,
        load=tuple(
            replace(item, stages=stages, processes=count, arrivals=dice.choice(["constant", "poisson"]))
            for item in drill.plan.load
        ),
    )
    return plan, replace(drill.trace, records=tuple(records), load=tuple(parts))


def wrong_of(seeds):
    wrong = {}
    for seed in seeds:
        drill, dice = simulate(seed), random.Random(seed)
        if not drill.trace.load:
            continue
        plan, trace = of_a_crew(drill, dice)
        for name, one in (("", trace), (" perturbed", perturbed(trace, dice))):
            found = disagreements(plan, one)
            if found:
                wrong[f"{seed}{name}"] = found[0]
    return wrong


def test_they_agree_on_loads_of_several_generators():
    assert not wrong_of(range(8))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_they_agree_on_thousands_of_them():
    assert not wrong_of(range(2000))
