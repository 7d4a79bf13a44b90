"""The few distribution functions that judging needs: normal, Student's t and beta, in pure Python.

They are good to about 1e-9, and what leaves the room is rounded to whole ppm, so that two machines whose
mathematical libraries differ in the last bit say the same.

Source: the continued fraction of the incomplete beta function by Lentz's method, NIST DLMF 8.17.22;
Abramowitz & Stegun 26.7 for Student's t.
"""

from __future__ import annotations

import math
from collections.abc import Callable

_TINY = 1e-300
_TERMS_MAX = 500


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), for a, b > 0."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta_cdf(1.0 - x, b, a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > _TINY else _TINY)
    value = d
    for m in range(1, _TERMS_MAX):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + term * d
            d = 1.0 / (d if abs(d) > _TINY else _TINY)
            c = 1.0 + term / c
            c = c if abs(c) > _TINY else _TINY
            value *= c * d
        if abs(c * d - 1.0) < 1e-13:
            break
    return value


def beta_quantile(p: float, a: float, b: float) -> float:
    """Return x with I_x(a, b) = p."""
    return _solve(lambda x: beta_cdf(x, a, b), p, 0.0, 1.0)


def t_quantile(p: float, df: float) -> float:
    """Return the p-quantile of Student's t with `df` degrees of freedom, 0.5 <= p < 1."""

    def cdf(t: float) -> float:
        return 1.0 - 0.5 * beta_cdf(df / (df + t * t), df / 2, 0.5)

    high = 2.0
    while cdf(high) < p and high < 1e6:
        high *= 2
    return _solve(cdf, p, 0.0, high)


def normal_quantile(p: float) -> float:
    """Return the p-quantile of the standard normal distribution, 0.5 <= p < 1."""
    return _solve(lambda z: 0.5 * math.erfc(-z / math.sqrt(2)), p, 0.0, 10.0)


def _solve(rising: Callable[[float], float], target: float, low: float, high: float) -> float:
    for _ in range(40):
        middle = (low + high) / 2
        if rising(middle) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2
