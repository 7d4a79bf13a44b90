"""Arrivals: even or at random, they keep the rate; parts of a stream add up; a new pace acts at once."""

from __future__ import annotations

import statistics

import pytest

from gameday.hosts.loadarrivals import Arrivals
from gameday.plan.model import NS, Stage
from gameday.plan.pacing import staged, steady


def taken(arrivals, until_s):
    found = []
    while arrivals.due_s() <= until_s:
        found.append(arrivals.due_s())
        arrivals.advance()
    return found


def stream(pace, *, poisson=False, seed="1", place=1.0, began_s=0.0):
    made = Arrivals(poisson=poisson, seed=seed)
    made.follow(pace, began_s, place)
    return made


def test_constant_parts_are_even_together():
    parts = [taken(stream(steady(25.0), place=(n + 1) / 4), 10.0) for n in range(4)]
    times = sorted(at_s for part in parts for at_s in part)
    assert times == pytest.approx([(n + 1) / 100 for n in range(1000)])


def test_poisson_parts_add_up_to_a_poisson_stream_at_the_rate():
    parts = [taken(stream(steady(50.0), poisson=True, seed=f"7/l/{n}"), 100.0) for n in range(4)]
    times = sorted(at_s for part in parts for at_s in part)
    gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
    assert len(times) == pytest.approx(20_000, rel=0.03)  # Four standard deviations.
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)  # As of an exponential.
    assert taken(stream(steady(50.0), poisson=True, seed="7/l/2"), 100.0) == parts[2]
    assert parts[0] != parts[1]


def test_a_new_pace_acts_at_once_and_loses_nothing():
    one = stream(steady(0.1))
    assert one.due_s() == pytest.approx(10.0)
    one.follow(steady(1000.0), 5.0)  # Half a gap has passed.
    assert one.due_s() == pytest.approx(5.0005)
    one.follow(steady(0.0), 5.0001)
    assert one.due_s() == float("inf")
    one.follow(steady(2.0), 100.0)
    assert 100.0 < one.due_s() < 100.5


def test_stages_are_followed():
    times = taken(stream(staged([Stage(10 * NS, 100_000), Stage(0, 10_000)])), 20.0)
    assert len([t for t in times if t <= 10]) == 500
    assert len([t for t in times if t > 10]) == 100
