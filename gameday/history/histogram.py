"""Latency counts that merge by adding and lose at most 0.8 % of a value.

A latency in whole microseconds falls into bucket `(exponent << 7) + fraction`: 128 buckets for each
power of two. The buckets of two histograms add up, so 100 ms slices sum to any window.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

PERCENTILE_PPM = {"p50": 500_000, "p90": 900_000, "p95": 950_000, "p99": 990_000, "p999": 999_000}


def index_of(latency_us: int) -> int:
    """Return the bucket of a latency of `latency_us` microseconds (at least 1)."""
    mantissa, exponent = math.frexp(max(latency_us, 1))
    return (exponent << 7) + int((mantissa - 0.5) * 256)


def upper_us(index: int) -> float:
    """Return the upper edge of bucket `index`, in microseconds."""
    exponent, fraction = index >> 7, index & 127
    return math.ldexp(0.5 + (fraction + 1) / 256, exponent)


def merge(parts: Iterable[Iterable[tuple[int, int]]]) -> dict[int, int]:
    """Return the sum of many histograms, each an iterable of (bucket, count)."""
    total: dict[int, int] = {}
    for part in parts:
        for index, count in part:
            total[index] = total.get(index, 0) + count
    return total


def percentile_us(counts: Mapping[int, int], ratio_ppm: int) -> float | None:
    """Return the latency (µs) that `ratio_ppm` of the counted events stay below; None when empty.

    The answer is a bucket's upper edge, so it never understates.
    """
    total = sum(counts.values())
    if not total:
        return None
    rank = max(1, -(-total * ratio_ppm // 1_000_000))
    seen = 0
    for index in sorted(counts):
        seen += counts[index]
        if seen >= rank:
            return upper_us(index)
    raise AssertionError("ranks end before the counts do")
