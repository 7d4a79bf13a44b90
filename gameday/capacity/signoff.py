"""GO, NO-GO or UNDECIDED: the decision that a capacity owner signs, from one trial with N and one with N-1.

GO needs every trial to hold at the required rate or above it; one that fails is NO-GO; anything else is
UNDECIDED, which is not GO: a trial that was not run, that could not be decided, or whose generators were not
to be believed. Make the goal with `shared_by(number of trials)`: then the chance of NO-GO for a system that
meets its levels is at most 1 - confidence, and so is the chance of GO for one that does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gameday.capacity.judge import Judgement, Verdict


class Decision(StrEnum):
    """What is signed. UNDECIDED is not GO."""

    GO = "GO"
    NO_GO = "NO-GO"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True, slots=True)
class SignOffTrial:
    """One trial of a sign-off: `condition` is N, N-1 or the fault's name; no judgement: it was not run."""

    condition: str
    judgement: Judgement | None


@dataclass(frozen=True, slots=True)
class SignOff:
    """The decision, and why: what each trial that is not proven lacks, in words."""

    decision: Decision
    required_per_1000s: int
    reasons: tuple[str, ...]


def decide(required_per_1000s: int, trials: tuple[SignOffTrial, ...]) -> SignOff:
    """Return the decision from the trials.

    A rate below the required one proves nothing by holding, one above it nothing by failing.
    """
    found = [(t.condition, *_of(required_per_1000s, t.judgement)) for t in trials]
    reasons = tuple(f"{condition}: {why}" for condition, _, whys in found for why in whys)
    verdicts = {verdict for _, verdict, _ in found}
    if Verdict.FAILS in verdicts:
        return SignOff(Decision.NO_GO, required_per_1000s, reasons)
    if verdicts == {Verdict.HOLDS}:
        return SignOff(Decision.GO, required_per_1000s, ())
    return SignOff(Decision.UNDECIDED, required_per_1000s, reasons or ("no trial was run",))


def _of(required: int, judgement: Judgement | None) -> tuple[Verdict, tuple[str, ...]]:
    if judgement is None:
        return Verdict.UNDECIDED, ("it was not run",)
    rate, verdict = judgement.rate_per_1000s, judgement.verdict
    if (verdict == Verdict.HOLDS and rate < required) or (verdict == Verdict.FAILS and rate > required):
        return Verdict.UNDECIDED, (f"it was tried at {rate / 1000:g}/s, {required / 1000:g}/s is required",)
    return verdict, judgement.reasons
