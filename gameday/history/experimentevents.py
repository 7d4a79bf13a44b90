"""What happened inside a Chaos Toolkit experiment, as far as the history keeps it.

The experiment's own journal (`journal.json`) says the rest; these events order its activities among all
else that happened, and bind the journal to the chain by its digest.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ActivityEnded:
    """One activity of an experiment ended, or one look at its hypothesis.

    `part`: configuration, before, method, during, after or rollbacks. `status`: succeeded or failed; met
    or not met of a hypothesis.
    """

    step: str
    part: str
    name: str
    status: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ExperimentEnded:
    """An experiment came to its own end: `status` and `deviated` as its journal has them."""

    step: str
    status: str  # completed | failed | aborted | interrupted
    deviated: bool
    journal_sha256: str
    detail: str = ""


ExperimentReport = ActivityEnded | ExperimentEnded
