"""The load's requests that have no answer yet: what a black hole looks like before any of them times out.

Completions say nothing about a target that accepts and never answers: for as long as the client's
timeout there are none, and a window of none has neither errors nor latencies. So every slice of load
carries the ages of what was unanswered when it ended. The newest picture of each generator is kept here;
one that has fallen behind the others by more than a second is of a generator that is gone.
"""

from __future__ import annotations

from dataclasses import dataclass

from gameday.history.histogram import upper_us
from gameday.history.loadevents import Latency, LoadBucket

STALE_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The newest picture of each generator: (load, generator, start of its slice, ages)."""

    pictures: tuple[tuple[str, int, int, Latency], ...] = ()

    def after(self, bucket: LoadBucket) -> Unanswered:
        """Return the pictures once one more slice has come; costs one step a generator."""
        if not bucket.ages and not self.pictures:
            return self
        gone_ns = bucket.start_ns - STALE_NS
        kept = tuple(
            picture
            for picture in self.pictures
            if picture[:2] != (bucket.load, bucket.generator) and picture[2] >= gone_ns
        )
        if not bucket.ages:
            return Unanswered(kept)
        return Unanswered((*kept, (bucket.load, bucket.generator, bucket.start_ns, bucket.ages)))

    def older(self, than_ns: int) -> Latency:
        """Return the ages that are certainly `than_ns` or more: (bucket, count)."""
        return tuple(
            (index, count)
            for *_, ages in self.pictures
            for index, count in ages
            if upper_us(index - 1) * 1000 >= than_ns
        )


NONE_WAITING = Unanswered()
