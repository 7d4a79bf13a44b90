"""How sure a share, a percentile or a difference of two of them is, when requests come in clusters.

Requests that are answered close to each other share their fate: one stall delays a hundred of them. An
interval that takes them for independent is far too narrow. So each stretch of time is cut into blocks,
and it is measured how much more the blocks differ than independent requests would (the design effect);
the sample then counts for that much less. Blocks are doubled while at least eight are left, and the
largest effect found is taken, because disturbances last longer than any one length of block.

    share              Wilson's interval with the effective sample size
    percentile         order statistics: exact binomial ranks at the effective size, read from the histogram
    difference         the two intervals' distances, squared and added on either side

All are at 95 %. A percentile's interval is open (None) above where too few requests lie beyond it.

Sources: E. B. Wilson, JASA 22 (1927); R. G. Newcombe, Statistics in Medicine 17 (1998) 873, method 10;
G. Y. Zou and A. Donner, Statistics in Medicine 27 (2008) 1693 (the same for any two estimates); R. S.
Woodruff, JASA 47 (1952) 635 (percentiles of clustered samples); L. Kish, Survey Sampling (1965), design
effect; E. L. Korn and B. I. Graubard, Survey Methodology 24 (1998) 193 (its use in binomial intervals);
H. Flyvbjerg and H. G. Petersen, J. Chem. Phys. 91 (1989) 461 (doubling blocks).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gameday.history.histogram import upper_us

Z = 1.959963984540054  # Two-sided, 95 %.
TAIL = 0.025
BLOCKS_MIN = 8


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the ends of its interval; an end that the sample does not bound is None."""

    value: float
    low: float | None
    high: float | None


def design_effect(blocks: Sequence[tuple[int, int]]) -> float:
    """Return by how much less a clustered sample is worth; 1.0 for an independent one, never less.

    Args:
        blocks: (hits, all) of each block of time, in order; blocks without any count too.
    """
    hits, total = sum(hit for hit, _ in blocks), sum(count for _, count in blocks)
    if not 0 < hits < total:
        return 1.0  # Every block says the same: nothing to tell clusters by.
    share, effect, level = hits / total, 1.0, list(blocks)
    binomial = share * (1 - share) / total
    while len(level) >= 2:
        spread = sum((hit - share * count) ** 2 for hit, count in level)
        variance = spread * len(level) / ((len(level) - 1) * total * total)
        effect = max(effect, variance / binomial)
        if len(level) < 2 * BLOCKS_MIN:
            break
        level = [_joined(level[place : place + 2]) for place in range(0, len(level), 2)]
    return min(effect, float(total))


def _joined(pair: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return sum(hit for hit, _ in pair), sum(count for _, count in pair)


def share_of(hits: int, total: int, effect: float = 1.0) -> Estimate | None:
    """Return the share `hits` of `total` with Wilson's interval; None of nothing."""
    if total <= 0:
        return None
    share, size = hits / total, total / effect
    middle = share + Z * Z / (2 * size)
    reach = Z * math.sqrt(share * (1 - share) / size + Z * Z / (4 * size * size))
    scale = 1 + Z * Z / size
    low, high = (middle - reach) / scale, (middle + reach) / scale
    # At the ends of the scale, where rounding would leave a speck.
    return Estimate(share, 0.0 if not hits else max(low, 0.0), 1.0 if hits == total else min(high, 1.0))


def ranks(size: int, ratio_ppm: int) -> tuple[int, int]:
    """Return the ranks (from 1) between which the quantile of `size` independent values lies at 95 %.

    A low rank of 0, or a high one of `size` + 1, means that the sample does not bound it on that side.
    """
    ratio = ratio_ppm / 1_000_000
    mode = min(int((size + 1) * ratio), size)
    below, above = [], []
    weight, number = 1.0, mode
    while number > 0 and weight > 1e-18:
        weight *= number * (1 - ratio) / ((size - number + 1) * ratio)
        number -= 1
        below.append(weight)
    weight, number = 1.0, mode
    while number < size and weight > 1e-18:
        weight *= (size - number) * ratio / ((number + 1) * (1 - ratio))
        number += 1
        above.append(weight)
    whole = 1.0 + sum(below) + sum(above)
    low = _cut(mode, below, above, TAIL * whole)
    high = size - _cut(size - mode, above, below, TAIL * whole)
    return low, high + 1


def _cut(mode: int, below: list[float], above: list[float], tail: float) -> int:
    """Return the greatest k for which fewer than k hits have no more than `tail` of the weight."""
    seen = 0.0
    number = mode - len(below)
    for weight in (*reversed(below), 1.0, *above):
        seen += weight
        if seen > tail:
            return number
        number += 1
    return number


def percentile_of(counts: Mapping[int, int], ratio_ppm: int, effect: float = 1.0) -> Estimate | None:
    """Return a percentile in microseconds with its interval, by a log-linear histogram; None when empty.

    The value is a bucket's upper edge; the interval reaches from the lower edge of the bucket that holds
    its low rank to the upper edge of the one that holds its high rank.
    """
    total = sum(counts.values())
    if not total:
        return None
    size = max(int(total / effect), 1)
    low, high = ranks(size, ratio_ppm)
    value = _at_rank(counts, max(1, -(-total * ratio_ppm // 1_000_000)))
    return Estimate(
        upper_us(value),
        None if low < 1 else _lower_us(_at_rank(counts, max(1, low * total // size))),
        None if high > size else upper_us(_at_rank(counts, -(-high * total // size))),
    )


def index_at(counts: Mapping[int, int], ratio_ppm: int) -> int:
    """Return the bucket that holds a percentile of counts that are not empty."""
    return _at_rank(counts, max(1, -(-sum(counts.values()) * ratio_ppm // 1_000_000)))


def _at_rank(counts: Mapping[int, int], rank: int) -> int:
    seen = index = 0
    for index in sorted(counts):
        seen += counts[index]
        if seen >= rank:
            break
    return index


def _lower_us(index: int) -> float:
    return upper_us(index - 1)


def difference(later: Estimate | None, earlier: Estimate | None) -> Estimate | None:
    """Return `later` less `earlier` with its interval; None where one of the two is missing."""
    if later is None or earlier is None:
        return None
    value = later.value - earlier.value
    low = _reach(later.value, later.low, earlier.value, earlier.high)
    high = _reach(later.value, later.high, earlier.value, earlier.low)
    return Estimate(value, None if low is None else value - low, None if high is None else value + high)


def _reach(one: float, one_end: float | None, other: float, other_end: float | None) -> float | None:
    if one_end is None or other_end is None:
        return None
    return math.sqrt((one - one_end) ** 2 + (other - other_end) ** 2)
