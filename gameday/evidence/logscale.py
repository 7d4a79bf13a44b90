"""A logarithmic scale of latencies, from microseconds to a place on the page, with ticks worth reading."""

from __future__ import annotations

import math
from dataclasses import dataclass

TICKS_MAX = 9


@dataclass(frozen=True, slots=True)
class LogScale:
    """Maps values in [low, high] onto [at_low, at_high] pixels; what lies outside is held at the ends."""

    low: float
    high: float
    at_low: float
    at_high: float

    def place(self, value: float) -> float:
        """Return where a value lies."""
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self.at_low + min(max(share, 0.0), 1.0) * (self.at_high - self.at_low)

    def ticks(self) -> list[float]:
        """Return round values on the scale: 1, 2 and 5 of each power of ten, or fewer where it is long."""
        for steps in ((1, 2, 5), (1, 3), (1,)):
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            found = [step * 10.0**power for power in range(first, last + 1) for step in steps]
            found = [v for v in found if self.low * 0.999 <= v <= self.high * 1.001]
            if len(found) <= TICKS_MAX:
                break
        return found


def around(low: float, high: float, at_low: float, at_high: float) -> LogScale:
    """Return a scale that holds [low, high] with a little room, and never less than half a decade."""
    low, high = low * 0.93, high * 1.07
    middle, reach = math.sqrt(low * high), max(math.sqrt(high / low), 10**0.25)
    return LogScale(middle / reach, middle * reach, at_low, at_high)


def in_ms(value_us: float) -> str:
    """Return a latency with the digits that are worth reading: `0.42 ms`, `8.1 ms`, `153 ms`, `2.10 s`."""
    if value_us < 1000:
        return f"{value_us / 1000:.2f} ms"
    if value_us < 100_000:
        return f"{value_us / 1000:.1f} ms"
    return f"{value_us / 1000:.0f} ms" if value_us < 1_000_000 else f"{value_us / 1e6:.2f} s"


def tick_words(value_us: float) -> str:
    """Return a round latency for an axis."""
    return f"{value_us / 1e6:g} s" if value_us >= 1e6 else f"{value_us / 1000:g} ms"
