"""How throughput grows with concurrency, where the knee is, and what a request costs.

point_of(judgement) -> Point                one trial: in flight, throughput, latency
knee(points) -> Knee | None                 largest power (throughput / latency; Kleinrock 1979)
fit_usl(points) -> Usl | None               Universal Scalability Law (Gunther 2007), jackknife intervals
headroom_ppm(proven, peak)                  what is left above the forecast, may be negative
cost_per_million(price_micro_per_hour, rate)   in millionths of the currency
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gameday.capacity.goal import PPM
from gameday.capacity.judge import Judgement


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
    """A value and the interval (95 %) it lies in. `high` None: without an upper end."""

    value: int
    low: int
    high: int | None


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
    """Return the knee, or None with fewer than three trials."""
    return None


def fit_usl(points: Sequence[Point]) -> Usl | None:
    """Return the fit with its uncertainty, or None with fewer than five different concurrencies."""
    return None


def headroom_ppm(proven_per_1000s: int, peak_per_1000s: int) -> int:
    """Return what is proven above the forecast peak, as a share of the peak; negative when it is less."""
    return (proven_per_1000s - peak_per_1000s) * PPM // peak_per_1000s


def cost_per_million(price_micro_per_hour: int, rate_per_1000s: int) -> int:
    """Return the cost of a million requests at a rate, in millionths of the price's currency."""
    return price_micro_per_hour * PPM * 1000 // (rate_per_1000s * 3600)
