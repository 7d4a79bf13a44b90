"""How throughput grows with concurrency, where the knee is, and what a request costs.

point_of(judgement) -> Point                one trial: in flight, throughput, latency
knee(points) -> Knee | None                 largest power (throughput / latency; Kleinrock 1979)
fit_usl(points) -> Usl | None               Universal Scalability Law (Gunther 2007), jackknife intervals
headroom_ppm(proven, peak)                  what is left above the forecast, may be negative
cost_per_million(price_micro_per_hour, rate)   in millionths of the currency
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gameday.capacity.distributions import t_quantile
from gameday.capacity.goal import PPM
from gameday.capacity.judge import Judgement

POINTS_MIN = 5


@dataclass(frozen=True, slots=True)
class Point:
    """One trial in steady state. `in_flight_per_1000`: mean requests under way, times 1000."""

    rate_per_1000s: int
    throughput_per_1000s: int
    in_flight_per_1000: int
    mean_latency_us: int


@dataclass(frozen=True, slots=True)
class Knee:
    """The trial with the largest throughput / latency; its neighbours bound where the knee can be."""

    rate_per_1000s: int
    low_per_1000s: int
    high_per_1000s: int
    latency_us: int


@dataclass(frozen=True, slots=True)
class Range:
    """A value and the interval (95 %) it lies in."""

    value: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Usl:
    """X(N) = gamma N / (1 + sigma (N - 1) + kappa N (N - 1)).

    gamma in requests per 1000 s for one request under way; sigma (contention) and kappa (coherency) in
    ppm; the peak throughput per 1000 s, None when the fit has no peak. `points`: how many it rests on.
    """

    gamma_per_1000s: Range
    sigma_ppm: Range
    kappa_ppm: Range
    peak_per_1000s: Range | None
    peak_in_flight_per_1000: int | None
    points: int
    error_ppm: int


def point_of(judgement: Judgement) -> Point:
    """Return what a trial says about throughput and concurrency."""
    return Point(
        judgement.rate_per_1000s,
        judgement.throughput_per_1000s,
        judgement.in_flight_per_1000,
        judgement.mean_latency_us,
    )


def knee(points: Sequence[Point]) -> Knee | None:
    """Return the trial with the largest power (throughput / latency), or None with fewer than three.

    Source: Kleinrock, Power and deterministic rules of thumb, ICC 1979.
    """
    ordered = sorted({p.rate_per_1000s: p for p in points if p.mean_latency_us > 0}.values(), key=_rate)
    if len(ordered) < 3:
        return None
    best = max(
        range(len(ordered)), key=lambda i: ordered[i].throughput_per_1000s / ordered[i].mean_latency_us
    )
    low, high = ordered[max(best - 1, 0)], ordered[min(best + 1, len(ordered) - 1)]
    return Knee(
        ordered[best].rate_per_1000s, low.rate_per_1000s, high.rate_per_1000s, ordered[best].mean_latency_us
    )


def _rate(point: Point) -> int:
    return point.rate_per_1000s


def fit_usl(points: Sequence[Point]) -> Usl | None:
    """Return the fit with its uncertainty, or None with fewer than five different concurrencies.

    N / X(N) is linear in the coefficients, which may not be negative; errors are relative, so the squares of
    relative errors are least. The intervals are the jackknife's, with Student's t. Open-loop trials that
    could not keep up have no steady state: leave them out.

    Source: Gunther, Guerrilla Capacity Planning, 2007, ch. 5; Efron & Tibshirani 1993, ch. 11.
    """
    used = [p for p in points if p.in_flight_per_1000 > 0 and p.throughput_per_1000s > 0]
    if len({p.in_flight_per_1000 for p in used}) < POINTS_MIN:
        return None
    whole = _coefficients(used)
    parts = [_coefficients(used[:i] + used[i + 1 :]) for i in range(len(used))]
    if whole is None or any(part is None for part in parts):
        return None
    values = [_figures(whole), *(_figures(part) for part in parts if part is not None)]
    gamma, sigma, kappa = (_range([v.law[i] for v in values]) for i in range(3))
    # Coherency that may as well be 0 has no peak to tell of.
    peaks = [v.peak for v in values if v.peak is not None and kappa.low > 0]
    errors = [abs(_throughput(whole, p) / (p.throughput_per_1000s / 1000) - 1) for p in used]
    return Usl(
        gamma_per_1000s=gamma,
        sigma_ppm=sigma,
        kappa_ppm=kappa,
        peak_per_1000s=_range(peaks) if len(peaks) == len(values) else None,
        peak_in_flight_per_1000=round(values[0].at) if len(peaks) == len(values) else None,
        points=len(used),
        error_ppm=round(max(errors) * PPM),
    )


def _coefficients(points: Sequence[Point]) -> tuple[float, float, float] | None:
    """Return (a, b, c) of N / X = a + b (N - 1) + c N (N - 1), none negative, of least relative error."""
    rows = []
    for p in points:
        n, y = p.in_flight_per_1000 / 1000, p.in_flight_per_1000 / p.throughput_per_1000s
        rows.append((1 / y, (n - 1) / y, n * (n - 1) / y))
    best: tuple[float, tuple[float, float, float]] | None = None
    for kept in ((0, 1, 2), (0, 1), (0, 2), (0,)):
        solved = _least_squares(rows, kept)
        if solved is None or min(solved) < 0 or solved[0] <= 0:
            continue
        error = math.fsum((sum(x * k for x, k in zip(row, solved, strict=True)) - 1) ** 2 for row in rows)
        if best is None or error < best[0]:
            best = (error, solved)
    return best[1] if best else None


def _least_squares(
    rows: Sequence[tuple[float, float, float]], kept: tuple[int, ...]
) -> tuple[float, float, float] | None:
    """Return the coefficients, 0 where not kept, that bring every row closest to 1; None when singular."""
    size = len(kept)
    table = [
        [math.fsum(row[i] * row[j] for row in rows) for j in kept] + [math.fsum(row[i] for row in rows)]
        for i in kept
    ]
    for i in range(size):
        pivot = max(range(i, size), key=lambda k: abs(table[k][i]))
        table[i], table[pivot] = table[pivot], table[i]
        if abs(table[i][i]) < 1e-12 * max(abs(v) for v in table[i]):
            return None
        for k in range(size):
            if k != i:
                factor = table[k][i] / table[i][i]
                table[k] = [a - factor * b for a, b in zip(table[k], table[i], strict=True)]
    found = [0.0, 0.0, 0.0]
    for i, k in enumerate(kept):
        found[k] = table[i][size] / table[i][i]
    return found[0], found[1], found[2]


@dataclass(frozen=True, slots=True)
class _Figures:
    """gamma per 1000 s, sigma, kappa in ppm; the peak per 1000 s, and the concurrency (x 1000) it is at."""

    law: tuple[float, float, float]
    peak: float | None
    at: float


def _figures(coefficients: tuple[float, float, float]) -> _Figures:
    a, b, c = coefficients
    law = 1000 / a, b / a * PPM, c / a * PPM
    if c <= 0 or a <= b:
        return _Figures(law, None, 0.0)
    n = max(math.sqrt((a - b) / c), 1.0)
    return _Figures(law, 1000 * n / (a + b * (n - 1) + c * n * (n - 1)), 1000 * n)


def _throughput(coefficients: tuple[float, float, float], point: Point) -> float:
    a, b, c = coefficients
    n = point.in_flight_per_1000 / 1000
    return n / (a + b * (n - 1) + c * n * (n - 1))


def _range(values: Sequence[float]) -> Range:
    """Return the first value with its jackknife interval, from the others: each with a point left out."""
    value, *rest = values
    count = len(rest)
    middle = math.fsum(rest) / count
    error = math.sqrt((count - 1) / count * math.fsum((v - middle) ** 2 for v in rest))
    reach = t_quantile(0.975, count - 1) * error
    return Range(round(value), round(max(value - reach, 0.0)), round(value + reach))


def headroom_ppm(proven_per_1000s: int, peak_per_1000s: int) -> int:
    """Return what is proven above the forecast peak, as a share of the peak; negative when it is less."""
    return (proven_per_1000s - peak_per_1000s) * PPM // peak_per_1000s


def cost_per_million(price_micro_per_hour: int, rate_per_1000s: int) -> int:
    """Return the cost of a million requests at a rate, in millionths of the price's currency."""
    return price_micro_per_hour * PPM * 1000 // (rate_per_1000s * 3600)
