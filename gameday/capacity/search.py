"""The search for the limit: an immutable state that says which rate to try next, and what is known.

    search = Search(goal.shared_by(TRIALS_MAX), first_per_1000s=required)
    while (trial := next_trial(search)) is not None:
        … offer trial.rate_per_1000s, ask `judge(search.goal, slices, rate_per_1000s=…)` until it is `final`,
          stop the load, wait until nothing is under way (at most a stated time) …
        search = take(search, trial, judgement)
    bounds(search)      the interval, and how it was found

The trials of a sign-off may be taken in first (`Trial(rate, "sign-off")`).

Not bisection: a rate close to the limit is what no trial can decide. The spoilt shares seen so far say where
the limit most likely is (their log-odds grow about linearly with the rate), and the next rates are set a
little above it, to be refuted, and then as far below as the width allows, to be proven. So the last proof
usually comes after an overload, which is the hysteresis check; where it does not, the proven rate is tried
again. A refutation from before the first proof may have met a cold system, and is tried again too.

Undecided trials of one rate are judged together (`together`), as MLRsearch sums the time of trials.

A later trial wins over an earlier one that it contradicts: a rate that holds frees those below it of their
refutation, one that fails takes the proof from those above it.

Source: lower and upper bounds by trial classification, MLRsearch (RFC 9971); the target in place of its
bisection is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from gameday.capacity.goal import PPM, Goal
from gameday.capacity.judge import Judgement, Verdict
from gameday.capacity.together import together

TRIALS_MAX = 10
WIDTH_PPM = 100_000
ABOVE = 1.045  # How far over the estimate a refutation is looked for.
NEAR = 1.07  # A refuted rate within this of the estimate needs no lower one.
FAR_PPM = 10_000  # A rate below 1 % of the first is not looked at.
ODDS_MAX = 4.0
ODDS_PER_RATE = 20.0  # One trial alone: a rate 5 % higher about doubles and a half the odds near a limit.


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


def take(search: Search, trial: Trial, judgement: Judgement) -> Search:
    """Return the search that knows this trial too."""
    return replace(search, tried=(*search.tried, Tried(trial, judgement)))


def next_trial(search: Search) -> Trial | None:
    """Return the next trial, or None when the interval is narrow enough or nothing more can be learnt."""
    return _plan(search)[0]


def bounds(search: Search) -> Bounds:
    """Return what the trials so far say about the limit."""
    proven, refuted = _known(search)
    width = _width_ppm(proven, refuted)
    estimate = _estimate(search)
    trial, why = _plan(search)
    return Bounds(
        proven_per_1000s=proven,
        refuted_per_1000s=refuted,
        width_ppm=width,
        narrow=width is not None and width <= search.width_ppm,
        hysteresis=_hysteresis(search, proven),
        estimate_per_1000s=None if estimate is None else round(estimate),
        trials=len(search.tried),
        reasons=(why,) if trial is None and why else (),
    )


def _known(search: Search) -> tuple[int | None, int | None]:
    """Return the highest proven and the lowest refuted rate."""
    held: set[int] = set()
    failed: set[int] = set()
    for rate, verdict in verdicts(search):
        if verdict == Verdict.HOLDS:
            failed = {r for r in failed if r > rate}
            held.add(rate)
        elif verdict == Verdict.FAILS:
            held = {r for r in held if r < rate}
            failed.add(rate)
    return max(held, default=None), min(failed, default=None)


def verdicts(search: Search) -> tuple[tuple[int, Verdict], ...]:
    """Return (rate, verdict) of each trial: its own, or what it says with the undecided ones before it."""
    found = []
    undecided: dict[int, list[Judgement]] = {}
    for tried in search.tried:
        rate, verdict = tried.trial.rate_per_1000s, tried.judgement.verdict
        if verdict == Verdict.UNDECIDED and not tried.judgement.generator:
            same = undecided.setdefault(rate, [])
            same.append(tried.judgement)
            verdict = together(same)
        found.append((rate, verdict))
    return tuple(found)


def _width_ppm(proven: int | None, refuted: int | None) -> int | None:
    return (refuted - proven) * PPM // refuted if proven is not None and refuted is not None else None


def _plan(search: Search) -> tuple[Trial | None, str]:
    """Return the next trial, or None and why there is none (empty: all is known)."""
    if not search.tried:
        return Trial(_capped(search, search.first_per_1000s), "search"), ""
    proven, refuted = _known(search)
    width = _width_ppm(proven, refuted)
    again = (
        _confirmation(search, proven, refuted) if width is not None and width <= search.width_ppm else None
    )
    if width is not None and width <= search.width_ppm and again is None:
        return None, ""
    if len(search.tried) >= search.trials_max:
        return None, f"all {search.trials_max} trials were used"
    if again is not None:
        return again, ""
    doubted = [t for t in search.tried if t.judgement.generator]
    if search.tried[-1].judgement.generator:
        if len(doubted) > 1:
            return None, doubted[-1].judgement.generator[0]
        return Trial(search.tried[-1].trial.rate_per_1000s, "again"), ""
    if search.ceiling_per_1000s and proven is not None and proven >= search.ceiling_per_1000s:
        return None, "the highest rate that may be offered holds"
    rate = _target(search, proven, refuted)
    if rate is None:
        return None, "what lies between could not be decided: the trials are too short for this system"
    if rate * PPM < search.first_per_1000s * FAR_PPM:
        return None, "not even 1 % of the first rate could be proven"
    return Trial(rate, "search"), ""


def _confirmation(search: Search, proven: int | None, refuted: int | None) -> Trial | None:
    """Return the trial that confirms a bound which was found in the more favourable state of the system."""
    said = verdicts(search)
    tries = {rate: sum(1 for r, _ in said if r == rate) for rate, _ in said}
    fails = [i for i, (_, v) in enumerate(said) if v == Verdict.FAILS]
    holds = [i for i, (_, v) in enumerate(said) if v == Verdict.HOLDS]
    last_fail = max(i for i in fails if said[i][0] == refuted)
    last_hold = max(i for i in holds if said[i][0] == proven)
    if refuted is not None and last_fail < min(holds) and tries[refuted] < 2:
        return Trial(refuted, "again")
    if proven is not None and last_hold < min(fails) and tries[proven] < 3:
        return Trial(proven, "hysteresis")
    return None


def _hysteresis(search: Search, proven: int | None) -> str:
    overloaded, held, answer = False, set[int](), "untested"
    for rate, verdict in verdicts(search):
        if verdict == Verdict.FAILS:
            if overloaded and any(r >= rate for r in held):
                return "lost"
            overloaded = True
        elif verdict == Verdict.HOLDS:
            held.add(rate)
            if overloaded and rate == proven:
                answer = "held"
    return answer


def _target(search: Search, proven: int | None, refuted: int | None) -> int | None:
    """Return the next rate: above the estimate while nothing near it is refuted, then below."""
    estimate = _estimate(search)
    assert estimate is not None
    low, high = (proven or 0) * 1.005, (refuted or math.inf) * 0.995
    above, below = estimate * ABOVE, estimate / ABOVE
    narrow = (1 - search.width_ppm / PPM) * 1.004  # The whole width, and a little less.
    if proven is not None and proven / narrow >= estimate * 1.03:
        above = min(above, proven / narrow)
    if refuted is not None and refuted * narrow <= estimate * 0.97:
        below = refuted * narrow
    upwards = refuted is None or refuted > estimate * NEAR
    for up in (upwards, not upwards):
        rate = _clear(search, above, up=True) if up else _clear(search, below, up=False)
        rate = _capped(search, round(rate))
        if low < rate < high:
            return rate
    return _once_more(search, estimate, low, high)


def _once_more(search: Search, estimate: float, low: float, high: float) -> int | None:
    """Return the undecided rate between the bounds that is easiest to decide, for a fresh trial."""
    tries: dict[int, int] = {}
    for tried in search.tried:
        rate = tried.trial.rate_per_1000s
        tries[rate] = tries.get(rate, 0) + 1
    found = [r for r, count in tries.items() if low < r < high and count < 3]
    # After that, what is a little inside a bound: there the bound itself gives way a little.
    found = found or [r for r in (round(low * 1.012), round(high * 0.988)) if low < r < high]
    return max(found, key=lambda r: abs(r / estimate - 1), default=None)


def _clear(search: Search, rate: float, *, up: bool) -> float:
    """Return the first rate that is not close to one that could not be decided."""
    open_rates = [
        t.trial.rate_per_1000s
        for t in search.tried
        if t.judgement.verdict == Verdict.UNDECIDED and not t.judgement.generator
    ]
    for near in sorted(open_rates, reverse=not up):
        if abs(rate / near - 1) < 0.025:
            rate = near * (1.03 if up else 0.97)
    return rate


def _capped(search: Search, rate: int) -> int:
    return min(rate, search.ceiling_per_1000s) if search.ceiling_per_1000s else rate


def _estimate(search: Search) -> float | None:
    """Return where the spoilt share most likely meets what is allowed.

    Between the nearest trials on either side by their log-odds; beyond them by a step that grows with the
    distance. The throughput of an overloaded system is more than it can do within its limits.
    """
    seen: dict[int, list[float]] = {}
    for t in search.tried:
        if t.judgement.levels and not t.judgement.generator:
            seen.setdefault(t.trial.rate_per_1000s, []).append(_log_odds(t.judgement))
    odds = {rate: sum(values) / len(values) for rate, values in seen.items()}
    if not odds:
        return None if not search.tried else float(search.tried[-1].trial.rate_per_1000s)
    proven, refuted = _known(search)
    below = [r for r, z in odds.items() if z < 0 and r <= (refuted or r)]
    above = [r for r, z in odds.items() if z >= 0 and r >= (proven or 0)]
    if below and above and max(below) < min(above):
        a, b = max(below), min(above)
        return min(a + (b - a) * -odds[a] / (odds[b] - odds[a]), _overloaded(search))
    nearest = max(below) if below and not above else min(above or odds)
    step = min(max(-odds[nearest] / ODDS_PER_RATE * (2 if odds[nearest] < -2 else 1), -0.3), 0.4)
    return min(nearest * (1 + step), _overloaded(search))


def _overloaded(search: Search) -> float:
    """Return a little less than the largest throughput of a trial that could not keep up; else infinity.

    The largest, since a cold system gets less through; what was proven since is more than it got through.
    """
    proven = _known(search)[0] or 0
    most = max(
        (
            0.95 * t.judgement.throughput_per_1000s
            for t in search.tried
            if t.judgement.verdict == Verdict.FAILS
            and t.judgement.throughput_per_1000s < 0.97 * t.trial.rate_per_1000s
        ),
        default=math.inf,
    )
    return most if most > proven else math.inf


def _log_odds(judgement: Judgement) -> float:
    """Return how far the worst level is from its limit, in log-odds; 0 is on it."""
    worst = -ODDS_MAX
    for level in judgement.levels:
        seen = min(max(level.share_ppm / PPM, 0.5 / max(level.requests, 1)), 1 - 1e-6)
        allowed = min(max(level.allowed_ppm / PPM, 1e-6), 1 - 1e-6)
        odds = math.log(seen / (1 - seen)) - math.log(allowed / (1 - allowed))
        worst = max(worst, min(odds, ODDS_MAX))
    return worst
