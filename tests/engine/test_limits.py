"""Limits, windows and the rarer turns of a run, one example each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gameday.engine.apply import apply
from gameday.engine.decide import step
from gameday.engine.state import begin
from gameday.engine.windows import add_bucket, add_sample, burn_rate, gauges_of
from gameday.errors import NotMeasured
from gameday.history.events import (
    Armed,
    Effect,
    Halted,
    KillAsked,
    Phase,
    PhaseChanged,
    Reading,
    RunnerLost,
    Sample,
    StepEnded,
    StepStarted,
    UndoEnded,
    UndoStarted,
)
from gameday.history.loadevents import LoadBucket
from gameday.history.histogram import index_of
from gameday.plan.model import NS, Slo, StopCondition
from tests.engine.world import MS, World, failover_plan, fault, hold, plan, undo_step


def sample(at_ns, reading=Reading.GOOD):
    return Sample("p", at_ns - MS, at_ns, reading)


def running_state(*steps, **more):
    """A state in phase running with its first steps started."""
    state = begin(plan(*steps, **more))
    state, _ = step(state, 0, Armed(1))
    at = 0
    while state.phase is not Phase.RUNNING:
        at += 100 * MS
        state, _ = step(state, at, sample(at))
    return state, at


def feed(state, at, *readings):
    out = []
    for reading in readings:
        at += 100 * MS
        state, decided = step(state, at, sample(at, reading))
        out += decided
    return state, at, out


def is_halted(decided):
    return any(isinstance(c, Halted) for c in decided)


def test_exactly_the_stated_number_of_bad_samples_halts():
    state, at = running_state(fault("a", 0))
    state, at, decided = feed(state, at, Reading.BAD, Reading.BAD)
    assert not is_halted(decided)
    state, at, decided = feed(state, at, Reading.BAD)
    assert is_halted(decided)


def test_a_good_sample_ends_a_bad_run():
    state, at = running_state(fault("a", 0))
    *_, decided = feed(state, at, Reading.BAD, Reading.BAD, Reading.GOOD, Reading.BAD, Reading.BAD)
    assert not is_halted(decided)


def test_unreadable_samples_are_not_bad_but_do_not_end_silence_either():
    state, at = running_state(fault("a", 0))
    state, at, decided = feed(state, at, *[Reading.UNREADABLE] * 9)
    assert not is_halted(decided)
    state, at, decided = feed(state, at, *[Reading.UNREADABLE] * 3)
    assert next(c for c in decided if isinstance(c, Halted)).condition == "silence"


def slo_plan(**more):
    condition = StopCondition("burn", "halt", slo="a", bad_above_ppm=500_000, **more)
    return {"stop_conditions": (condition,)}


def test_an_slo_limit_halts_only_after_its_time():
    state, at = running_state(fault("a", 0), hold("h", 1, 60 * NS), **slo_plan(for_ns=NS))
    state, at, decided = feed(state, at, *[Reading.BAD] * 12)
    assert not is_halted(decided)
    state, at, decided = feed(state, at, *[Reading.BAD] * 8)
    assert next(c for c in decided if isinstance(c, Halted)).condition == "burn"


def test_an_slo_limit_is_not_crossed_at_its_own_value():
    state, at = running_state(fault("a", 0), hold("h", 1, 60 * NS), **slo_plan())
    *_, decided = feed(state, at, *[Reading.BAD, Reading.GOOD] * 10)
    assert not is_halted(decided)


def test_a_bad_window_never_counts_as_baseline():
    state = begin(plan(fault("a", 0)))
    state, _ = step(state, 0, Armed(1))
    for number in range(1, 70):
        reading = Reading.BAD if number % 5 == 0 else Reading.GOOD
        state, _ = step(state, number * 100 * MS, sample(number * 100 * MS, reading))
    assert state.phase is Phase.BASELINE


def bucket(at_ns, good=10, bad=0, dropped=0, latency_us=1000):
    return LoadBucket(
        "l", at_ns, good, good, 0, dropped, good, bad, (), ((index_of(latency_us), good),), 0, 0, 0
    )


def load_gauge(**more):
    return gauges_of(plan(slos=(Slo("l", NS, 900_000, load_stat="p99", **more),)))


def test_a_latency_slo_is_missed_when_its_percentile_is_too_high():
    (gauge,) = add_bucket(load_gauge(below_ns=2 * MS), bucket(0, latency_us=1000), 0)
    assert gauge.is_met() is True
    (gauge,) = add_bucket((gauge,), bucket(0, latency_us=3000), 100 * MS)
    assert gauge.is_met() is False
    assert gauge.bad_ppm() == 1_000_000


def test_a_latency_slo_without_a_successful_request_is_not_met():
    (gauge,) = add_bucket(load_gauge(below_ns=2 * MS), bucket(0, good=0, bad=5), 0)
    assert gauge.is_met() is False


def test_dropped_arrivals_are_bad_events():
    (gauge,) = add_bucket(load_gauge(), bucket(0, good=8, dropped=2), 0)
    assert gauge.good_ppm() == 800_000


def test_a_window_forgets_what_is_older_than_itself():
    gauges = gauges_of(plan())
    for number in range(10):
        gauges = add_sample(gauges, sample(number * 100 * MS, Reading.BAD), number * 100 * MS)
    for number in range(10, 25):
        gauges = add_sample(gauges, sample(number * 100 * MS), number * 100 * MS)
    assert gauges[0].good_ppm() == 1_000_000
    assert gauges[0].valid() <= 11


def test_burn_rate_one_spends_the_budget_exactly():
    assert burn_rate(good=99, valid=100, objective_ppm=990_000) == pytest.approx(1.0)
    assert burn_rate(good=90, valid=100, objective_ppm=990_000) == pytest.approx(10.0)
    with pytest.raises(NotMeasured):
        burn_rate(good=0, valid=0, objective_ppm=990_000)


def test_a_halt_kills_what_runs_at_once():
    world = World(plan(fault("a", 0)), behave={("a", "do"): "hang"}, halt_at_ns=2 * NS).run()
    killed_at = next(t for t, c in world.log if isinstance(c, KillAsked))
    assert 2 * NS <= killed_at <= 2 * NS + 50 * MS


def test_a_step_whose_host_is_dead_and_silent_is_settled_all_the_same():
    state, at = running_state(fault("a", 0))
    state, decided = step(state, at + 2 * NS + MS, None)
    assert any(isinstance(c, KillAsked) for c in decided)
    state, decided = step(state, at + 4 * NS, None)
    assert any(isinstance(c, StepEnded) and c.effect is Effect.INDETERMINATE for c in decided)


def test_an_undo_whose_host_is_dead_and_silent_is_stuck():
    state, at = running_state(fault("a", 0))
    state, _ = step(state, at, StepEnded("a", Effect.HAPPENED, in_place=True))
    assert state.undoing
    state, decided = step(state, at + 3 * NS + MS, sample(at + 3 * NS))
    assert any(isinstance(c, KillAsked) and c.role == "undo" for c in decided)
    state, decided = step(state, at + 4 * NS, None)
    assert state.stuck == ("a",)


def test_a_stuck_ttl_undo_halts_the_run():
    world = World(plan(fault("a", 0, ttl_ns=NS), hold("h", 1, 30 * NS)), behave={("a", "undo"): "fail"}).run()
    assert next(c for _, c in world.log if isinstance(c, Halted)).by == "undo"


def test_a_superseding_undo_inherits_the_time_to_live():
    steps = failover_plan().steps
    short = (replace(steps[0], ttl_ns=10 * NS), *steps[1:5], replace(steps[5], for_ns=30 * NS), *steps[6:])
    world = World(replace(failover_plan(), steps=short)).run()
    undo = next(c for _, c in world.log if isinstance(c, UndoStarted))
    assert (undo.step, undo.why) == ("promote", "ttl")


def test_a_rejoin_waits_until_the_path_has_been_switched():
    """Halted between promotion and switch, the old primary may rejoin only behind the new one."""
    world = World(failover_plan(), behave={("switch", "do"): "hang"}).run()
    order = [(type(c).__name__, c.step) for _, c in world.log if isinstance(c, StepStarted | UndoStarted)]
    assert order.index(("UndoStarted", "promote")) > max(
        i for i, item in enumerate(order) if item == ("StepStarted", "switch")
    )


def test_completion_comes_before_the_undo_when_the_runner_died_while_promoting():
    state = begin(failover_plan())
    for at, event in (
        (0, PhaseChanged(Phase.RUNNING, "x")),
        (1, StepStarted("lose")),
        (2, StepEnded("lose", Effect.HAPPENED, in_place=True)),
        (3, StepStarted("promote")),
    ):
        state = apply(state, at, event)
    state, decided = step(state, 4, RunnerLost("watchdog", "x"))
    assert [c.step for c in decided if isinstance(c, StepStarted)] == ["promote"]
    assert not [c for c in decided if isinstance(c, UndoStarted)]
    assert state.failed_over
    state, decided = step(state, 5, StepEnded("promote", Effect.HAPPENED))
    assert [c.step for c in decided if isinstance(c, StepStarted)] == ["switch"]
    assert not [c for c in decided if isinstance(c, UndoStarted)]
    state, decided = step(state, 6, StepEnded("switch", Effect.HAPPENED))
    assert [c.step for c in decided if isinstance(c, UndoStarted)] == ["promote"]
    state, decided = step(state, 7, UndoEnded("promote", undone=True))
    assert state.is_over


def test_an_undo_step_on_a_stuck_target_does_not_pass_for_done():
    world = World(
        plan(fault("a", 0), undo_step("u", 1, "node:a"), hold("h", 2, NS)), behave={("a", "undo"): "fail"}
    ).run()
    assert "h" not in world.starts()
    assert world.state.stuck == ("a",)
