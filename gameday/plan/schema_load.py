"""The load's part of a plan file: which Locust file, how much of it, from how many processes and machines."""

from typing import Annotated, Any, Literal

from pydantic import Field

from gameday.plan.shape import DURATION, RATE, Duration, Key, Part, Rate, Written
from gameday.plan.units import duration_ns, rate_per_1000s

PROCESSES_MAX = 64


def _over_ns(value: Any) -> int:
    return 0 if value in ("0s", "0ms") else duration_ns(value)


def _stage_rate(value: Any) -> int:
    return 0 if value == "0/s" else rate_per_1000s(value)


Over = Annotated[int, Written(_over_ns, DURATION, ("0s", "1m"))]
StageRate = Annotated[int, Written(_stage_rate, RATE, ("0/s", "50/s"))]


class StageIn(Part):
    """A straight line to a rate or a number of users; `over: 0s` is a step."""

    over: Over
    rate: StageRate | None = None
    users: int | None = Field(default=None, ge=0, le=100_000)


class WorkersIn(Part):
    """Generators on other machines, which come to `bind`."""

    expect: int = Field(ge=1, le=1000)
    bind: str = "127.0.0.1:5557"


class LoadIn(Part):
    """One Locust file, from baseline to the end: with a rate, users, stages, or the file's own shape."""

    profile: str
    name: Key | None = None
    rate: Rate | None = None
    users: int | None = Field(default=None, ge=1, le=100_000)
    stages: list[StageIn] = Field(default_factory=list, max_length=1000)
    shape: bool = False
    arrivals: Literal["constant", "poisson"] = "constant"
    seed: int = Field(default=0, ge=0, le=2**31)
    max_users: int = Field(default=200, ge=1, le=100_000)
    timeout: Duration = 5_000_000_000
    trace: bool = False
    processes: int = Field(default=1, ge=1, le=PROCESSES_MAX)
    workers: WorkersIn | None = None
    host: str = ""
    options: list[str] = Field(default_factory=list)
