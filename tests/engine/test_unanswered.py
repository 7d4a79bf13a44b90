"""A target that accepts and never answers is seen by its age, long before any client gives up on it."""

from __future__ import annotations

import pytest

from gameday.engine.readings import figure_words
from gameday.engine.unanswered import NONE_WAITING
from gameday.history.histogram import index_of, upper_us
from gameday.history.loadevents import LoadBucket
from gameday.plan.model import NS
from tests.engine.test_conditions import Drive, condition
from tests.engine.world import MS

RATE = 10  # Requests in a slice of 100 ms.
ANSWERED = {"load": "answered", "below_ppm": 500_000, "within_ns": NS}
P99 = {"load": "p99", "above_ns": 500 * MS, "within_ns": NS}
FAST = {"slo": "fast", "bad_above_ppm": 500_000}


def slice_of(drive, *, good=0, ages_ms=(), generator=0):
    ages = tuple(sorted((index_of(ms * 1000), RATE) for ms in ages_ms))
    latency = ((index_of(10_000), good),) if good else ()
    counts = (RATE, RATE, 0, 0, good, 0, (), latency, 0, 0, 0, generator, ages)
    return LoadBucket("l", drive.now - 100 * MS, *counts)


def stalled(drive, slices, **more):
    """From here on nothing is answered: each slice, all that was asked since is 100 ms older."""
    for number in range(slices):
        drive.now += 100 * MS
        drive.take(drive.now, slice_of(drive, ages_ms=[50 + 100 * n for n in range(number + 1)], **more))
        if drive.halted:
            return number + 1
    return None


def healthy(*conditions):
    drive = Drive(*(condition(**limit) for limit in conditions))
    for _ in range(20):
        drive.now += 100 * MS
        drive.take(drive.now, slice_of(drive, good=RATE, ages_ms=(5,)))
    assert drive.halted is None
    return drive


@pytest.mark.parametrize(
    ("limit", "slices"),
    [
        (ANSWERED, 8),  # 0.8 s: two slices of answers are left in the window, three are older than its half
        ({**ANSWERED, "below_ppm": 900_000}, 6),
        (P99, 6),  # the first that are older than 500 ms for certain
        (FAST, 2),  # an SLO of 100 ms
        ({**ANSWERED, "then": "warn"}, None),
    ],
)
def test_a_black_hole_is_seen_within_a_second(limit, slices):
    assert stalled(healthy(limit), 30) == slices


def test_the_halt_says_how_many_wait():
    drive = healthy(ANSWERED)
    stalled(drive, 30)
    assert drive.halted.reason == "load: less than 50 % of it answered within 1 s: 20 answered, 30 waiting"


def test_errors_alone_do_not_see_it():
    """Which is why the answered share is there."""
    assert stalled(healthy({"load": "errors", "bad_above_ppm": 50_000, "within_ns": NS}), 30) is None


def test_a_slow_target_that_answers_all_it_is_asked_is_answering():
    drive = healthy(ANSWERED)
    for _ in range(40):
        drive.now += 100 * MS
        drive.take(drive.now, slice_of(drive, good=RATE, ages_ms=(50, 150, 250, 350)))
    assert drive.halted is None


def test_one_of_two_generators_in_a_black_hole_counts_by_its_share():
    drive = healthy(ANSWERED)
    for number in range(30):
        drive.now += 100 * MS
        ages = [50 + 100 * n for n in range(number + 1)]
        drive.take(drive.now, slice_of(drive, good=RATE, generator=1))
        drive.take(drive.now, slice_of(drive, ages_ms=ages, generator=0))
        if drive.halted:
            break
    assert number == 15  # as many waiting for half a second and more as are answered in one


def test_what_a_dead_generator_left_unanswered_is_forgotten():
    drive = healthy(condition_that_warns := {**ANSWERED, "then": "warn"})
    assert condition_that_warns["then"] == "warn"
    drive.now += 100 * MS
    drive.take(drive.now, slice_of(drive, ages_ms=(900,), generator=7))
    for _ in range(11):
        drive.now += 100 * MS
        drive.take(drive.now, slice_of(drive, good=RATE))
    assert figure_words(drive.state.meters[0], drive.now) == "100 answered, 0 waiting"


def test_an_age_counts_only_when_it_is_certain():
    """A bucket reaches from the upper edge of the one below it: that edge is what is known."""
    index = index_of(500_000)
    edge_ns = int(upper_us(index - 1) * 1000)
    seen = NONE_WAITING.after(LoadBucket("l", 0, 0, 0, 0, 0, 0, 0, (), (), 0, 0, 0, 0, ((index, 3),)))
    assert seen.older(edge_ns) == ((index, 3),)
    assert seen.older(edge_ns + 1000) == ()


def test_a_service_level_of_the_load_is_missed_by_what_waits():
    drive = healthy(FAST)
    gauge = next(g for g in drive.state.gauges if g.slo.name == "fast")
    assert gauge.is_met() is True
    drive.now += 100 * MS
    drive.take(drive.now, slice_of(drive, ages_ms=(150,)))
    gauge = next(g for g in drive.state.gauges if g.slo.name == "fast")
    assert gauge.is_met() is False
    assert gauge.bad_ppm() == 1_000_000
