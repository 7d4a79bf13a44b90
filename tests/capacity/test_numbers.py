"""Distributions against tables, histogram indices against the history's, sums of buckets."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.capacity.distributions import beta_cdf, beta_quantile, normal_quantile, t_quantile
from gameday.capacity.goal import (
    SECOND_NS,
    Slice,
    add,
    coalesce,
    edges_us,
    index_of,
    mean_us,
    over,
    percentile_us,
)
from gameday.history import histogram


@pytest.mark.parametrize(
    ("p", "df", "expected"),
    [(0.95, 4, 2.1318), (0.95, 19, 1.7291), (0.99, 9, 2.8214), (0.995, 19, 2.8609), (0.975, 1, 12.7062)],
)
def test_students_t_is_the_tables(p, df, expected):
    assert t_quantile(p, df) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("p", "expected"), [(0.95, 1.644854), (0.975, 1.959964), (0.9999, 3.719016)])
def test_the_normal_quantile_is_the_tables(p, expected):
    assert normal_quantile(p) == pytest.approx(expected, abs=1e-6)


def test_beta_is_the_binomial_tail():
    """I_p(k, n - k + 1) = P(X >= k) for X binomial (n, p)."""
    n, k, p = 50, 4, 0.05
    tail = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
    assert beta_cdf(p, k, n - k + 1) == pytest.approx(tail, rel=1e-10)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.001, 0.999), st.floats(0.2, 500), st.floats(0.2, 500))
def test_a_beta_quantile_inverts_its_cdf(p, a, b):
    x = beta_quantile(p, a, b)
    if 1e-9 < x < 1 - 1e-9:
        assert beta_cdf(x, a, b) == pytest.approx(p, abs=1e-3 if min(a, b) < 1 else 1e-4)


@given(st.integers(1, 10**10))
def test_indices_are_those_of_the_history(us):
    assert index_of(us) == histogram.index_of(us)
    assert edges_us(index_of(us))[1] == histogram.upper_us(index_of(us))
    assert edges_us(index_of(us))[0] <= us <= edges_us(index_of(us))[1]


@given(
    st.dictionaries(st.integers(1, 10**7), st.integers(1, 50), min_size=1, max_size=30), st.integers(1, 10**7)
)
def test_what_is_over_a_limit_is_bounded_on_both_sides(latencies, limit_us):
    counts = add(((index_of(us), n),) for us, n in latencies.items())
    truly = sum(n for us, n in latencies.items() if us > limit_us)
    surely, at_most = over(counts, limit_us)
    assert surely <= truly <= at_most
    mean = sum(us * n for us, n in latencies.items()) / sum(latencies.values())
    assert mean_us(counts) == pytest.approx(mean, rel=0.01, abs=1)


def test_percentiles_are_the_historys():
    counts = add(((index_of(us), 1),) for us in range(1000, 5000, 7))
    for ratio in (500_000, 990_000):
        assert percentile_us(counts, ratio) == math.ceil(histogram.percentile_us(dict(counts), ratio))
    assert percentile_us((), 500_000) is None


def bucket(start_ns, **more):
    none = {"intended": 0, "started": 0, "late": 0, "dropped": 0, "good": 0, "bad": 0}
    return Slice(start_ns, SECOND_NS // 10, **(none | more))


def test_buckets_of_two_generators_become_seconds():
    parts = [
        bucket(i * SECOND_NS // 10, intended=5, started=5, good=4, waiting=i + g, busy_ppm=100_000 * (g + 1),
               latency=((index_of(1000), 4),))
        for i in range(20)
        for g in (0, 1)
    ]  # fmt: skip
    first, second = coalesce(reversed(parts))
    assert (first.intended, first.good, first.latency) == (100, 80, ((index_of(1000), 80),))
    assert first.waiting == 9 + 10, "a picture of the end, of both"
    assert first.busy_ppm == 200_000, "the busier one"
    assert second.start_ns == SECOND_NS and second.waiting == 19 + 20


def test_a_gap_is_a_second_in_which_nothing_was_counted():
    one, two, three = coalesce([bucket(0, good=1), bucket(2 * SECOND_NS, good=1)])
    assert (one.good, two.good, three.good) == (1, 0, 1)
    assert coalesce([]) == ()
