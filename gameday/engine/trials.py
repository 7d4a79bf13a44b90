"""Trials of a capacity sign-off: when one begins, when it has decided, and what comes after it.

* A trial begins when the target was within its SLOs at the load's own rate for a whole second, or when
  that was waited for in vain: then it says so.
* It ends when its seconds have decided, at its longest, or with the run. Each end, a halt above all,
  takes the load back to its own rate at once.
* A missed SLO ends a trial, never the run: from the first trial on, stop conditions on the SLOs that are
  being tried are left to the trials. Every other stop condition halts as always.
* What was not proven with N is not tried with a fault in place: that fault is left out.

What is decided from load buckets is an event, so that whoever reads the history without them agrees.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gameday.capacity.goal import SECOND_NS, Goal, Level, Slice, over
from gameday.capacity.judge import Judgement, Verdict, judge, look_at
from gameday.capacity.search import Search, Trial, next_trial, take
from gameday.history.capacityevents import TrialEnded, TrialStarted
from gameday.history.loadevents import LoadBucket
from gameday.history.slices import second, slice_of, whole_seconds
from gameday.plan.capacity import SETTLE_NS, Capacity
from gameday.plan.capacitygoal import goal_of, search_of
from gameday.plan.model import Plan

SIGN_OFF = "sign-off"


@dataclass(frozen=True, slots=True)
class Watch:
    """What a load does from `from_ns` on: whole seconds, and the buckets of those that are not whole yet."""

    from_ns: int
    whole: tuple[Slice, ...] = ()
    parts: tuple[Slice, ...] = ()


@dataclass(frozen=True, slots=True)
class Trials:
    """Where a sign-off stands. `watch` follows the trial under way, or the calm between two of them.

    `ended` holds each trial that is over with its verdict. `search` knows those that tell about the limit.
    """

    capacity: Capacity
    base_per_1000s: int
    goal: Goal
    search: Search | None
    watch: Watch = Watch(0)
    now: TrialStarted | None = None
    judgement: Judgement | None = None
    ended: tuple[tuple[TrialStarted, Verdict], ...] = ()

    def goal_for(self, trial: TrialStarted) -> Goal:
        """Return what the rate of a trial must hold."""
        if trial.purpose == SIGN_OFF or self.search is None:
            return self.goal
        return self.search.goal

    def of_step(self, step: str) -> Verdict | None:
        """Return how the sign-off trial of a step ended; None before that."""
        return next((verdict for trial, verdict in self.ended if trial.step == step), None)


def begin_trials(plan: Plan) -> Trials | None:
    """Return the trials of a plan before the first; None where it is no sign-off."""
    found = plan.capacity
    if found is None:
        return None
    load = next(load for load in plan.load if load.name == found.load)
    return Trials(found, load.rate_per_1000s or 0, goal_of(plan, found), search_of(plan, found))


# --- what happened ---------------------------------------------------------------------------


def started(trials: Trials, event: TrialStarted) -> Trials:
    """Return the trials once one has begun."""
    return replace(trials, now=event, judgement=None, watch=Watch(event.from_ns))


def ended(trials: Trials, event: TrialEnded, now_ns: int) -> Trials:
    """Return the trials once one is over. The verdict is that of the event, whoever reads it."""
    trial = trials.now
    if trial is None:
        return trials
    verdict = Verdict(event.verdict)
    search = trials.search
    if search is not None and _tells(trials, trial):
        found = trials.judgement or judge(trials.goal_for(trial), (), rate_per_1000s=trial.rate_per_1000s)
        found = found if found.verdict is verdict else replace(found, verdict=verdict)
        search = take(search, Trial(trial.rate_per_1000s, trial.purpose), found)
    return replace(
        trials, now=None, judgement=None, search=search, watch=Watch(now_ns),
        ended=(*trials.ended, (trial, verdict)),
    )  # fmt: skip


def _tells(trials: Trials, trial: TrialStarted) -> bool:
    """With a fault in place it is another system, whose limit is not the one that is searched for."""
    return trial.purpose != SIGN_OFF or all(other.purpose != SIGN_OFF for other, _ in trials.ended)


def calmed(trials: Trials, now_ns: int) -> Trials:
    """Return the trials when the load begins to be watched at its own rate."""
    return trials if trials.now is not None else replace(trials, watch=Watch(now_ns))


def bucketed(trials: Trials, bucket: LoadBucket) -> Trials:
    """Return the trials after one more bucket; those of seconds that were judged already come too late."""
    watch = trials.watch
    first_ns = watch.from_ns + len(watch.whole) * SECOND_NS
    if bucket.load != trials.capacity.load or bucket.start_ns < first_ns:
        return trials
    return replace(trials, watch=replace(watch, parts=(*watch.parts, slice_of(bucket))))


def passed(trials: Trials, now_ns: int) -> Trials:
    """Return the trials when time has passed: seconds become whole, and are judged."""
    watch = trials.watch
    due = whole_seconds(watch.from_ns, now_ns)
    if trials.now is not None:
        goal = trials.goal_for(trials.now)
        due = min(due, (goal.warm_up_ns + goal.duration_max_ns) // SECOND_NS)
    if due <= len(watch.whole):
        return trials
    new = tuple(second(watch.parts, watch.from_ns, number) for number in range(len(watch.whole), due))
    edge_ns = watch.from_ns + due * SECOND_NS
    watch = Watch(watch.from_ns, (*watch.whole, *new), tuple(p for p in watch.parts if p.start_ns >= edge_ns))
    found, trial = trials.judgement, trials.now
    if trial is not None:
        goal = trials.goal_for(trial)
        if found is None or found.look != look_at(goal, watch.whole):
            found = judge(goal, watch.whole, rate_per_1000s=trial.rate_per_1000s)
    return replace(trials, watch=watch, judgement=found)


# --- what follows ----------------------------------------------------------------------------


def is_tried(trials: Trials | None, slo: str | None) -> bool:
    """Tell whether an SLO is left to the trials, which end when it is missed."""
    if trials is None or slo not in trials.capacity.slos:
        return False
    return trials.now is not None or bool(trials.ended)


def over_now(trials: Trials, *, stopped: str) -> TrialEnded | None:
    """Return the end of the trial under way; None while it must go on. `stopped`: why the run ends it."""
    trial, watch, found = trials.now, trials.watch, trials.judgement
    if trial is None:
        return None
    to_ns = watch.from_ns + len(watch.whole) * SECOND_NS
    if stopped:
        return TrialEnded(trial.step, trial.number, Verdict.UNDECIDED, stopped, to_ns)
    goal = trials.goal_for(trial)
    at_end = to_ns >= watch.from_ns + goal.warm_up_ns + goal.duration_max_ns
    if found is None or not (found.final or at_end):
        return None
    reason = "; ".join(dict.fromkeys((*found.generator, *found.reasons))) or f"it {found.verdict}"
    if found.judged_ns:
        to_ns = trial.from_ns + found.cut_ns + found.judged_ns  # A late look sees more than it judges.
    return TrialEnded(trial.step, trial.number, found.verdict, reason, to_ns, found.judged_ns)


def sign_off_next(trials: Trials, step: str, now_ns: int) -> TrialStarted | None:
    """Return the beginning of a step's sign-off trial; None until the target is calm."""
    return _begin(trials, step, Trial(trials.capacity.tested_per_1000s, SIGN_OFF), now_ns)


def search_next(trials: Trials, step: str, now_ns: int) -> TrialStarted | None:
    """Return the beginning of the search's next trial; None until the target is calm.

    Ask `is_searched` first.
    """
    trial = _planned(trials)
    return None if trial is None else _begin(trials, step, trial, now_ns)


def is_searched(trials: Trials) -> bool:
    """Tell whether the search has come to its end."""
    return _planned(trials) is None


def _planned(trials: Trials) -> Trial | None:
    wanted = trials.capacity.search
    if wanted is None or trials.search is None:
        return None
    if wanted.first_per_1000s and all(trial.purpose == SIGN_OFF for trial, _ in trials.ended):
        return Trial(wanted.first_per_1000s, "search")
    return next_trial(trials.search)


def _begin(trials: Trials, step: str, trial: Trial, now_ns: int) -> TrialStarted | None:
    settled = _is_calm(trials)
    if not settled and now_ns - trials.watch.from_ns < SETTLE_NS:
        return None
    number = len(trials.ended) + 1
    return TrialStarted(step, number, trial.rate_per_1000s, trial.purpose, now_ns, settled)


def _is_calm(trials: Trials) -> bool:
    """Tell whether the last whole second was within every level, with nothing overdue left in it."""
    last = trials.watch.whole[-1] if trials.watch.whole else None
    if last is None or not last.good:
        return False
    return all(_is_within(level, last) for level in trials.goal.levels)


def _is_within(level: Level, last: Slice) -> bool:
    spoilt = last.bad + last.dropped
    if level.below_us is not None:
        spoilt += over(last.latency, level.below_us)[0] + over(last.ages, level.below_us)[0]
    return spoilt * 1_000_000 <= level.allowed_ppm * (last.good + last.bad + last.dropped)


def unproven(trials: Trials) -> str:
    """Return which verdict keeps a fault from being put in place; empty when nothing does."""
    for trial, verdict in trials.ended:
        if trial.purpose == SIGN_OFF and verdict is not Verdict.HOLDS:
            return str(verdict)
    return ""
