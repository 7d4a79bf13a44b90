"""A load's shape: level, sum and the time of each arrival agree, and parts of it add up to the whole."""

from __future__ import annotations

import math
import random

import pytest

from gameday.plan.loadwords import begin_words, peak_per_1000s
from gameday.plan.model import NS, Load, Stage
from gameday.plan.pacing import is_open, pace_of, staged, steady

RAMP = (Stage(0, 50_000), Stage(10 * NS, 50_000), Stage(10 * NS, 150_000), Stage(0, 0), Stage(5 * NS, 0),
        Stage(20 * NS, 20_000))  # fmt: skip


def test_a_row_of_stages_by_hand():
    pace = staged(RAMP)
    assert [pace.level(t) for t in (-1, 0, 5, 10, 15, 19.999, 20, 24, 35, 45, 1000)] == pytest.approx(
        [0, 50, 50, 50, 100, 149.99, 0, 0, 10, 20, 20]
    )
    assert [pace.count(t) for t in (0, 10, 15, 20, 25, 45, 55)] == pytest.approx(
        [0, 500, 875, 1500, 1500, 1700, 1900]
    )
    assert pace.time_of(500) == pytest.approx(10)
    assert pace.time_of(1500) == pytest.approx(20)  # The last before the pause is due before it.
    assert pace.time_of(1501) > 25


def test_an_arrival_is_due_when_the_sum_reaches_its_number():
    draw = random.Random(5)
    for _ in range(50):
        stages = [Stage(draw.choice((0, draw.randrange(10 * NS))), draw.randrange(200_000)) for _ in range(8)]
        pace = staged([*stages, Stage(0, 1000)])
        times = [pace.time_of(n) for n in range(1, 300)]
        assert times == sorted(times)
        for number, at_s in enumerate(times, 1):
            assert pace.count(at_s) == pytest.approx(number, rel=1e-6)
            assert pace.count(at_s - 1e-3) < number


def test_the_level_is_how_fast_the_sum_grows():
    pace = staged(RAMP)
    for at_s in (3.0, 12.5, 22.0, 30.0, 50.0):
        grown = (pace.count(at_s + 1e-4) - pace.count(at_s - 1e-4)) / 2e-4
        assert grown == pytest.approx(pace.level(at_s), abs=1e-3)


def test_parts_add_up_and_a_pace_of_nothing_never_comes():
    whole, part = staged(RAMP), staged(RAMP, 4)
    for at_s in (1.0, 15.0, 33.0):
        assert 4 * part.count(at_s) == pytest.approx(whole.count(at_s))
    assert steady(0.0).time_of(1) == math.inf
    assert staged([Stage(NS, 1000), Stage(NS, 0)]).time_of(2) == math.inf


def test_what_a_load_begins_with():
    def load(**more):
        return Load("l", "l.py", "0", **more)

    assert pace_of(load(rate_per_1000s=2500)).count(10) == 25
    assert pace_of(load(users=7)).level(3) == 7
    assert pace_of(load(shape=True)) is None
    assert is_open(load(stages=RAMP))
    assert not is_open(load(stages=(Stage(NS, None, 5),)))
    assert peak_per_1000s(load(stages=RAMP)) == 150_000
    assert peak_per_1000s(load(users=3)) is None
    assert begin_words(load(stages=RAMP)) == "6 stages up to 150/s, in the end 20/s"
    assert begin_words(load(users=1)) == "1 user"
    assert begin_words(load(shape=True)) == "the shape in its file"
