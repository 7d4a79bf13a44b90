"""Load buckets summed into the seconds of a trial, by the buckets' own time.

The engine judges a trial by these seconds while it goes on, the checkers by the same ones years later:
one way to count, or the two would disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gameday.capacity.goal import SECOND_NS, Slice, coalesce
from gameday.history.loadevents import LoadBucket

LAG_NS = 500_000_000  # A second is whole when this has passed since its end: buckets take a moment.
_BUCKET_NS = 100_000_000


def slice_of(bucket: LoadBucket) -> Slice:
    """Return one bucket as the capacity room sees it."""
    return Slice(
        start_ns=bucket.start_ns,
        length_ns=_BUCKET_NS,
        intended=bucket.intended,
        started=bucket.started,
        late=bucket.late,
        dropped=bucket.dropped,
        good=bucket.good,
        bad=bucket.bad,
        latency=bucket.latency,
        waiting=bucket.waiting,
        ages=bucket.ages,
        busy_ppm=bucket.busy_ppm,
        lag_ns=bucket.lag_ns,
    )


def second(parts: Sequence[Slice], from_ns: int, number: int) -> Slice:
    """Return second `number` of a trial that began at `from_ns`, from the slices that lie in it."""
    start_ns = from_ns + number * SECOND_NS
    mine = [part for part in parts if start_ns <= part.start_ns < start_ns + SECOND_NS]
    if not mine:
        return Slice(start_ns, SECOND_NS, 0, 0, 0, 0, 0, 0)
    return replace(coalesce(mine, SECOND_NS)[0], start_ns=start_ns, length_ns=SECOND_NS)


def whole_seconds(from_ns: int, now_ns: int) -> int:
    """Return how many seconds since `from_ns` are complete at `now_ns`."""
    return max((now_ns - LAG_NS - from_ns) // SECOND_NS, 0)


def seconds(buckets: Iterable[LoadBucket], from_ns: int, to_ns: int) -> tuple[Slice, ...]:
    """Return the seconds of [from_ns, to_ns), all of one load."""
    groups: dict[int, list[Slice]] = {}
    for bucket in buckets:
        if from_ns <= bucket.start_ns < to_ns:
            groups.setdefault((bucket.start_ns - from_ns) // SECOND_NS, []).append(slice_of(bucket))
    count = max(to_ns - from_ns, 0) // SECOND_NS
    return tuple(second(groups.get(number, ()), from_ns, number) for number in range(count))
