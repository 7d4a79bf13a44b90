"""What was offered is held against what the plan asked: a dead generator's silence is no full load."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gameday.checkers.offered import asked_of
from gameday.checkers.view import view_of
from gameday.checkers.window import Levels
from gameday.history.loadevents import LoadAsked, LoadBucket, LoadReported
from gameday.plan.model import Load, Stage
from tests.checkers.made import events, find, number, trace_of, without
from tests.evidence.synthetic import completed

NS = 1_000_000_000
LOAD = Load("orders", "p.py", "0" * 64)
LOST = LoadReported("orders", "short", "generator 1 of 2 was lost: it ended with -9")


def asked(load, *asks, last_ns=0):
    bucket = LoadBucket("orders", last_ns - 100_000_000, 0, 0, 0, 0, 0, 0, (), (), 0, 0, 0)
    return asked_of(load, [(at_ns, LoadAsked("orders", ask, rate)) for at_ns, ask, rate in asks], [bucket])


def test_rates_add_up_over_time_until_the_stop():
    found = asked(LOAD, (0, "start", 50_000), (4 * NS, "change", 100_000), (6 * NS, "stop", None))
    assert (found.arrivals, found.slack) == (400, 16)  # A slice of each rate, and one.


def test_without_a_stop_it_was_asked_until_the_last_slice():
    assert asked(LOAD, (NS, "start", 50_000), last_ns=3 * NS).arrivals == 100


def test_stages_are_straight_lines_and_the_last_level_lasts():
    load = replace(LOAD, stages=(Stage(0, 10_000), Stage(10 * NS, 30_000), Stage(0, 5_000)))
    assert asked(load, (0, "start", None), (5 * NS, "stop", None)).arrivals == 75
    assert asked(load, (0, "start", None), (14 * NS, "stop", None)).arrivals == 220
    assert (
        asked(load, (0, "start", None), (10 * NS, "change", 1_000), (11 * NS, "stop", None)).arrivals == 201
    )


def test_poisson_arrivals_may_be_fewer_by_chance_and_users_are_not_counted():
    poisson = asked(replace(LOAD, arrivals="poisson"), (0, "start", 100_000), (100 * NS, "stop", None))
    assert (poisson.arrivals, poisson.slack) == (10_000, 11 + 400)
    assert asked_of(LOAD, [(0, LoadAsked("orders", "start", users=5))], []) is None
    assert asked(LOAD, (0, "change", 5)) is None


def lost_at(share, workers=0):
    """A run of two generators, the first of which dies when `share` of the load's slices are there."""
    story = completed()
    story.plan = replace(
        story.plan, load=tuple(replace(load, processes=2, workers=workers) for load in story.plan.load)
    )
    at_ns = story.load[int(len(story.load) * share)].start_ns
    half = {"intended": 2, "started": 2, "good": 2, "bad": 0, "latency": ((1400, 2),)}
    story.load = [
        replace(b, generator=g, **(half | ({} if g else {"intended": 3, "started": 3})))
        for b in story.load for g in (0, 1) if g or b.start_ns < at_ns
    ]  # fmt: skip
    story.add(at_ns, LOST)
    return story, at_ns


@pytest.mark.parametrize(("workers", "noun"), [(0, "generators"), (2, "workers")])
def test_a_load_short_of_what_was_asked_is_unknown_in_words(workers, noun):
    story, at_ns = lost_at(0.8, workers)
    found = find(story, "load orders")
    assert found.verdict == "unknown"
    share = number(found, "intended") / number(found, "asked")
    assert 0.85 < share < 0.95
    words = f"1 of 2 {noun} was lost at {at_ns / 1e9:.1f} s; {int(share * 1000) / 10:.1f} % of the asked load"
    assert found.why.startswith(words)
    assert number(found, "times_short") == 1
    assert found.events


def test_a_loss_that_others_took_over_at_once_is_said_and_passes():
    story, _ = lost_at(0.8)
    story.load = completed().load
    found = find(story, "load orders")
    assert found.verdict == "pass"
    assert "1 of 2 generators was lost" in found.why and "% of the asked load was offered" in found.why


def test_users_whose_generator_was_lost_leave_it_unknown():
    story, _ = lost_at(0.8)
    events(story, LoadAsked, rate_per_1000s=None, users=10)
    found = find(story, "load orders")
    assert found.verdict == "unknown"
    assert "what users would have done meanwhile cannot be told" in found.why
    without(story, LoadReported)
    assert find(story, "load orders").verdict == "pass"


def test_a_load_that_was_short_for_another_reason_says_which():
    story = completed()
    story.add(20 * NS, LoadReported("orders", "short", "a user ended in on_start: no account"))
    assert "short since 20.0 s, a user ended in on_start: no account; " in find(story, "load orders").why
    events(story, LoadAsked, rate_per_1000s=None, users=10)
    assert find(story, "load orders").verdict == "unknown"


def test_a_generator_that_stood_still_is_no_full_load():
    story = completed()
    story.load = story.load[: len(story.load) * 3 // 4]
    found = find(story, "load orders")
    assert found.verdict == "unknown"
    assert "the generator stood still" in found.why


@pytest.mark.parametrize(
    ("more", "words"), [({}, "raise `processes` (now 1)"), ({"workers": 3}, "raise the number of workers")]
)
def test_a_generator_that_is_too_slow_names_itself(more, words):
    story = completed()
    story.plan = replace(story.plan, load=tuple(replace(load, **more) for load in story.plan.load))
    story.load = [replace(b, started=0, late=b.intended, busy_ppm=970_000) for b in story.load]
    found = find(story, "load orders")
    assert found.verdict == "unknown"
    assert f"it took 97 % of a core: {words}" in found.why


def test_the_slices_of_two_generators_cover_no_more_time_than_those_of_one():
    story = completed()
    one = view_of(story.plan, trace_of(story))
    story.load = [replace(b, generator=g) for b in story.load for g in (0, 1)]
    two = view_of(story.plan, trace_of(story))
    objective = story.plan.objectives[0]
    rates = [Levels(view, objective)._baseline_rate for view in (one, two)]
    assert rates[1] == 2 * rates[0]
    half = [b for b in story.load if b.start_ns // 100_000_000 % 3 == 0]  # A third of the time, twice.
    story.load = half
    assert Levels(view_of(story.plan, trace_of(story)), objective)._baseline_rate is None
