"""What happened in a capacity sign-off: trials at a rate each, what was left out, which artefact it was.

Load buckets lie in segments, which whoever takes over a dead run does not read. So what was decided from
them is an event of its own, as every other decision.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrialStarted:
    """From `from_ns` of the run on a load is about to be held at a rate.

    `number` counts the trials of the run from 1. `purpose`: sign-off, or why the search asks for it.
    `settled`: the target was within its SLOs at the load's own rate just before.
    """

    step: str
    number: int
    rate_per_1000s: int
    purpose: str
    from_ns: int
    settled: bool


@dataclass(frozen=True, slots=True)
class TrialEnded:
    """A trial is over: what was seen in the last `judged_ns` before `to_ns` decided it, or did not."""

    step: str
    number: int
    verdict: str  # holds | fails | undecided
    reason: str
    to_ns: int
    judged_ns: int = 0


@dataclass(frozen=True, slots=True)
class StepSkipped:
    """A step is left out, because what came before it decided already."""

    step: str
    reason: str


@dataclass(frozen=True, slots=True)
class ArtefactRead:
    """Which artefact the target runs: as given in the plan, or as read from `source` when it was armed."""

    source: str
    digest: str


CapacityCommand = TrialStarted | TrialEnded | StepSkipped
CapacityReport = ArtefactRead
CapacityEvent = CapacityCommand | CapacityReport
