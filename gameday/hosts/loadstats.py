"""Locust's own statistics, at a tenth of what they cost a request.

gameday judges by slices of its own; a file may still look at `environment.stats` in its hooks. Locust
counts each request twice there (its endpoint, and the total), which costs more than all that gameday
adds. Here a request only puts its figures into a list; ten times a second they are counted together,
by the same rules. So what a file sees is at most a tenth of a second old, and whole once the load ended.
"""

from __future__ import annotations

import collections
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_NEEDED = (
    "num_requests", "num_reqs_per_sec", "last_request_timestamp", "num_none_requests", "total_response_time",
    "min_response_time", "max_response_time", "response_times", "total_content_length",
    "use_response_times_cache", "_cache_response_times",
)  # fmt: skip
_MS_MAX = 1e12
_RUNNERS = "Runner.__init__.<locals>.on_request"


class Stats:
    """Takes the place of the listener by which Locust's runner keeps its statistics."""

    def __init__(self, stats: Any, listeners: list[Any]) -> None:
        """Make it; `listeners` are those of the `request` event, of which the runner's is taken out."""
        self._stats = stats
        self._waiting: list[tuple[Any, Any, Any, Any]] = []
        # Takes (name, method, ms, length) of a request that has ended.
        self.note = self._waiting.append
        own = [one for one in listeners if getattr(one, "__qualname__", "") == _RUNNERS]
        # A Locust that keeps them otherwise counts for itself.
        self.is_ours = len(own) == 1 and all(hasattr(stats.total, name) for name in _NEEDED)
        if self.is_ours:
            listeners.remove(own[0])

    def failed(self, name: Any, method: Any, exception: Any) -> None:
        """Count a failure; failures are few, and Locust counts them by what they say."""
        self._stats.log_error(method, name, exception)

    def count(self) -> None:
        """Count all that waits; costs one step a request."""
        if not self._waiting:
            return
        waiting = self._waiting.copy()
        self._waiting.clear()
        at = datetime.now(UTC).timestamp()  # As Locust has it, in the wall clock.
        entries: dict[tuple[Any, Any], list[tuple[Any, Any]]] = collections.defaultdict(list)
        for name, method, response_time, length in waiting:
            entries[name, method].append((response_time, length))
        for key, items in entries.items():
            batch = _batch(items)
            _add(self._stats.entries[key], batch, at)
            _add(self._stats.total, batch, at)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Requests of one endpoint. `times` are those that took any time, by Locust's rounding."""

    count: int
    without_time: int
    sum: float
    least: float | None
    most: float
    times: collections.Counter[int]
    length: int


def _batch(items: list[tuple[Any, Any]]) -> _Batch:
    from locust import stats  # noqa: PLC0415 - after its patching; a file may replace its rounding

    # A file's own client may say anything: what is no time or no length counts as none.
    took = [ms for ms, _ in items if isinstance(ms, int | float) and 0 <= ms < _MS_MAX]
    return _Batch(
        count=len(items),
        without_time=len(items) - len(took),
        sum=sum(took),
        least=min(took, default=None),
        most=max(took, default=0),
        times=collections.Counter(map(stats.bucket_response_time, took)),
        length=sum(length for _, length in items if isinstance(length, int)),
    )


def _add(entry: Any, batch: _Batch, at: float) -> None:
    """Do what Locust's `StatsEntry.log` does, for all of a batch."""
    second, last = int(at), entry.last_request_timestamp
    if entry.use_response_times_cache and last and second > int(last):
        entry._cache_response_times(second - 1)
    entry.num_requests += batch.count
    entry.num_reqs_per_sec[second] += batch.count
    entry.last_request_timestamp = at
    entry.total_content_length += batch.length
    entry.num_none_requests += batch.without_time
    entry.total_response_time += batch.sum
    if batch.least is not None:
        least = entry.min_response_time
        entry.min_response_time = batch.least if least is None else min(least, batch.least)
        entry.max_response_time = max(entry.max_response_time, batch.most)
    for rounded, count in batch.times.items():
        entry.response_times[rounded] += count
