"""GO, NO-GO or UNDECIDED: the decision that a capacity owner signs, from one trial with N and one with N-1.

GO needs every trial to hold at the required rate; one that fails is NO-GO; anything else is UNDECIDED.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gameday.capacity.goal import PPM
from gameday.capacity.judge import Judgement, Verdict


class Decision(StrEnum):
    """What is signed. UNDECIDED is not GO."""

    GO = "GO"
    NO_GO = "NO-GO"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True, slots=True)
class SignOffTrial:
    """One trial of a sign-off: `condition` is N, N-1 or the fault's name; `taken` False: it was not run."""

    condition: str
    judgement: Judgement | None


@dataclass(frozen=True, slots=True)
class SignOff:
    """The decision, and why: one reason for each trial that is not proven."""

    decision: Decision
    required_per_1000s: int
    reasons: tuple[str, ...]


def required_per_1000s(peak_per_1000s: int, headroom_ppm: int) -> int:
    """Return the rate that must hold: forecast peak x (1 + headroom), rounded up."""
    return -(-peak_per_1000s * (PPM + headroom_ppm) // PPM)


def decide(required_per_1000s: int, trials: tuple[SignOffTrial, ...]) -> SignOff:
    """Return the decision from the trials, all of which were asked for at `required_per_1000s`."""
    verdicts = [t.judgement.verdict if t.judgement else Verdict.UNDECIDED for t in trials]
    if Verdict.FAILS in verdicts:
        return SignOff(Decision.NO_GO, required_per_1000s, ())
    if trials and all(v == Verdict.HOLDS for v in verdicts):
        return SignOff(Decision.GO, required_per_1000s, ())
    return SignOff(Decision.UNDECIDED, required_per_1000s, ())
