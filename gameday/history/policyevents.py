"""What was allowed and what was checked before a run could touch anything: two events of its beginning."""

from __future__ import annotations

from dataclasses import dataclass

from gameday.history.timestamped import TimeStamped


@dataclass(frozen=True, slots=True)
class PolicyApplied:
    """The policy in force: its digest, and each effective value as (name, value, origin).

    `waived` holds (rule, what was waived, by whom, until, why). Origin: plan, policy, default, waiver.
    """

    sha256: str
    file: str
    values: tuple[tuple[str, str, str], ...]
    waived: tuple[tuple[str, str, str, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Preflighted:
    """What was checked before any effect, as (name, state, detail). State: ok, warn, bad, skip."""

    checks: tuple[tuple[str, str, str], ...]


PolicyReport = PolicyApplied | Preflighted | TimeStamped
