"""A capacity sign-off: GO, NO-GO or UNDECIDED for one rate, and the interval that the limit lies in.

Every trial is judged anew from the load buckets of its time; what the engine decided while the run went on
only says when each trial began and ended. GO is a pass, NO-GO a fail, UNDECIDED unknown: not decided is not
passed. The limit is a measurement: unknown where the search did not reach the width that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from gameday.capacity.judge import Judgement, LevelShare, judge
from gameday.capacity.judge import Verdict as Held
from gameday.capacity.scalability import (
    Knee,
    Point,
    Usl,
    cost_per_million,
    fit_usl,
    headroom_ppm,
    knee,
    point_of,
)
from gameday.capacity.search import Bounds, Trial, bounds, take
from gameday.capacity.signoff import Decision, SignOff, SignOffTrial, decide
from gameday.checkers.findings import Finding, Verdict
from gameday.checkers.view import View
from gameday.history.capacityevents import ArtefactRead, StepSkipped, TrialEnded, TrialStarted
from gameday.history.events import Reading, RunStarted
from gameday.history.slices import seconds
from gameday.plan.capacity import DAY_NS, Capacity
from gameday.plan.capacitygoal import goal_of, search_of
from gameday.plan.model import StepKind

SIGN_OFF = "sign-off"
LIMIT = "capacity limit"
_VERDICT = {
    Decision.GO: Verdict.PASS, Decision.NO_GO: Verdict.FAIL, Decision.UNDECIDED: Verdict.UNKNOWN,
}  # fmt: skip
Numbers = list[tuple[str, int | str | None]]


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial as it is judged here. `condition`: N, N-1 or (in a search) empty. `seqs` of its records."""

    started: TrialStarted
    ended: TrialEnded | None
    condition: str
    judgement: Judgement
    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """All that a run says about capacity. `saturated` names what was bad first where a trial failed."""

    capacity: Capacity
    decision: SignOff
    trials: tuple[Tried, ...]
    limit: Bounds | None
    knee: Knee | None
    usl: Usl | None
    points: tuple[Point, ...]
    artefact: str
    artefact_source: str
    fault: str
    expires_utc: str
    saturated: str
    skipped: str

    @property
    def signed(self) -> tuple[Tried, ...]:
        """The trials that the decision rests on."""
        return tuple(tried for tried in self.trials if tried.condition)


def check_capacity(view: View) -> tuple[Finding, ...]:
    """Return the decision, and the limit where it was searched for; nothing for other kinds of drill."""
    found = assess(view)
    if found is None:
        return ()
    limit = (_limit(view, found),) if found.capacity.search is not None else ()
    return (_decision(view, found), *limit)


def assess(view: View) -> Assessment | None:
    """Return what a run says about capacity; None where its plan is no sign-off."""
    wanted = view.plan.capacity
    if wanted is None:
        return None
    trials = tuple(_tried(view, wanted))
    conditions = ("N", "N-1") if wanted.fault else ("N",)
    by = {tried.condition: tried for tried in trials if tried.condition}
    decision = decide(
        wanted.tested_per_1000s,
        tuple(SignOffTrial(name, by[name].judgement if name in by else None) for name in conditions),
    )
    points = tuple(point_of(t.judgement) for t in trials if t.condition != "N-1" and t.judgement.requests)
    read = view.trace.first(ArtefactRead)
    started = next((r for r in view.trace.records if isinstance(r.event, RunStarted)), None)
    return Assessment(
        capacity=wanted,
        decision=decision,
        trials=trials,
        limit=_bounds(view, wanted, trials),
        knee=knee(points),
        usl=fit_usl(points),
        points=points,
        artefact=read.digest if read else wanted.artefact.digest,
        artefact_source=read.source if read else "",
        fault=next((step.name for step in view.plan.steps if step.id == wanted.fault), ""),
        expires_utc=expiry(started.utc if started else "", wanted.expires_ns),
        saturated=_saturated(view, trials),
        skipped=next((r.event.reason for r in view.trace.records if isinstance(r.event, StepSkipped)), ""),
    )


def expiry(from_utc: str, lasts_ns: int) -> str:
    """Return the last day on which a sign-off is valid; empty when nobody knows when it began."""
    if not from_utc:
        return ""
    return (datetime.fromisoformat(from_utc[:10]) + timedelta(days=lasts_ns // DAY_NS)).date().isoformat()


def _tried(view: View, wanted: Capacity) -> Iterator[Tried]:
    goal, search = goal_of(view.plan, wanted), search_of(view.plan, wanted)
    buckets = tuple(b for b in view.trace.load if b.load == wanted.load)
    ends = {r.event.number: (r.event, r.seq) for r in view.trace.records if isinstance(r.event, TrialEnded)}
    signed = 0
    for record in view.trace.records:
        trial = record.event
        if not isinstance(trial, TrialStarted):
            continue
        end, end_seq = ends.get(trial.number, (None, record.seq))
        condition, mine = "", search.goal if search is not None else goal
        if trial.purpose == SIGN_OFF:
            condition, mine = ("N", "N-1")[min(signed, 1)], goal
            signed += 1
        counted = seconds(buckets, trial.from_ns, end.to_ns if end is not None else view.last_ns)
        judged = judge(mine, counted, rate_per_1000s=trial.rate_per_1000s)
        yield Tried(trial, end, condition, judged, (record.seq, end_seq))


def _bounds(view: View, wanted: Capacity, trials: tuple[Tried, ...]) -> Bounds | None:
    search = search_of(view.plan, wanted)
    if search is None:
        return None
    for tried in trials:
        if tried.condition != "N-1":
            trial = Trial(tried.started.rate_per_1000s, tried.started.purpose)
            search = take(search, trial, tried.judgement)
    return bounds(search)


def _saturated(view: View, trials: tuple[Tried, ...]) -> str:
    """Return the generator, or which probes turned bad in the lowest trial that failed, first one first."""
    generators = [reason for tried in trials for reason in tried.judgement.generator]
    if any(tried.condition and tried.judgement.generator for tried in trials):
        return f"the generator: {generators[0]}"  # Of the target nothing is known then.
    failed = [tried for tried in trials if tried.judgement.verdict is Held.FAILS and tried.ended is not None]
    if not failed:
        return f"the generator: {generators[0]}" if generators else ""
    lowest = min(failed, key=lambda tried: tried.started.rate_per_1000s)
    first: list[tuple[int, str]] = []
    for probe, samples in view.samples.items():
        bad = (
            sample.ended_ns
            for sample in samples
            if sample.reading is Reading.BAD
            and lowest.started.from_ns <= sample.sent_ns < (lowest.ended.to_ns if lowest.ended else 0)
        )
        if (at := next(bad, None)) is not None:
            first.append((at, probe))
    return ", then ".join(f"probe {probe}" for _, probe in sorted(first))


# --- findings --------------------------------------------------------------------------------


def _decision(view: View, found: Assessment) -> Finding:
    wanted, decision = found.capacity, found.decision
    verdict = _VERDICT[decision.decision]
    if not found.trials and view.outcome != "completed":
        verdict = Verdict.NOT_TESTED
    reasons = list(decision.reasons)
    if found.skipped:
        reasons.append(f"N-1 was left out: {found.skipped}")
    if found.saturated and verdict is Verdict.FAIL:
        reasons.append(f"saturated first: {found.saturated}")
    if view.halted is not None:
        reasons.append(f"the run was halted by {view.halted[2].by}")
    held = " and ".join(tried.condition for tried in found.signed) or "nothing"
    why = "; ".join(reasons) or f"held with {held}, judged from {_requests(found)} requests"
    numbers: Numbers = [
        ("decision", str(decision.decision)),
        ("required_per_1000s", decision.required_per_1000s),
        ("forecast_peak_per_1000s", wanted.forecast.peak_per_1000s),
        ("headroom_ppm", wanted.headroom_ppm),
        ("confidence_ppm", wanted.confidence_ppm),
        ("artefact", found.artefact),
        ("environment", view.plan.target.environment),
        ("fault", found.fault or None),
        ("expires_utc", found.expires_utc),
        ("saturated", found.saturated or None),
    ]
    for tried in found.signed:
        numbers += _trial_numbers(tried, "n_minus_1" if tried.condition == "N-1" else "n")
    return Finding(
        f"capacity {view.plan.service}", verdict, str(decision.decision),
        f"{decision.required_per_1000s / 1000:g}", "1/s", why,
        tuple(seq for tried in found.signed for seq in tried.seqs), None, tuple(numbers),
    )  # fmt: skip


def _requests(found: Assessment) -> int:
    return sum(tried.judgement.requests for tried in found.signed)


def worst(judgement: Judgement) -> LevelShare | None:
    """Return the level of a trial that is furthest from being held."""
    return max(judgement.levels, key=lambda level: level.share_ppm - level.allowed_ppm, default=None)


def _trial_numbers(tried: Tried, prefix: str) -> Numbers:
    j = tried.judgement
    numbers: Numbers = [
        (f"{prefix}_verdict", str(j.verdict)),
        (f"{prefix}_rate_per_1000s", tried.started.rate_per_1000s),
        (f"{prefix}_achieved_per_1000s", j.achieved_per_1000s),
        (f"{prefix}_throughput_per_1000s", j.throughput_per_1000s),
        (f"{prefix}_judged_ns", j.judged_ns),
        (f"{prefix}_requests", j.requests),
        (f"{prefix}_late_ppm", j.late_ppm),
        (f"{prefix}_dropped_ppm", j.dropped_ppm),
        (f"{prefix}_generator_busy_ppm", j.busy_ppm),
        (f"{prefix}_little_ppm", j.little_ppm),
        (f"{prefix}_generator", "; ".join(j.generator) or None),
        (f"{prefix}_settled", str(tried.started.settled).lower()),
    ]
    numbers += [(f"{prefix}_{name}_us", value) for name, value in j.latency_us]
    level = worst(j)
    if level is not None:
        numbers += [
            (f"{prefix}_worst_level", level.name),
            (f"{prefix}_worst_share_ppm", level.share_ppm),
            (f"{prefix}_worst_share_low_ppm", level.low_ppm),
            (f"{prefix}_worst_share_high_ppm", level.high_ppm),
            (f"{prefix}_worst_allowed_ppm", level.allowed_ppm),
            (f"{prefix}_worst_window_ppm", level.worst_ppm),
            (f"{prefix}_worst_window_start_ns", level.worst_start_ns),
            (f"{prefix}_effective_requests", level.effective),
        ]
    return numbers


def _limit(view: View, found: Assessment) -> Finding:
    assert found.limit is not None
    wanted, limit = found.capacity, found.limit
    asked = f"{wanted.search.width_ppm / 10_000:g}" if wanted.search is not None else ""
    searched = next((step.id for step in view.plan.steps if step.kind is StepKind.SEARCH), "")
    verdict = Verdict.PASS if limit.narrow else Verdict.UNKNOWN
    if searched not in view.started:
        verdict = Verdict.NOT_TESTED
    numbers: Numbers = [
        ("proven_per_1000s", limit.proven_per_1000s),
        ("refuted_per_1000s", limit.refuted_per_1000s),
        ("estimate_per_1000s", limit.estimate_per_1000s),
        ("width_ppm", limit.width_ppm),
        ("trials", limit.trials),
        ("hysteresis", limit.hysteresis),
    ]
    numbers += _derived(found)
    for tried in found.trials:
        if not tried.condition:
            numbers += _trial_numbers(tried, f"trial_{tried.started.number}")
    why = "; ".join(limit.reasons) or f"held below and failed above, in {limit.trials} trials"
    seqs = tuple(seq for tried in found.trials if not tried.condition for seq in tried.seqs)
    return Finding(
        LIMIT, verdict, interval_words(limit), f"to {asked} %", "", why, seqs, None, tuple(numbers)
    )


def interval_words(limit: Bounds) -> str:
    """Return the interval in which the limit lies, in words."""
    low, high = limit.proven_per_1000s, limit.refuted_per_1000s
    if low is None and high is None:
        return "not known"
    if high is None:
        return f"above {(low or 0) / 1000:g}/s"
    return f"below {high / 1000:g}/s" if low is None else f"{low / 1000:g}/s to {high / 1000:g}/s"


def _derived(found: Assessment) -> Numbers:
    """Return what follows from the proven rate and the shape of the curve."""
    numbers: Numbers = []
    proven = found.limit.proven_per_1000s if found.limit is not None else None
    price = found.capacity.price
    if proven:
        peak = found.capacity.forecast.peak_per_1000s
        numbers.append(("headroom_over_forecast_ppm", headroom_ppm(proven, peak)))
        if price is not None:
            cost = cost_per_million(price.per_hour_micro, proven)
            numbers += [("cost_per_million_micro", cost), ("currency", price.currency)]
    if found.knee is not None:
        numbers += [
            ("knee_per_1000s", found.knee.rate_per_1000s),
            ("knee_low_per_1000s", found.knee.low_per_1000s),
            ("knee_high_per_1000s", found.knee.high_per_1000s),
        ]
    if found.usl is not None:
        usl = found.usl
        for name, value in (
            ("usl_gamma_per_1000s", usl.gamma_per_1000s),
            ("usl_sigma_ppm", usl.sigma_ppm),
            ("usl_kappa_ppm", usl.kappa_ppm),
            ("usl_peak_per_1000s", usl.peak_per_1000s),
        ):
            if value is not None:
                numbers += [(name, value.value), (f"{name}_low", value.low), (f"{name}_high", value.high)]
    return numbers
