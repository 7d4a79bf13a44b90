"""What was asked of the load and what it did: two events, and the slice of 100 ms that segments hold."""

from __future__ import annotations

from dataclasses import dataclass

Latency = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class LoadAsked:
    """Start, change or stop one load, or `ease` it after a trial. One of rate and users but for a stop."""

    load: str
    ask: str  # start | change | ease | stop
    rate_per_1000s: int | None = None
    users: int | None = None


@dataclass(frozen=True, slots=True)
class LoadReported:
    """A load started, changed, stopped, or was lost; `short`: one of its generators was, others go on."""

    load: str
    state: str  # running | stopped | short | lost
    detail: str = ""


@dataclass(frozen=True, slots=True)
class GeneratorReady:
    """One generator of a load is ready: its software by version, and the options Locust runs with."""

    load: str
    generator: int
    software: tuple[tuple[str, str], ...]
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class LoadBucket:
    """What one generator of a load did in the 100 ms that began at `start_ns`.

    `intended` arrivals were due, `started` were started on time, `late` more than 100 ms late,
    `dropped` never started; `good` and `bad` completed in this bucket. `latency` counts successes
    by index (`gameday.history.histogram`), from the intended time. `errors` names failures by kind, and
    beside them `stopped`: requests that we killed, which are in neither good nor bad. `busy`: share of a
    core, in ppm.

    `ages` counts the requests that had no answer when the bucket ended, by how old they were then; it is
    a picture and does not add up over time; `waiting` is how many. `endpoints` holds (name, good, bad,
    latency) of each endpoint with any, also when there is only one: good, bad and latency are the sums
    over them. A name is `GET /path`, the first fifty of a generator; the rest are `(other)`, and what is
    no request is `(task)` or `(on_start)`. Buckets of several generators add up.
    """

    load: str
    start_ns: int
    intended: int
    started: int
    late: int
    dropped: int
    good: int
    bad: int
    errors: tuple[tuple[str, int], ...]
    latency: Latency
    waiting: int
    lag_ns: int
    busy_ppm: int
    generator: int = 0
    ages: Latency = ()
    endpoints: tuple[tuple[str, int, int, Latency], ...] = ()
