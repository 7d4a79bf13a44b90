"""Intervals hold what they promise: against textbook figures, by brute force, and in simulation."""

from __future__ import annotations

import math
import random
from itertools import accumulate

import pytest

from gameday.checkers.confidence import (
    Estimate,
    design_effect,
    difference,
    index_at,
    percentile_of,
    ranks,
    share_of,
)
from gameday.history.histogram import index_of, merge


def ends(found):
    return found and (found.low, found.high)


def test_newcombes_own_example():
    """56/70 against 48/80: method 10 of Newcombe (1998), table II, gives 0.0524 to 0.3339."""
    found = difference(share_of(56, 70), share_of(48, 80))
    assert found is not None
    assert found.value == pytest.approx(0.2)
    assert ends(found) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_nothing_seen_of_so_many_is_not_nothing():
    assert ends(share_of(0, 30)) == pytest.approx((0.0, 0.1135), abs=5e-5)
    assert ends(share_of(30, 30)) == pytest.approx((0.8865, 1.0), abs=5e-5)
    assert share_of(0, 0) is None
    assert difference(None, share_of(1, 2)) is None


@pytest.mark.parametrize("size", [1, 5, 6, 40, 365, 400])
@pytest.mark.parametrize("ratio_ppm", [500_000, 950_000, 990_000])
def test_ranks_are_those_of_the_binomial_distribution(size, ratio_ppm):
    ratio = ratio_ppm / 1e6
    weights = (math.comb(size, k) * ratio**k * (1 - ratio) ** (size - k) for k in range(size + 1))
    at_most = list(accumulate(weights))
    low = max(k for k in range(size + 1) if (at_most[k - 1] if k else 0.0) <= 0.025)
    high = min(k for k in range(size + 2) if 1 - (at_most[k - 1] if k else 0.0) <= 0.025)
    assert ranks(size, ratio_ppm) == (low, high)


def test_a_percentile_beyond_the_sample_has_no_upper_end():
    counts = {index_of(1000 + n): 1 for n in range(0, 5000, 100)}
    found = percentile_of(counts, 990_000)
    assert found is not None
    assert found.low is not None and found.high is None
    assert percentile_of({}, 990_000) is None
    assert difference(found, Estimate(1.0, 0.5, 1.5)).high is None


def test_half_a_second_of_trouble_is_worth_far_less_than_its_requests():
    even = [(n % 2, 10) for n in range(100)]
    lumped = [(10 if n < 5 else 0, 10) for n in range(100)]
    assert design_effect(even) == 1.0
    assert design_effect(lumped) > 30  # Ten requests of a block are one, and five blocks are one event.
    assert design_effect([(0, 10)] * 50) == 1.0
    plain, wide = share_of(50, 1000), share_of(50, 1000, design_effect(lumped))
    assert wide.high - wide.low > 4 * (plain.high - plain.low)


def clustered(dice, blocks=120, each=10):
    """Blocks whose requests fail together, as a stall makes them: (failed, all) of each."""
    risks = (0.5 if dice.random() < 0.1 else 0.0 for _ in range(blocks))
    return [(sum(dice.random() < risk for _ in range(each)) if risk else 0, each) for risk in risks]


def test_intervals_cover_the_truth_where_requests_are_clustered_and_naive_ones_do_not():
    """Share of failures 5 % in truth, in clusters of ten: 95 % is promised."""
    dice, rounds = random.Random(20), 300
    held = naive = 0
    for _ in range(rounds):
        bads = clustered(dice)
        hits = sum(bad for bad, _ in bads)
        found, plain = share_of(hits, 1200, design_effect(bads)), share_of(hits, 1200)
        held += found.low <= 0.05 <= found.high
        naive += plain.low <= 0.05 <= plain.high
    assert held >= 0.9 * rounds
    assert naive < 0.75 * rounds


@pytest.mark.slow
def test_differences_of_percentiles_cover_the_truth_where_answers_are_slow_together():
    """Two stretches of one minute, answers of a second sharing a slowness; true difference of p95 known."""

    def stretch(dice, scale, seconds=60, each=40):
        by_second = []
        for _ in range(seconds):
            slow = dice.expovariate(1 / 4.0)
            by_second.append([scale * (5 + slow + dice.expovariate(1.0)) for _ in range(each)])
        return by_second

    def p95(by_second):
        indices = [[index_of(int(1000 * v)) for v in second] for second in by_second]
        counts = merge([(index, 1) for index in second] for second in indices)
        edge = index_at(counts, 950_000)
        blocks = [(sum(i <= edge for i in second), len(second)) for second in indices]
        return percentile_of(counts, 950_000, design_effect(blocks)), percentile_of(counts, 950_000)

    dice = random.Random(7)
    long = sorted(v for second in stretch(dice, 1.0, 20_000, 20) for v in second)
    truth_us = 1000 * long[int(0.95 * len(long))] * 0.5  # The later one is half as slow again.
    held = naive = 0
    for _ in range(200):
        (one, plain_one), (two, plain_two) = p95(stretch(dice, 1.0)), p95(stretch(dice, 1.5))
        found, plain = difference(two, one), difference(plain_two, plain_one)
        held += (found.low is None or found.low <= truth_us) and (
            found.high is None or truth_us <= found.high
        )
        naive += plain.low <= truth_us <= plain.high
    assert held >= 180
    assert naive < 120
