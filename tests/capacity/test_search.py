"""The search: which rate next, what the trials prove together, and that it finds a limit it does not know."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.capacity.goal import PPM, SECOND_NS, Goal, Level, required_per_1000s
from gameday.capacity.judge import Judgement, LevelShare, Verdict
from gameday.capacity.scalability import Point, cost_per_million, fit_usl, headroom_ppm, knee
from gameday.capacity.search import TRIALS_MAX, Search, Trial, bounds, next_trial, take, verdicts
from gameday.capacity.together import together
from gameday.capacity.signoff import Decision, SignOffTrial, decide
from tests.bench.capacity import goal_of, search_limit
from tests.queueing import Server, limit_of

GOAL = Goal((Level("p95", 950_000, 250_000),)).shared_by(TRIALS_MAX)


def judged(rate, verdict, share_ppm=50_000, generator=(), throughput=None):
    level = LevelShare("p95", 50_000, share_ppm, share_ppm // 2, share_ppm * 2, 10_000, 1_000)
    return Judgement(
        verdict, True, rate, rate, throughput or rate, 10_000, 60 * SECOND_NS, 0, 0, 950_000, (level,),
        ("because",) if verdict != Verdict.HOLDS else (), generator,
    )  # fmt: skip


def took(*trials, first=100_000, **more):
    search = Search(GOAL, first, **more)
    for rate, verdict, *rest in trials:
        search = take(search, Trial(rate, "search"), judged(rate, verdict, *rest))
    return search


H, F, U = Verdict.HOLDS, Verdict.FAILS, Verdict.UNDECIDED


def test_it_begins_with_the_rate_that_is_required():
    assert next_trial(Search(GOAL, 100_000)) == Trial(100_000, "search")


def test_a_later_trial_wins_over_an_earlier_one_it_contradicts():
    b = bounds(took((100_000, F, 200_000), (110_000, H, 20_000)))
    assert (b.proven_per_1000s, b.refuted_per_1000s) == (110_000, None)
    b = bounds(took((100_000, H, 20_000), (120_000, F, 500_000), (100_000, F, 200_000)))
    assert (b.proven_per_1000s, b.refuted_per_1000s, b.hysteresis) == (None, 100_000, "lost")


def test_the_proven_rate_is_tried_again_after_the_overload():
    search = took((100_000, H, 20_000), (110_000, F, 200_000))
    assert bounds(search).narrow and bounds(search).hysteresis == "untested"
    trial = next_trial(search)
    assert trial == Trial(100_000, "hysteresis")
    search = take(search, trial, judged(100_000, H, 20_000))
    assert next_trial(search) is None
    assert bounds(search).hysteresis == "held" and bounds(search).reasons == ()


def test_a_refutation_from_before_the_first_proof_is_tried_again():
    search = took((110_000, F, 200_000), (100_000, H, 20_000))
    assert next_trial(search) == Trial(110_000, "again")


def test_a_doubtful_generator_gets_a_second_chance_and_then_ends_the_search():
    doubt = ("a generator was busy",)
    search = took((100_000, H, 5_000), (140_000, U, 50_000, doubt))
    assert next_trial(search) == Trial(140_000, "again")
    search = take(search, Trial(140_000, "again"), judged(140_000, U, 50_000, doubt))
    assert next_trial(search) is None
    assert bounds(search).reasons == doubt and bounds(search).refuted_per_1000s is None


def test_a_rate_above_the_ceiling_is_never_tried():
    search = took((100_000, H, 5_000), ceiling_per_1000s=110_000)
    assert next_trial(search).rate_per_1000s == 110_000
    search = take(search, Trial(110_000, "search"), judged(110_000, H, 5_000))
    assert next_trial(search) is None and "highest rate" in bounds(search).reasons[0]


def test_what_an_overloaded_system_gets_through_bounds_the_next_rate():
    search = took((200_000, F, PPM, (), 90_000))
    assert next_trial(search).rate_per_1000s < 90_000


def test_undecided_trials_of_one_rate_are_judged_together():
    def seen(share, low, high, reasons=("open",)):
        level = LevelShare("p95", 50_000, share, low, high, 90_000, 1_000)
        return replace(judged(94_000, U), levels=(level,), reasons=reasons)

    three = [seen(22_000, 5_000, 57_000), seen(20_000, 4_000, 53_000), seen(28_000, 11_000, 57_000)]
    assert together(three[:1]) == U
    assert together(three) == H
    assert together([seen(70_000, 48_000, 120_000)] * 3) == F
    assert together([seen(50_000, 30_000, 70_000)] * 3) == U
    assert together([three[0], seen(22_000, 5_000, 40_000, ("it gets worse",))]) == U, "for another reason"
    search = took((100_000, H, 20_000), (115_000, F, 200_000))
    for judgement in three:
        search = take(search, Trial(104_000, "search"), replace(judgement, rate_per_1000s=104_000))
    assert verdicts(search)[-1] == (104_000, H) and bounds(search).proven_per_1000s == 104_000


def test_what_a_cold_system_got_through_is_forgotten_when_more_is_proven():
    search = took((105_000, F, PPM, (), 60_000), (70_000, H, 4_000))
    assert next_trial(search).rate_per_1000s > 75_000


def test_when_no_trial_is_left_it_says_so():
    search = took(*[(100_000, U, 50_000)] * 10)
    assert next_trial(search) is None
    b = bounds(search)
    assert (b.narrow, b.width_ppm, b.reasons) == (False, None, ("all 10 trials were used",))


@settings(max_examples=25, deadline=None)
@given(st.floats(20, 500), st.floats(0.05, 8), st.floats(5, 60), st.floats(0.0, 0.03), st.randoms())
def test_with_an_oracle_every_search_ends_narrow_and_contains_the_limit(limit, start, steep, blind, rng):
    """The odds are linear in the rate, trials within `blind` of the limit cannot decide."""
    search = Search(GOAL, round(limit * start * 1000))
    while (trial := next_trial(search)) is not None:
        assert 0 < trial.rate_per_1000s
        far = trial.rate_per_1000s / 1000 / limit - 1
        odds = min(max(steep * far, -9), 9)
        share = 2.718281828**odds / 19 / (1 + 2.718281828**odds / 19)
        verdict = U if abs(far) < blind else H if far < 0 else F
        search = take(search, trial, judged(trial.rate_per_1000s, verdict, round(share * PPM)))
    b = bounds(search)
    assert b.trials <= 10
    assert (b.proven_per_1000s or 0) <= limit * 1000 <= (b.refuted_per_1000s or float("inf"))
    assert b.narrow or b.reasons
    if 0.4 < start < 1.8 and 15 < steep < 40:
        assert b.narrow and b.hysteresis == "held"


@pytest.mark.slow
def test_it_finds_the_limit_of_a_queue():
    server = {"c": 4, "mean_s": 0.01}
    limit = limit_of(Server(**server), 50_000, 0.05)
    search = search_limit(goal_of(50_000, 60, 240), Server(**server), limit * 1.3, 3)
    b = bounds(search)
    assert b.proven_per_1000s <= limit * 1000 <= b.refuted_per_1000s
    assert b.width_ppm <= 100_000 and b.trials <= 10


def test_go_needs_every_trial_and_one_failure_is_no_go():
    n, less = SignOffTrial("N", judged(120_000, H)), SignOffTrial("N-1", judged(120_000, H))
    assert decide(120_000, (n, less)).decision == Decision.GO
    bad = decide(120_000, (n, SignOffTrial("N-1", judged(120_000, F))))
    assert (bad.decision, bad.reasons) == (Decision.NO_GO, ("N-1: because",))
    assert decide(120_000, (n, SignOffTrial("N-1", judged(120_000, U)))).decision == Decision.UNDECIDED
    assert decide(120_000, (n, SignOffTrial("N-1", None))).reasons == ("N-1: it was not run",)
    assert decide(120_000, ()).decision == Decision.UNDECIDED


def test_a_trial_at_another_rate_proves_only_what_follows_from_it():
    low = decide(120_000, (SignOffTrial("N", judged(119_000, H)),))
    assert low.decision == Decision.UNDECIDED and "tried at 119/s, 120/s is required" in low.reasons[0]
    assert decide(120_000, (SignOffTrial("N", judged(130_000, H)),)).decision == Decision.GO
    assert decide(120_000, (SignOffTrial("N", judged(130_000, F)),)).decision == Decision.UNDECIDED
    assert decide(120_000, (SignOffTrial("N", judged(110_000, F)),)).decision == Decision.NO_GO


def test_the_required_rate_is_rounded_up():
    assert required_per_1000s(100_001, 200_000) == 120_002


def points(gamma, sigma, kappa, noise=()):
    found = []
    for i, n in enumerate((1, 2, 4, 8, 16, 24, 32, 48)):
        x = gamma * n / (1 + sigma * (n - 1) + kappa * n * (n - 1)) * (1 + (noise[i] if noise else 0))
        found.append(Point(round(x * 1000), round(x * 1000), n * 1000, round(n / x * 1e6)))
    return found


def test_the_scalability_law_is_found_again_with_its_uncertainty():
    noise = (0.01, -0.008, 0.004, -0.012, 0.009, 0.002, -0.006, 0.003)
    fit = fit_usl(points(50, 0.03, 0.0005, noise))
    assert fit.gamma_per_1000s.low <= 50_000 <= fit.gamma_per_1000s.high
    assert fit.sigma_ppm.low <= 30_000 <= fit.sigma_ppm.high
    assert fit.kappa_ppm.low <= 500 <= fit.kappa_ppm.high
    assert fit.peak_per_1000s.low <= 675_261 <= fit.peak_per_1000s.high
    assert abs(fit.peak_in_flight_per_1000 - 44_045) < 2_000 and fit.error_ppm < 20_000


def test_a_law_without_a_peak_has_none_and_few_points_have_no_law():
    fit = fit_usl(points(50, 0.03, 0.0))
    assert fit.peak_per_1000s is None and abs(fit.sigma_ppm.value - 30_000) < 300
    assert fit_usl(points(50, 0.03, 0.0)[:4]) is None
    assert fit_usl([]) is None


def test_the_knee_is_where_power_is_largest():
    found = knee(points(50, 0.03, 0.0005))
    assert found.low_per_1000s < found.rate_per_1000s < found.high_per_1000s
    assert knee(points(50, 0.03, 0.0005)[:2]) is None


def test_headroom_and_cost():
    assert headroom_ppm(90_000, 100_000) == -100_000
    assert cost_per_million(3_600_000, 1_000_000) == 1_000_000, "3.60 an hour at 1000/s: 1.00 a million"
