"""What each request says of itself on demand, so that the target's traces can be joined with the drill.

    traceparent: 00-<16 digits of the run, 16 at random>-<span at random>-01
    baggage: gameday.run=<run>,gameday.load=<load>,gameday.step=<step>

A trace for each request, not one for the run: a trace of a million spans can be shown by no tool. All
traces of a run begin with the same sixteen digits.

Source: W3C Trace Context (level 2), sections 3.2 and 4.3; W3C Baggage, section 3.
"""

from __future__ import annotations

import hashlib
import random
from urllib.parse import quote


class Tracer:
    """Makes the headers of one request after the other."""

    def __init__(self, run: str, load: str) -> None:
        self._prefix = trace_prefix(run)
        self._fixed = f"gameday.run={_value(run)},gameday.load={_value(load)}"
        self._baggage = self._fixed
        self._bits = random.SystemRandom().getrandbits(64)
        # A generator of its own: the file may have seeded the common one.
        self._draw = random.Random(self._bits).getrandbits  # noqa: S311 - not a secret

    def at_step(self, step: str) -> None:
        """Name the step that runs from now on; empty for none."""
        self._baggage = f"{self._fixed},gameday.step={_value(step)}" if step else self._fixed

    def headers(self) -> dict[str, str]:
        """Return the headers of the next request."""
        draw = self._draw
        return {
            "traceparent": f"00-{self._prefix}{draw(64):016x}-{draw(64) or 1:016x}-01",
            "baggage": self._baggage,
        }


def trace_prefix(run: str) -> str:
    """Return the sixteen digits that every trace of a run begins with."""
    return hashlib.sha256(run.encode()).hexdigest()[:16]


def _value(text: str) -> str:
    return quote(text, safe="")[:200]
