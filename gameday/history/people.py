"""Events of what people do: gates that wait for approvals, and what is reported of work by hand.

`GateWaiting` and `GateEnded` are commands, the others reports, as in `gameday.history.events`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Need:
    """So many different people in one role; `live`: by a signature given while the run waits."""

    role: str
    count: int
    live: bool


@dataclass(frozen=True, slots=True)
class GateWaiting:
    """Nothing goes on past this gate before its needs are met. `gate`: `start`, or a step's id."""

    gate: str
    needs: tuple[Need, ...]
    deadline_ns: int


@dataclass(frozen=True, slots=True)
class GateEnded:
    """A gate was opened by those who signed, or never will be. It never times out to go."""

    gate: str
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ApprovalsNeeded:
    """What plan and policy ask for before the first fault. `signers_sha256` is of allowed_signers."""

    needs: tuple[Need, ...]
    timeout_ns: int
    signers_sha256: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalGiven:
    """A person approved. `verified`: the signature holds; without one the name is as claimed."""

    gate: str
    principal: str
    role: str
    live: bool
    verified: bool
    statement_sha256: str
    signature_sha256: str = ""
    fingerprint: str = ""
    expires_utc: str = ""
    file: str = ""
    signers_sha256: str = ""


@dataclass(frozen=True, slots=True)
class ManualReported:
    """A person says that what they were to do by hand is done, or cannot be done. `role`: do, undo."""

    step: str
    role: str
    done: bool
    by: str
    note: str = ""


PeopleCommand = GateWaiting | GateEnded
PeopleReport = ApprovalsNeeded | ApprovalGiven | ManualReported
PeopleEvent = PeopleCommand | PeopleReport
