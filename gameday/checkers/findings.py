"""Findings: what a checker says, with the numbers and the events behind it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

CHECKER_VERSION = "3"


class Verdict(StrEnum):
    """What a finding says. Unknown is not a pass, and nor is not tested."""

    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_TESTED = "not_tested"
    PASS = "pass"  # noqa: S105 - a verdict, not a password


_ORDER = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.NOT_TESTED, Verdict.PASS)

AUDITOR_WORD = {
    Verdict.PASS: "DEMONSTRATED",
    Verdict.FAIL: "NOT DEMONSTRATED",
    Verdict.UNKNOWN: "INCONCLUSIVE",
    Verdict.NOT_TESTED: "NOT TESTED",
}


@dataclass(frozen=True, slots=True)
class Interval:
    """A duration known to lie in [min_ns, max_ns]. `max_ns` None: it had not ended when we stopped."""

    min_ns: int
    max_ns: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """One verdict: `observed` against `limit` in `unit`, all as text a person reads.

    `interval` holds RTA or RPA, `numbers` every count and time the verdict rests on, `events` the
    sequence numbers of the records behind it.
    """

    name: str
    verdict: Verdict
    observed: str
    limit: str
    unit: str
    why: str
    events: tuple[int, ...] = ()
    interval: Interval | None = None
    numbers: tuple[tuple[str, int | str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """All findings of a run, and how it ended."""

    outcome: str
    halted_by: str
    findings: tuple[Finding, ...]
    stuck: tuple[str, ...] = ()
    failed_over: bool = False
    not_tested: tuple[str, ...] = ()
    checker_version: str = field(default=CHECKER_VERSION)

    @property
    def verdict(self) -> Verdict:
        """Fail over unknown over not tested over pass."""
        return merge(finding.verdict for finding in self.findings)


def merge(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the weightiest of some verdicts; without any, nothing was tested."""
    found = set(verdicts)
    return next((verdict for verdict in _ORDER if verdict in found), Verdict.NOT_TESTED)


def is_of(finding: Finding, what: str, service: str) -> bool:
    """Tell whether a finding is the RTA or RPA (`what`) of a service, in whichever of its stores."""
    name = f"{what} {service}"
    return finding.name == name or (finding.name.startswith(f"{name} (") and finding.name.endswith(")"))
