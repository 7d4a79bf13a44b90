"""Trials of a capacity sign-off, in virtual time: what begins, what ends, and what a halt does to the load."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gameday.capacity.goal import Slice, index_of
from gameday.engine import trials
from gameday.engine.apply import apply
from gameday.engine.state import begin
from gameday.history.capacityevents import TrialEnded, TrialStarted
from gameday.history.events import Halted, LoadBucket, RunnerLost, Sample, StepEnded
from gameday.history.loadevents import LoadAsked
from gameday.plan.capacity import SETTLE_NS
from gameday.plan.model import NS, StopCondition
from tests.engine.capacity_world import BASE, CapacityWorld, ran, sign_off
from tests.engine.world import MS


def halted(world):
    return next((c for _, c in world.log if isinstance(c, Halted)), None)


@pytest.fixture(scope="module")
def whole():
    """A sign-off of 500/s on a target that holds 700/s."""
    return ran()


def test_the_rate_is_tried_with_n_then_with_the_fault_and_then_the_limit_is_searched_for(whole):
    assert whole.starts() == ["n", "lose", "n-1", "back", "search"]
    assert [t.rate_per_1000s for t in whole.trials()[:2]] == [500_000, 500_000]
    assert [t.purpose for t in whole.trials()[:2]] == ["sign-off", "sign-off"]
    assert [e.verdict for e in whole.ends()[:2]] == ["holds", "holds"]
    assert whole.undos() == ["lose"]
    assert halted(whole) is None


def test_the_search_finds_the_limit_between_what_held_and_what_failed(whole):
    ends = {e.number: e.verdict for e in whole.ends()}
    held = [t.rate_per_1000s for t in whole.trials() if ends[t.number] == "holds"]
    failed = [t.rate_per_1000s for t in whole.trials() if ends[t.number] == "fails"]
    assert max(held) <= 700_000 < min(failed)
    assert (min(failed) - max(held)) / min(failed) <= 0.1
    assert len(whole.trials()) <= 12


def test_after_each_trial_the_load_goes_back_to_its_own_rate_at_once(whole):
    events = [c for _, c in whole.log if isinstance(c, TrialEnded | LoadAsked)]
    for before, after in zip(events, events[1:], strict=False):
        if isinstance(before, TrialEnded):
            assert isinstance(after, LoadAsked)
            assert (after.ask, after.rate_per_1000s) == ("ease", BASE)


def test_a_trial_begins_after_its_step_and_ends_before_it(whole):
    kinds = [
        (type(c).__name__, getattr(c, "step", ""))
        for _, c in whole.log
        if isinstance(c, TrialStarted | TrialEnded | StepEnded) or type(c).__name__ == "StepStarted"
    ]
    assert kinds[:4] == [("StepStarted", "n"), ("TrialStarted", "n"), ("TrialEnded", "n"), ("StepEnded", "n")]


@pytest.mark.slow
def test_missed_slos_end_the_trial_and_never_the_run():
    world = ran(limit=300, limit_with_fault=300)
    assert world.ends()[0].verdict == "fails"
    assert halted(world) is None
    assert world.state.is_over


def test_what_was_not_proven_with_n_is_not_tried_with_a_fault():
    world = ran(limit=300)
    assert world.skipped() == ["lose", "n-1"]
    assert "lose" not in world.starts()
    assert world.undos() == []
    assert "search" in world.starts()


def test_a_fault_that_costs_the_rate_is_taken_back_before_the_search():
    world = ran(limit_with_fault=450)
    assert [e.verdict for e in world.ends()[:2]] == ["holds", "fails"]
    assert world.undos() == ["lose"]
    assert world.starts()[-2:] == ["back", "search"]


def test_a_trial_with_a_fault_tells_nothing_about_the_limit():
    world = ran(limit_with_fault=450)
    assert [t.trial.rate_per_1000s for t in world.state.trials.search.tried].count(500_000) >= 1
    assert all(
        t.judgement.verdict == "holds"
        for t in world.state.trials.search.tried
        if t.trial.rate_per_1000s <= 500_000
    )


def test_other_stop_conditions_halt_a_trial_and_the_load_goes_back_before_anything_is_undone():
    world = ran(bad_from_ns=40 * NS)
    assert halted(world).condition == "row"
    names = [type(c).__name__ + getattr(c, "ask", "") for _, c in world.log]
    after = names[names.index("Halted") :]
    assert after.index("LoadAskedease") < after.index("UndoStarted") if "UndoStarted" in after else True
    assert "LoadAskedchange" not in after
    assert "TrialStarted" not in after


@pytest.mark.parametrize(
    "at_s", [6, 9, 26, *(pytest.param(s, marks=pytest.mark.slow) for s in (22, 33, 50, 70))]
)
def test_a_person_halts_at_any_time_and_no_trial_is_left_open(at_s):
    world = ran(halt_at_ns=at_s * NS)
    assert len(world.trials()) == len(world.ends())
    asked = [(at, ask, rate) for at, ask, rate in world.rates if at >= at_s * NS + 200 * MS]
    assert all(ask == "stop" for _, ask, _ in asked)
    running = next((rate for at, _, rate in reversed(world.rates) if at < at_s * NS + 200 * MS), BASE)
    assert running == BASE


@pytest.mark.slow
def test_conditions_on_other_slos_still_halt():
    conditions = (StopCondition("a", "halt", slo="a", bad_above_ppm=500_000),)
    world = CapacityWorld(sign_off(stop_conditions=conditions), bad_from_ns=40 * NS).run(3000 * NS)
    assert halted(world).condition == "a"


def test_before_the_first_trial_the_slo_of_the_load_halts_as_always():
    world = ran(limit=50)
    assert halted(world).condition == "slow"


@pytest.mark.slow
def test_the_next_trial_waits_until_the_target_is_calm():
    world = ran(lingers_ns=4 * NS)
    ends = {e.number: e for e in world.ends()}
    at = {c.number: t for t, c in world.log if isinstance(c, TrialEnded)}
    for trial in world.trials()[1:]:
        assert trial.settled
        if ends[trial.number - 1].verdict == "fails":
            assert trial.from_ns - at[trial.number - 1] >= 4 * NS


@pytest.mark.slow
def test_a_target_that_does_not_come_back_is_waited_for_in_vain_and_it_is_said():
    world = CapacityWorld(sign_off(), lingers_ns=10_000 * NS).run(6000 * NS)
    at = {c.number: t for t, c in world.log if isinstance(c, TrialEnded)}
    ends = {e.number: e.verdict for e in world.ends()}
    late = [t for t in world.trials() if ends.get(t.number - 1) == "fails"]
    assert late
    assert not any(t.settled for t in late)
    assert all(SETTLE_NS <= t.from_ns - at[t.number - 1] <= SETTLE_NS + NS for t in late)


def test_a_generator_that_falls_silent_leaves_it_undecided_and_the_run_ends():
    world = ran(silent_at=400)
    assert world.ends()[0].verdict == "undecided"
    assert world.skipped() == ["lose", "n-1"]
    assert world.state.is_over


def test_no_trial_lasts_longer_than_the_plan_says():
    world = ran(silent_at=400)
    first, end = world.trials()[0], world.ends()[0]
    assert end.to_ns - first.from_ns <= 32 * NS


@pytest.mark.slow
def test_the_same_events_give_the_same_trials(whole):
    state, again = begin(whole.plan), []
    from gameday.engine.decide import step  # noqa: PLC0415 - beside its only use

    for at, event in whole.events:
        state, decided = step(state, at, event)
        again += decided
    assert again == [c for _, c in whole.log]


def test_who_reads_the_history_without_buckets_knows_the_same_verdicts(whole):
    """The watchdog folds records only: every verdict stands in one."""
    records = [(at, e) for at, e in whole.events if not isinstance(e, LoadBucket | Sample | None)]
    records += whole.log
    state = begin(whole.plan)
    for at, event in sorted(records, key=lambda item: item[0]):
        state = apply(state, at, event)
    mine = [(t.number, v) for t, v in whole.state.trials.ended]
    assert [(t.number, v) for t, v in state.trials.ended] == mine


def test_when_the_runner_is_lost_no_trial_is_under_way():
    world = CapacityWorld(sign_off())
    state = begin(world.plan)
    state = apply(state, 0, TrialStarted("n", 1, 500_000, "sign-off", 0, settled=True))
    assert apply(state, NS, RunnerLost("watchdog", "died")).trials.now is None


def test_a_plan_that_is_no_sign_off_has_no_trials():
    assert begin(replace(sign_off(), capacity=None)).trials is None


def test_only_buckets_of_the_load_and_of_the_trial_count():
    known = trials.started(begin(sign_off()).trials, TrialStarted("n", 1, 500_000, "sign-off", 10 * NS, True))
    bucket = CapacityWorld(sign_off(), state=begin(sign_off()), rate=500_000).bucket(10 * NS + 100 * MS)
    assert len(trials.bucketed(known, bucket).watch.parts) == 1
    assert trials.bucketed(known, replace(bucket, start_ns=10 * NS - 1)) is known
    assert trials.bucketed(known, replace(bucket, load="another")) is known


@pytest.mark.parametrize(
    ("more", "calm"),
    [
        ({}, True),
        ({"ages": ((index_of(5_000_000), 1),)}, False),
        ({"latency": ((index_of(5_000_000), 10),)}, False),
        ({"bad": 1}, False),
        ({"good": 0, "latency": ()}, False),
    ],
    ids=str,
)
def test_calm_is_a_second_within_every_level_with_nothing_overdue(more, calm):
    known = begin(sign_off()).trials
    quiet = Slice(0, NS, 10, 10, 0, 0, 10, 0, ((index_of(5_000), 10),))
    watched = replace(known, watch=trials.Watch(0, (replace(quiet, **more),)))
    begun = trials.sign_off_next(watched, "n", 2 * NS)
    assert (begun is not None and begun.settled) is calm


def test_a_search_begins_at_the_rate_that_the_plan_names():
    found = sign_off(with_fault=False)
    asked = replace(found.capacity, search=replace(found.capacity.search, first_per_1000s=650_000))
    world = CapacityWorld(replace(found, capacity=asked)).run(3000 * NS)
    assert [t.rate_per_1000s for t in world.trials()[:2]] == [500_000, 650_000]


def test_the_verdict_of_the_record_is_believed_by_whoever_has_no_buckets():
    known = trials.started(begin(sign_off()).trials, TrialStarted("n", 1, 500_000, "sign-off", 0, True))
    after = trials.ended(known, TrialEnded("n", 1, "holds", "it holds", 12 * NS), 12 * NS)
    assert after.of_step("n") == "holds"
    assert after.search.tried[0].judgement.verdict == "holds"
