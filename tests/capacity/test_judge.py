"""One rate judged: what holds, what fails, what cannot be said, and why."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.capacity.goal import SECOND_NS, Goal, Level, Slice, index_of
from gameday.capacity.judge import Verdict, alpha_at, judge, look_at, looks_ns
from gameday.capacity.settled import settled
from gameday.capacity.shares import estimate, windows_of
from tests.queueing import Server, limit_of, slower_share

LATENCY = Level("p95", 950_000, 250_000)
AVAILABLE = Level("availability", 990_000)
GOAL = Goal((LATENCY, AVAILABLE), duration_min_ns=60 * SECOND_NS, duration_max_ns=120 * SECOND_NS)
LIMIT = limit_of(Server(4, 0.04), 250_000, 0.05)


def second(i, **more):
    """A calm second: 100 requests of 20 ms."""
    calm = {"intended": 100, "started": 100, "late": 0, "dropped": 0, "good": 100, "bad": 0, "waiting": 2,
            "latency": ((index_of(20_000), 100),)}  # fmt: skip
    return Slice(i * SECOND_NS, SECOND_NS, **(calm | more))


def trial(rate, seconds, seed=1, **more):
    return list(islice(Server(4, 0.04, **more).trial(rate, seed), seconds))


def calm(seconds, **more):
    return [second(i, **more) for i in range(seconds)]


def test_the_closed_form_is_what_the_simulation_does():
    slices = list(islice(Server(8, 0.05).trial(140, 3), 400))
    most = sum(w.spoilt_most for w in windows_of(Level("x", 950_000, 200_000), slices))
    least = sum(w.spoilt for w in windows_of(Level("x", 950_000, 200_000), slices))
    n = sum(s.good for s in slices)
    assert least / n * 0.8 < slower_share(8, 0.05, 140, 0.2) < most / n * 1.2


def test_half_the_limit_holds_and_twice_the_limit_fails():
    low = judge(GOAL, trial(LIMIT * 0.5, 150), rate_per_1000s=round(LIMIT * 500))
    assert (low.verdict, low.final, low.reasons) == (Verdict.HOLDS, True, ())
    high = judge(GOAL, trial(LIMIT * 2, 75), rate_per_1000s=round(LIMIT * 2000))
    assert (high.verdict, high.final) == (Verdict.FAILS, True)
    assert "p95: at least" in high.reasons[0]
    assert 900_000 < low.little_ppm < 1_100_000


def test_it_says_too_short_until_the_first_look_and_nothing_new_between_looks():
    slices = trial(LIMIT * 0.97, 140)
    early = judge(GOAL, slices[:69], rate_per_1000s=round(LIMIT * 970))
    assert (early.verdict, early.reasons, early.final) == (
        Verdict.UNDECIDED,
        ("too short to be judged",),
        False,
    )
    at = judge(GOAL, slices[:70], rate_per_1000s=round(LIMIT * 970))
    assert at.look == 0 == look_at(GOAL, slices[:70])
    assert look_at(GOAL, slices[:69]) == -1 == look_at(GOAL, ())
    assert all(judge(GOAL, slices[:n], rate_per_1000s=round(LIMIT * 970)) == at for n in (71, 90, 99))
    assert judge(GOAL, slices[:100], rate_per_1000s=round(LIMIT * 970)).look == 1


@given(st.integers(1, 600), st.integers(1, 3600), st.integers(1, 20))
def test_the_error_spent_on_all_looks_is_the_error_promised(least_s, most_s, trials):
    goal = Goal(
        (LATENCY,), duration_min_ns=least_s * SECOND_NS, duration_max_ns=most_s * SECOND_NS, trials=trials
    )
    looks = looks_ns(goal)
    assert list(looks) == sorted(set(looks))
    assert sum(alpha_at(goal, i) for i in range(len(looks))) == pytest.approx(0.05)
    assert all(alpha_at(goal, i) > 0 for i in range(len(looks)))


def test_an_undecided_trial_ends_at_its_longest():
    slices = trial(LIMIT * 1.0, 140, seed=5)
    found = judge(GOAL, slices, rate_per_1000s=round(LIMIT * 1000))
    assert (found.verdict, found.final) == (Verdict.UNDECIDED, True)
    assert found.reasons and "of the requests miss it" in found.reasons[0]
    assert found.levels[0].effective < found.requests / 10, "near the limit they are not independent"


def test_failures_count_against_availability_and_are_not_fast():
    found = judge(GOAL, calm(80, good=90, bad=10, latency=((index_of(20_000), 90),)))
    assert found.verdict == Verdict.FAILS
    assert {reason.split(":")[0] for reason in found.reasons} == {"p95", "availability"}


def test_arrivals_dropped_while_every_user_hangs_are_the_targets_doing():
    goal = replace(GOAL, users_max=200)
    slices = calm(
        80, started=50, dropped=50, good=0, latency=(), waiting=200, ages=((index_of(2_000_000), 200),)
    )
    found = judge(goal, slices, rate_per_1000s=100_000)
    assert (found.verdict, found.generator) == (Verdict.FAILS, ())


def test_a_black_hole_fails_although_nothing_ends():
    slices = [
        second(
            i, good=0, latency=(), waiting=100 * (i + 1), ages=((index_of(500_000 * (i + 1)), 100 * (i + 1)),)
        )
        for i in range(80)
    ]
    assert judge(GOAL, slices, rate_per_1000s=100_000).verdict == Verdict.FAILS


def test_a_request_that_is_overdue_and_then_ends_is_spoilt_once():
    slow = index_of(3_000_000)
    slices = [
        second(0, good=0, latency=(), waiting=5, ages=((index_of(900_000), 5),)),
        second(1, good=0, latency=(), waiting=5, ages=((index_of(1_900_000), 5),)),
        second(2, good=3, bad=2, latency=((slow, 3),)),
    ]
    windows = windows_of(LATENCY, slices)
    assert [(w.requests, w.spoilt) for w in windows] == [(5, 5), (0, 0), (0, 0)]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 20), st.integers(0, 20), st.integers(0, 30)),
        min_size=1,
        max_size=20,
    )
)
def test_spoilt_is_never_more_than_what_was_settled(rows):
    fast, slow = index_of(1000), index_of(10**6)
    slices = [
        second(i, good=f + s, bad=b, latency=((fast, f), (slow, s)), ages=((slow, a),), waiting=a)
        for i, (f, s, b, a) in enumerate(rows)
    ]
    windows = windows_of(LATENCY, slices)
    assert all(0 <= w.spoilt <= w.spoilt_most <= w.requests for w in windows)
    assert sum(w.spoilt for w in windows) >= sum(s + b for _, s, b, _ in rows)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"busy_ppm": 950_000}, "a generator was busy above 90 % of its core in"),
        ({"late": 10, "started": 90}, "the generators did not get to run"),
        (
            {"intended": 80, "started": 80, "good": 80, "latency": ((index_of(20_000), 80),)},
            "arrivals were offered where",
        ),
        ({"waiting": 20}, "Little's law"),
    ],
)
def test_a_generator_that_is_not_to_be_believed_names_itself(more, word):
    for spoil in ({}, {"bad": 0}):
        found = judge(GOAL, calm(140, **(more | spoil)), rate_per_1000s=100_000)
        assert (found.verdict, found.final) == (Verdict.UNDECIDED, True)
        assert any(word in reason for reason in found.generator) and found.reasons[0] == found.generator[0]


def test_too_few_users_are_the_generators_fault():
    goal = replace(GOAL, users_max=20)
    slices = calm(140, waiting=20, latency=((index_of(400_000), 100),))
    found = judge(goal, slices, rate_per_1000s=100_000)
    assert found.verdict == Verdict.UNDECIDED
    assert any("all 20 users were waiting; at this rate and limit at least 50" in g for g in found.generator)


def test_seconds_without_any_count_are_not_good_seconds():
    slices = calm(140)
    slices[60:70] = [second(i, intended=0, started=0, good=0, latency=(), waiting=0) for i in range(60, 70)]
    found = judge(GOAL, slices, rate_per_1000s=0)
    assert found.verdict == Verdict.UNDECIDED and "nothing was counted" in found.generator[0]


def test_what_gets_worse_does_not_hold_although_all_of_it_would():
    slices = calm(130)
    for i in range(75, 130):
        slices[i] = second(i, latency=((index_of(20_000), 94), (index_of(600_000), 6)), waiting=5)
    found = judge(replace(GOAL, duration_max_ns=60 * SECOND_NS), slices)
    assert found.verdict != Verdict.HOLDS


def test_a_slow_start_is_cut_and_said():
    slices = trial(LIMIT * 0.8, 400, warm_s=30.0)
    goal = replace(GOAL, duration_min_ns=200 * SECOND_NS, duration_max_ns=390 * SECOND_NS)
    found = judge(goal, slices)
    assert found.verdict == Verdict.HOLDS and found.cut_ns > goal.warm_up_ns


def test_what_slows_down_is_not_warm_up():
    slices = [second(i, latency=((index_of(20_000 + 500 * i), 100),)) for i in range(100)]
    assert settled(slices, 10 * SECOND_NS) == (10, True)
    assert settled(slices[::-1], 0)[0] > 0


def test_a_limit_inside_a_bucket_is_neither_proven_nor_refuted():
    level = Level("p95", 950_000, 250_000)
    goal = Goal((level,), duration_min_ns=60 * SECOND_NS, duration_max_ns=60 * SECOND_NS)
    found = judge(goal, calm(75, latency=((index_of(250_000), 100),), waiting=25))
    assert (found.levels[0].low_ppm, found.levels[0].high_ppm) == (0, 1_000_000)
    assert found.verdict == Verdict.UNDECIDED


def test_ten_spoilt_in_a_row_tell_less_than_ten_apart():
    apart = [(100, 2)] * 100
    inside = [(100, 20 if i % 30 == 0 else 0) for i in range(100)]
    spread = estimate(apart, 0.05, queued=False)
    clustered = estimate(inside, 0.05, queued=False)
    assert spread.effective == 10_000
    assert clustered.effective < 0.2 * clustered.requests
    assert clustered.upper(0.05) - clustered.share > 2 * (spread.upper(0.05) - spread.share)


def test_nothing_spoilt_gives_the_rule_of_three():
    none = estimate([(100, 0)] * 100, 0.01, queued=False)
    assert none.upper(0.05) == pytest.approx(1 - 0.05 ** (1 / none._worth(0.05)), rel=1e-3)
    assert none.lower(0.05) == 0.0
    assert estimate([], 0.01, queued=False).upper(0.05) == 1.0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), min_size=1, max_size=60))
def test_the_bounds_hold_the_share(rows):
    found = estimate([(n, round(n * x)) for n, x in rows], 0.05, queued=True)
    assert found.lower(0.05) <= found.share + 1e-6 <= found.upper(0.05) + 2e-6 or not found.requests
    assert 0 <= found.lower(0.001) <= found.lower(0.05) + 1e-6


def test_many_buckets_of_a_tenth_judge_as_their_seconds_do():
    tenths = [
        replace(s, start_ns=s.start_ns + k * SECOND_NS // 10, length_ns=SECOND_NS // 10, intended=10, started=10,
                good=10, latency=((index_of(20_000), 10),))
        for s in calm(75)
        for k in range(10)
    ]  # fmt: skip
    assert judge(GOAL, tenths, rate_per_1000s=100_000) == judge(GOAL, calm(75), rate_per_1000s=100_000)
