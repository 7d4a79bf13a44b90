"""The load's part of a plan file: which Locust file, how much of it, from how many processes and machines."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gameday.plan.shape import Duration, Key, Part, Rate

PROCESSES_MAX = 64


class StageIn(Part):
    """A straight line to a rate or a number of users; `over: 0s` is a step."""

    over: Duration
    rate: Rate | None = None
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
