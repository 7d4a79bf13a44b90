"""The search for the limit: an immutable state that says which rate to try next, and what is known.

    search = Search(goal.shared_by(10), first_per_1000s=required)
    while (trial := next_trial(search)) is not None:
        … offer trial.rate_per_1000s, ask `judge(search.goal, slices, rate_per_1000s=…)` until it is `final`
          (or the engine ends it), stop, wait until nothing is under way …
        search = take(search, trial, judgement)
    bounds(search)      the interval, and how it was found

The trials of a sign-off may be taken in first (`Trial(rate, "sign-off")`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gameday.capacity.goal import Goal
from gameday.capacity.judge import Judgement, Verdict

TRIALS_MAX = 10
WIDTH_PPM = 100_000


@dataclass(frozen=True, slots=True)
class Trial:
    """A rate to offer, and why: `search`, `hysteresis`, `again` or `sign-off`."""

    rate_per_1000s: int
    purpose: str


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial and what it proved."""

    trial: Trial
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Search:
    """What was tried so far, in order. `goal` is already shared by `trials_max` trials."""

    goal: Goal
    first_per_1000s: int
    width_ppm: int = WIDTH_PPM
    trials_max: int = TRIALS_MAX
    ceiling_per_1000s: int = 0
    tried: tuple[Tried, ...] = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """The answer: the true limit lies in [proven, refuted]; None where nothing was proven or refuted.

    `width_ppm` is (refuted - proven) / refuted. `hysteresis`: `held` when the proven rate held after an
    overload, `lost` when a rate that had held no longer did, `untested`. `estimate_per_1000s` is where the
    spoilt share most likely meets the limit: a guess, shown as such. `reasons` say why it is not narrower.
    """

    proven_per_1000s: int | None
    refuted_per_1000s: int | None
    width_ppm: int | None
    narrow: bool
    hysteresis: str
    estimate_per_1000s: int | None
    trials: int
    reasons: tuple[str, ...]


def next_trial(search: Search) -> Trial | None:
    """Return the next trial, or None when the interval is narrow enough or nothing more can be learnt."""
    return Trial(search.first_per_1000s, "search") if not search.tried else None


def take(search: Search, trial: Trial, judgement: Judgement) -> Search:
    """Return the search that knows this trial too."""
    return replace(search, tried=(*search.tried, Tried(trial, judgement)))


def bounds(search: Search) -> Bounds:
    """Return what the trials so far say about the limit."""
    held = [t.trial.rate_per_1000s for t in search.tried if t.judgement.verdict == Verdict.HOLDS]
    failed = [t.trial.rate_per_1000s for t in search.tried if t.judgement.verdict == Verdict.FAILS]
    return Bounds(
        max(held, default=None),
        min(failed, default=None),
        None,
        False,
        "untested",
        None,
        len(search.tried),
        (),
    )
