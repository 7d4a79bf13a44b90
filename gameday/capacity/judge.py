"""Does a rate hold? One trial's slices in, one judgement out, as often as it is asked.

    judge(goal, slices, rate_per_1000s=…) -> Judgement

It may be asked after every slice; what it says only changes at the looks that `Goal` fixes, so asking
often costs no confidence. `final` tells that more slices would change nothing: end the trial.

The error of each side is spent on the looks as the square of the time that has passed, so that an early end
needs strong evidence, and their sum is the error of the whole, whatever the looks have in common (alpha
spending; Lan & DeMets 1983, Kim & DeMets 1987, with the union bound). `fails` may come from any level and any
of the trials, so it is divided by their number; `holds` needs every level, which costs nothing
(intersection-union test, Berger 1982), and only the trials of a search share its error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gameday.capacity.generators import Load, doubts, load_of
from gameday.capacity.goal import PPM, SECOND_NS, Goal, Level, Slice, add, coalesce, percentile_us
from gameday.capacity.settled import settled
from gameday.capacity.shares import Estimate, Window, estimate, ppm, windows_of

GROWTH = (3, 2)
WINDOW_NS = 10 * SECOND_NS
LAST_LOOK_SHARE = 0.1
PERCENTILES = (("p50", 500_000), ("p95", 950_000), ("p99", 990_000), ("p999", 999_000))


class Verdict(StrEnum):
    """What a trial says about its rate. Undecided is not holds."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class LevelShare:
    """The spoilt share of one service level: what was seen, and the interval its true value lies in.

    `worst_*` is the window (10 s) with the largest share; `effective` is how many independent requests
    would tell as much as these `requests` do.
    """

    name: str
    allowed_ppm: int
    share_ppm: int
    low_ppm: int
    high_ppm: int
    requests: int
    effective: int
    worst_ppm: int = 0
    worst_start_ns: int = 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one trial proves about one rate. Times in ns, rates per 1000 s, shares in ppm.

    `reasons` say in words why it is undecided, or what failed; `generator` is why the load itself is not
    to be believed (then the verdict is undecided ). `judged_ns` is without `cut_ns`, the warm-up.
    `in_flight_per_1000`: the mean number of requests under way, times 1000. `little_ppm`: throughput x
    latency against the requests under way, 1 000 000 when they agree, 0 when it could not be told.
    """

    verdict: Verdict
    final: bool
    rate_per_1000s: int
    achieved_per_1000s: int
    throughput_per_1000s: int
    requests: int
    judged_ns: int
    cut_ns: int
    look: int
    confidence_ppm: int
    levels: tuple[LevelShare, ...]
    reasons: tuple[str, ...]
    generator: tuple[str, ...]
    latency_us: tuple[tuple[str, int], ...] = ()
    mean_latency_us: int = 0
    in_flight_per_1000: int = 0
    little_ppm: int = 0
    late_ppm: int = 0
    dropped_ppm: int = 0
    busy_ppm: int = 0

    @property
    def margin_ppm(self) -> int:
        """How far the worst level is from its limit: under 0 is better than allowed, above is worse."""
        return max((s.share_ppm - s.allowed_ppm for s in self.levels), default=PPM)


def looks_ns(goal: Goal) -> tuple[int, ...]:
    """Return the judged times at which a trial is looked at.

    The last is half beyond the maximum, and only for a trial whose warm-up took more than was planned.
    """
    looks = [goal.duration_min_ns]
    while looks[-1] * GROWTH[0] // GROWTH[1] < goal.duration_max_ns:
        looks.append(looks[-1] * GROWTH[0] // GROWTH[1])
    if looks[-1] < goal.duration_max_ns:
        looks.append(goal.duration_max_ns)
    return (*looks, looks[-1] * GROWTH[0] // GROWTH[1])


def alpha_at(goal: Goal, look: int) -> float:
    """Return the error that look number `look` (from 0) may spend, of one side of one trial."""
    alpha = (PPM - goal.confidence_ppm) / PPM
    looks = looks_ns(goal)
    if look == len(looks) - 1:
        return alpha * LAST_LOOK_SHARE
    now, before = looks[look] / looks[-2], (looks[look - 1] if look else 0) / looks[-2]
    return alpha * (1 - LAST_LOOK_SHARE) * (now**2 - before**2)


def judge(goal: Goal, slices: Sequence[Slice], *, rate_per_1000s: int = 0) -> Judgement:
    """Return what the slices of one trial prove about its rate; `rate_per_1000s` is what was asked for."""
    if any(s.length_ns < SECOND_NS for s in slices):
        slices = [s for s in coalesce(slices) if s.end_ns <= slices[-1].end_ns]
    slices, look = _up_to_the_look(goal, slices)
    if look < 0:
        return _judgement(goal, rate_per_1000s, Verdict.UNDECIDED, (), (), ("too short to be judged",))
    cut, calm = settled(slices, goal.warm_up_ns)
    judged = slices[cut:]
    load = load_of(judged)
    alpha = alpha_at(goal, look)
    views = [_View.of(level, slices, cut) for level in goal.levels]
    shares = tuple(v.interval(alpha / goal.trials, alpha / (len(views) * goal.trials)) for v in views)
    generator = doubts(goal, judged, load, rate_per_1000s)
    verdict, reasons = _decide(goal, views, shares, judged, calm)
    if generator:
        verdict, reasons = Verdict.UNDECIDED, (*generator, *reasons)
    return _judgement(
        goal, rate_per_1000s, verdict, shares, generator, reasons, load=load, judged=judged,
        cut_ns=sum(s.length_ns for s in slices[:cut]), look=look,
        final=verdict != Verdict.UNDECIDED or _at_its_end(goal, look, calm, judged),
    )  # fmt: skip


def look_at(goal: Goal, slices: Sequence[Slice]) -> int:
    """Return the number of the last look that has passed, -1 before the first. Cheap.

    Where it is the `look` of the judgement one has, `judge` would say the same again.
    """
    if not slices:
        return -1
    elapsed_ns = slices[-1].end_ns - slices[0].start_ns - goal.warm_up_ns
    return sum(1 for ns in looks_ns(goal) if elapsed_ns >= ns) - 1


def _up_to_the_look(goal: Goal, slices: Sequence[Slice]) -> tuple[Sequence[Slice], int]:
    look = look_at(goal, slices)
    if look < 0:
        return (), -1
    end_ns = slices[0].start_ns + goal.warm_up_ns + looks_ns(goal)[look]
    return [s for s in slices if s.end_ns <= end_ns], look


def _at_its_end(goal: Goal, look: int, calm: bool, judged: Sequence[Slice]) -> bool:
    last = len(looks_ns(goal)) - 1
    long_enough = calm and sum(s.length_ns for s in judged) >= goal.duration_min_ns
    return look >= last or (look == last - 1 and long_enough)


@dataclass(frozen=True, slots=True)
class _View:
    """One level over one trial, counted both ways: latencies in the limit's own bucket are fast, or slow."""

    level: Level
    windows: tuple[Window, ...]
    least: Estimate
    most: Estimate

    @classmethod
    def of(cls, level: Level, slices: Sequence[Slice], cut: int) -> _View:
        windows = windows_of(level, slices)[cut:]
        allowed, queued = level.allowed_ppm / PPM, level.below_us is not None
        return cls(
            level,
            windows,
            estimate([(w.requests, w.spoilt) for w in windows], allowed, queued=queued),
            estimate([(w.requests, w.spoilt_most) for w in windows], allowed, queued=queued),
        )

    def interval(self, alpha_holds: float, alpha_fails: float) -> LevelShare:
        worst_ppm, worst_ns = self._worst()
        return LevelShare(
            self.level.name,
            self.level.allowed_ppm,
            ppm(self.most.share),
            ppm(self.least.lower(alpha_fails)),
            ppm(self.most.upper(alpha_holds)),
            self.most.requests,
            int(self.most.effective),
            worst_ppm,
            worst_ns,
        )

    def _worst(self) -> tuple[int, int]:
        found = (-1, 0)
        groups: dict[int, list[Window]] = {}
        for w in self.windows:
            groups.setdefault((w.start_ns - self.windows[0].start_ns) // WINDOW_NS, []).append(w)
        for group in groups.values():
            requests = sum(w.requests for w in group)
            if requests:
                share = sum(w.spoilt_most for w in group) * PPM // requests
                found = max(found, (share, -group[0].start_ns))
        return max(found[0], 0), -found[1]

    def later_share_ppm(self) -> int:
        half = self.windows[len(self.windows) // 2 :]
        return sum(w.spoilt_most for w in half) * PPM // max(sum(w.requests for w in half), 1)


def _decide(
    goal: Goal, views: Sequence[_View], shares: Sequence[LevelShare], judged: Sequence[Slice], calm: bool
) -> tuple[Verdict, tuple[str, ...]]:
    failed = [s for s in shares if s.low_ppm > s.allowed_ppm]
    if failed and calm:
        return Verdict.FAILS, tuple(_missed(s) for s in failed)
    reasons = []
    if failed:
        reasons.append("it was still getting faster: half of the trial was not enough for its warm-up")
    if sum(s.length_ns for s in judged) < goal.duration_min_ns:
        reasons.append("warm-up took so much of the trial that too little is left")
    if min((s.requests for s in shares), default=0) < goal.requests_min:
        reasons.append(f"fewer than {goal.requests_min} requests were counted")
    for view, share in zip(views, shares, strict=True):
        if share.high_ppm > share.allowed_ppm:
            reasons.append(_open(share))
        elif view.later_share_ppm() > share.allowed_ppm:
            reasons.append(f"{share.name}: its second half was over the limit by itself: it gets worse")
    return (Verdict.UNDECIDED, tuple(reasons)) if reasons else (Verdict.HOLDS, ())


def _missed(share: LevelShare) -> str:
    return (
        f"{share.name}: at least {share.low_ppm / 10_000:g} % of the requests miss it, "
        f"{share.allowed_ppm / 10_000:g} % may"
    )


def _open(share: LevelShare) -> str:
    return (
        f"{share.name}: between {share.low_ppm / 10_000:g} and {share.high_ppm / 10_000:g} % of the requests "
        f"miss it, {share.allowed_ppm / 10_000:g} % may"
    )


def _judgement(
    goal: Goal, rate_per_1000s: int, verdict: Verdict, shares: tuple[LevelShare, ...],
    generator: tuple[str, ...], reasons: tuple[str, ...], *, load: Load | None = None,
    judged: Sequence[Slice] = (), cut_ns: int = 0, look: int = -1, final: bool = False,
) -> Judgement:  # fmt: skip
    load = load or load_of(judged)
    length_s = load.length_s or 1.0
    intended = max(load.intended, 1)
    counts = add(s.latency for s in judged)
    percentiles = [(name, percentile_us(counts, ratio)) for name, ratio in PERCENTILES]
    return Judgement(
        verdict=verdict,
        final=final,
        rate_per_1000s=rate_per_1000s,
        achieved_per_1000s=round(load.started / length_s * 1000),
        throughput_per_1000s=round(sum(s.good for s in judged) / length_s * 1000),
        requests=max((s.requests for s in shares), default=load.completed),
        judged_ns=sum(s.length_ns for s in judged),
        cut_ns=cut_ns,
        look=look,
        confidence_ppm=goal.confidence_ppm,
        levels=shares,
        reasons=reasons,
        generator=generator,
        latency_us=tuple((name, value) for name, value in percentiles if value is not None),
        mean_latency_us=round(load.mean_latency_us),
        in_flight_per_1000=round(load.in_flight * 1000),
        little_ppm=ppm(load.little) if load.little is not None else 0,
        late_ppm=load.late * PPM // intended,
        dropped_ppm=load.dropped * PPM // intended,
        busy_ppm=load.busy_ppm,
    )
