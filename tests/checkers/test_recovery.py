"""RTA: the interval holds the truth, and only what the plan declared counts as recovery."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from gameday.checkers.recovery import disruption
from gameday.checkers.view import view_of
from gameday.history.events import (
    Effect,
    Halted,
    Noted,
    Outcome,
    PhaseChanged,
    Reading,
    RunEnded,
    RunnerLost,
    Sample,
    StepEnded,
    StepStarted,
    UndoStarted,
)
from gameday.history.loadevents import LoadReported
from gameday.plan.model import NS, Probe, ProbeKind, SteadyState, Step, StepKind
from tests.checkers.made import events, find, findings_of, number, samples, trace_of, without
from tests.evidence.synthetic import BACK_NS, FAULT_NS, MS, Story, act, completed, halted, make_plan, opening

PROBE = "place-order"


def reads(reading, *stretches):
    """Give every sample sent in a stretch [from_ns, to_ns) that reading."""

    def change(sample):
        inside = any(low <= sample.sent_ns < high for low, high in stretches)
        return replace(sample, reading=reading) if inside else sample

    return change


def rta(story):
    return find(story, "RTA orders")


def test_the_interval_spans_the_samples_around_both_ends():
    found = rta(completed())
    assert found.verdict == "pass"
    lo, hi = found.interval.min_ns, found.interval.max_ns
    assert lo <= BACK_NS - FAULT_NS <= hi
    assert hi - lo <= number(found, "width_allowed_ns")
    assert number(found, "recovered_by") == "plan"
    parts = ("detect_ns", "decide_ns", "fail_over_ns", "come_up_ns")
    assert sum(number(found, part) for part in parts) == hi


def test_unreadable_samples_widen_both_ends_and_say_so():
    story = completed()
    gaps = (FAULT_NS - 600 * MS, FAULT_NS + 500 * MS), (BACK_NS - 600 * MS, BACK_NS + 600 * MS)
    samples(story, PROBE, reads(Reading.UNREADABLE, *gaps))
    found = rta(story)
    assert found.interval.min_ns <= BACK_NS - FAULT_NS - 1000 * MS
    assert found.interval.max_ns >= BACK_NS - FAULT_NS + 500 * MS
    assert number(found, "unreadable_samples") > 10
    assert "unreadable" in number(found, "wide_because")


def test_a_relapse_voids_the_first_recovery():
    story = completed(make_plan(steady_state=SteadyState(("availability", "latency"), 5 * NS, 2 * NS)))
    # Steady for the 2 s that this plan asks for, and only then bad again, before failing back.
    samples(story, PROBE, reads(Reading.BAD, (14 * NS, 15 * NS)))
    found = rta(story)
    assert found.verdict == "fail"
    assert "relapse" in found.why
    assert found.interval.max_ns > 15 * NS - FAULT_NS - 100 * MS


def test_goods_that_do_not_last_are_no_recovery():
    story = completed()
    samples(story, PROBE, reads(Reading.BAD, (BACK_NS + 400 * MS, BACK_NS + 1400 * MS)))
    found = rta(story)
    assert found.interval.min_ns >= BACK_NS + 1200 * MS - FAULT_NS
    assert found.verdict == "pass"


def test_less_than_the_minimum_capacity_is_no_recovery():
    story = completed()
    later = BACK_NS + 2 * NS
    story.load = [
        replace(b, good=2, latency=b.latency[:1]) if BACK_NS <= b.start_ns < later else b for b in story.load
    ]
    # A window of 5 s may begin where no more than a fifth of its good requests is missing.
    assert rta(story).interval.min_ns > BACK_NS - FAULT_NS + 150 * MS


def test_slow_answers_are_no_recovery():
    story = completed()
    slow = ((20 << 7, 5),)  # About half a second, where the plan asks for 300 ms.
    later = BACK_NS + 1500 * MS
    story.load = [replace(b, latency=slow) if BACK_NS <= b.start_ns < later else b for b in story.load]
    assert rta(story).interval.min_ns > BACK_NS + 1300 * MS - FAULT_NS


def test_not_recovered_when_observation_ended_is_a_fail_without_an_upper_end():
    story = completed()
    samples(story, PROBE, reads(Reading.BAD, (FAULT_NS, 30 * NS)))
    found = rta(story)
    assert (found.verdict, found.interval.max_ns) == ("fail", None)
    assert "at least" in found.observed


def test_a_long_time_of_half_recovery_is_not_mistaken_for_none():
    """Thousands of samples that answer, but not as well as they must, then a real recovery."""
    plan = make_plan(
        probes=(Probe(PROBE, ProbeKind.HTTP, "{}", MS, 4 * MS),),
        slos=(make_plan().slos[0],),
        steady_state=SteadyState(("availability",), 5 * NS, NS),
        steps=make_plan().steps[:6],
        ledger=None,
        load=(),
    )
    story = completed(plan)
    story.load = []
    without(story, UndoStarted)
    story.samples = [
        Sample(PROBE, at, at + MS, Reading.BAD if at < FAULT_NS + 100 * MS or at % 10 == 9 else Reading.GOOD)
        if at >= FAULT_NS
        else Sample(PROBE, at, at + MS, Reading.GOOD)
        for at in range(3 * NS, 27 * NS, MS)
    ]
    bad = set(range(FAULT_NS // MS, 14_000, 10))
    story.samples = [replace(s, reading=Reading.BAD) if s.sent_ns // MS in bad else s for s in story.samples]
    found = rta(story)
    assert found.interval.max_ns is not None
    # From 13.5 s on a window of 1 s has no more than 5 % bad samples.
    assert 5 * NS < found.interval.max_ns < 6 * NS


@pytest.mark.parametrize("why", ["halt", "ttl", "for", "end", "lost", "step"])
def test_service_that_comes_back_when_the_fault_is_taken_away_is_not_demonstrated(why):
    for recovery in ("plan", "system"):
        story = completed(make_plan(recovery=recovery))
        story.add(FAULT_NS + 2 * NS, UndoStarted("1-dies", why))
        found = rta(story)
        assert found.verdict == "fail", why
        assert "taken away" in found.why


def test_what_was_not_declared_does_not_count():
    assert rta(completed(make_plan(recovery="system"))).verdict == "fail"
    alone = completed(make_plan(recovery="plan", steps=make_plan().steps[:1]))
    assert "by itself" in rta(alone).why
    assert rta(completed(make_plan(recovery="system", steps=make_plan().steps[:1]))).verdict == "pass"


def test_an_earlier_fault_that_hurt_is_inside_the_onset():
    first = Step("0-slow", "slow link", StepKind.FAULT, 0, 10 * NS, target="link", do=act("slow"), ttl_ns=NS)
    story = completed(make_plan(steps=(first, *make_plan().steps)))
    # The first bad sample was sent before the second fault and timed out after it.
    hurt_ns = FAULT_NS - 300 * MS
    story.add(hurt_ns, StepStarted("0-slow"))
    story.add(hurt_ns + MS, StepEnded("0-slow", Effect.HAPPENED, in_place=True, read_back_ns=hurt_ns + MS))
    samples(story, PROBE, reads(Reading.BAD, (hurt_ns, FAULT_NS)))
    samples(
        story,
        PROBE,
        lambda s: replace(s, ended_ns=s.sent_ns + 400 * MS) if hurt_ns <= s.sent_ns < FAULT_NS else s,
    )
    assert number(rta(story), "onset_min_ns") <= hurt_ns


def test_no_disruption_passes_when_the_fault_was_really_there():
    story = completed()
    samples(story, PROBE, reads(Reading.GOOD, (0, 30 * NS)))
    found = rta(story)
    assert found.verdict == "pass"
    assert found.interval.min_ns == 0
    assert found.interval.max_ns == 500 * MS
    events(story, StepEnded, in_place=None)
    assert rta(story).verdict == "unknown"


def test_no_disruption_seen_by_a_probe_that_saw_nothing_is_unknown():
    story = completed()
    samples(story, PROBE, reads(Reading.UNREADABLE, (FAULT_NS, 30 * NS)))
    assert rta(story).verdict == "unknown"
    assert rta(story).interval is None


def test_a_gap_widens_what_no_disruption_can_claim():
    story = completed()
    samples(story, PROBE, reads(Reading.GOOD, (0, 30 * NS)))
    samples(story, PROBE, reads(Reading.UNREADABLE, (9 * NS, 12 * NS)))
    found = rta(story)
    assert 3 * NS <= found.interval.max_ns < 3_300 * MS
    objective = replace(story.plan.objectives[0], rto_ns=2 * NS)
    story.plan = replace(story.plan, objectives=(objective,))
    assert rta(story).verdict == "unknown"
    # Blind to the end of the observation: a disruption may have begun with the last good sample.
    samples(story, PROBE, reads(Reading.UNREADABLE, (9 * NS, 18 * NS)))
    assert rta(story).interval.max_ns >= 8 * NS


@pytest.mark.parametrize(("rto", "verdict"), [(NS, "fail"), (2500 * MS, "unknown"), (3 * NS, "pass")])
def test_the_upper_end_is_judged_and_a_straddle_is_unknown(rto, verdict):
    plan = make_plan()
    story = completed(replace(plan, objectives=(replace(plan.objectives[0], rto_ns=rto),)))
    assert rta(story).verdict == verdict


def test_a_fault_without_a_read_back_is_unknown():
    story = completed()
    story.records = [
        (at, replace(e, in_place=None) if isinstance(e, StepEnded) and e.step == "1-dies" else e)
        for at, e in story.records
    ]
    assert rta(story).verdict == "unknown"
    assert find(story, "RPA orders").verdict == "unknown"
    assert find(story, "fault took effect").verdict == "unknown"
    assert findings_of(story).verdict == "unknown"


def test_a_fault_that_certainly_did_not_happen_is_not_tested():
    story = completed()
    events(story, StepEnded, effect=Effect.DID_NOT_HAPPEN, in_place=False)
    assert rta(story).verdict == "not_tested"
    assert find(story, "RPA orders").verdict == "not_tested"
    assert find(story, "fault took effect").verdict == "not_tested"


def cut_short(story, how):
    if how == "crashed":
        story.add(BACK_NS - NS, RunnerLost("watchdog", "it died"))
    elif how == "no end":
        without(story, RunEnded)
    else:
        story.add(BACK_NS - NS, Halted("operator r.ito", "enough"))
        events(story, RunEnded, outcome=Outcome.HALTED)
    samples(story, PROBE, lambda s: s if s.sent_ns < BACK_NS else None)


@pytest.mark.parametrize("how", ["crashed", "no end", "person"])
def test_a_run_that_was_cut_short_before_recovery_is_unknown(how):
    story = completed()
    cut_short(story, how)
    found = findings_of(story)
    assert found.outcome == ("halted" if how == "person" else "crashed")
    assert rta(story).verdict == "unknown"
    assert found.verdict != "pass"


def test_a_halted_run_fails_and_says_by_what():
    found = findings_of(halted())
    assert (found.outcome, found.halted_by, found.verdict) == ("halted", "stop condition", "fail")
    assert "taken away" in rta(halted()).why


def test_a_refused_run_tested_nothing():
    story = Story(make_plan())
    opening(story)
    story.records = [(at, e) for at, e in story.records if not isinstance(e, PhaseChanged | LoadReported)]
    story.add(5 * NS, RunEnded(Outcome.REFUSED, (), failed_over=False))
    found = findings_of(story)
    assert found.outcome == "refused"
    assert rta(story).verdict == "not_tested"
    assert "pass" not in {f.verdict for f in found.findings if f.name.startswith(("RTA", "RPA", "steady"))}


def test_a_persons_note_changes_no_finding_but_the_times_of_the_people_themselves():
    story = completed()
    before = findings_of(story)
    without(story, Noted)
    assert [f.name for f in before.findings if not find_same(f, story)] == ["TTD orders"]
    assert before.verdict == findings_of(story).verdict


def find_same(finding, story):
    return any(replace(f, events=finding.events) == finding for f in findings_of(story).findings)


def test_an_answer_that_nobody_watched_long_enough_is_unknown_and_bounded_by_the_last_bad_sample():
    plan = make_plan(steady_state=SteadyState(("availability", "latency"), 5 * NS, 30 * NS))
    story = completed(replace(plan, objectives=(replace(plan.objectives[0], rto_ns=2 * NS),)))
    found = rta(story)  # Out for 2.5 s; failing back begins before 30 s of steady state can be seen.
    assert found.verdict == "fail" and "after its objective" in found.why
    assert found.interval.min_ns <= BACK_NS - FAULT_NS, (
        "not until the end of the observation: it was up again"
    )
    story = completed(plan)
    found = rta(story)
    assert found.verdict == "unknown" and "not observed long enough" in found.why
    assert found.interval.max_ns is None and found.interval.min_ns <= BACK_NS - FAULT_NS


@pytest.mark.parametrize(
    ("began_ns", "verdict"),
    [(FAULT_NS - NS, "unknown"), (FAULT_NS + 700 * MS, "pass")],
    ids=["before", "after"],
)
def test_taking_another_fault_away_during_the_outage_may_be_what_helped(began_ns, verdict):
    """Not when it was put in place after the service was lost."""
    plan = make_plan()
    other = replace(plan.steps[0], id="0-slow", name="a slow link", target="proxy:payments")
    story = completed()
    story.plan = replace(plan, steps=(other, *plan.steps))
    story.add(began_ns, StepStarted("0-slow"))
    story.add(began_ns + MS, StepEnded("0-slow", Effect.HAPPENED, in_place=True, read_back_ns=began_ns + MS))
    story.add(BACK_NS - 300 * MS, UndoStarted("0-slow", "for"))
    found = rta(story)
    assert found.verdict == verdict, found.why
    assert number(found, "recovered_by") == ("unclear" if verdict == "unknown" else "plan")


# --- the simulation: whatever the outage and the sampling, the interval holds the truth ---------


@settings(max_examples=300, deadline=None)
@given(
    every=st.integers(10, 500),
    timeout=st.integers(10, 1000),
    fault_delay=st.integers(0, 400),
    outage=st.integers(1, 6000),
    stalls=st.booleans(),
    unreadable_permille=st.sampled_from([0, 0, 30, 300]),
    seed=st.integers(0, 1 << 30),
)
def test_the_interval_contains_the_truth(
    every, timeout, fault_delay, outage, stalls, unreadable_permille, seed
):
    """Times in ms. A request is answered as the service is at one random instant of its flight.

    A stalled service lets requests hang to their timeout; one that is up answers within it.
    """
    dice = random.Random(seed)
    fault = 8000
    down, up = fault + fault_delay, fault + fault_delay + outage
    made = []
    for due in range(3000, up + 8000, every):
        sent = due + dice.randint(0, every // 5)
        took = dice.randint(1, max(timeout // 2, 1))
        seen = sent + dice.randint(0, took)
        bad = down <= seen < up
        ended = sent + timeout if bad and stalls else sent + took
        reading = Reading.BAD if bad else Reading.GOOD
        if dice.randint(0, 999) < unreadable_permille:
            reading = Reading.UNREADABLE
        made.append(Sample(PROBE, sent * MS, ended * MS, reading))
    plan = make_plan(
        probes=(Probe(PROBE, ProbeKind.HTTP, "{}", every * MS, timeout * MS),),
        slos=(replace(make_plan().slos[0], objective_ppm=1),),
        steady_state=SteadyState(("availability",), NS, NS),
        steps=make_plan().steps[:1],
        ledger=None,
        load=(),
        objectives=(replace(make_plan().objectives[0], held_goods=1),),
    )
    story = Story(plan, samples=made)
    story.add(fault * MS, StepStarted("1-dies"))
    story.add(
        fault * MS + 1, StepEnded("1-dies", Effect.HAPPENED, in_place=True, read_back_ns=fault * MS + 1)
    )
    story.add((up + 9000) * MS, RunEnded(Outcome.COMPLETED, (), failed_over=False))
    view = view_of(plan, trace_of(story))
    found = disruption(view, plan.objectives[0])
    if found.onset is None:
        assert find(story, "RTA").interval is None or outage * MS <= find(story, "RTA").interval.max_ns
        return
    truth = outage * MS
    interval = found.interval
    bads = [s for s in made if s.reading is Reading.BAD]
    if found.recovered.hi_ns < bads[-1].sent_ns:
        return  # One good sample in the middle held here by chance: `held_goods` is 1 on purpose.
    assert interval.min_ns <= truth <= interval.max_ns
    assert found.onset.lo_ns <= down * MS <= found.onset.hi_ns
    assert found.recovered.lo_ns <= up * MS <= found.recovered.hi_ns
    if not unreadable_permille:
        jitter = every // 5
        slowest = max(s.ended_ns - s.sent_ns for s in made if s.reading is Reading.GOOD)
        assert interval.max_ns - interval.min_ns <= 2 * (every + jitter + timeout) * MS + slowest


# --- what nobody saw -------------------------------------------------------------------------


def test_an_onset_that_may_hide_in_a_blind_stretch_after_the_fault_goes_back_to_it():
    """Good, then blind for a second, good again, then bad: it may have been lost while nobody looked."""
    story = completed()
    samples(story, PROBE, reads(Reading.GOOD, (FAULT_NS, FAULT_NS + 1500 * MS)))
    samples(story, PROBE, reads(Reading.UNREADABLE, (FAULT_NS + 200 * MS, FAULT_NS + 1200 * MS)))
    found = rta(story)
    assert number(found, "onset_min_ns") <= FAULT_NS + 200 * MS
    assert number(found, "onset_max_ns") >= FAULT_NS + 1500 * MS
    assert "wide_because" in dict(found.numbers)


def test_a_stretch_shorter_than_a_period_and_a_timeout_hides_nothing():
    story = completed()
    samples(story, PROBE, reads(Reading.GOOD, (FAULT_NS, FAULT_NS + 1500 * MS)))
    samples(story, PROBE, reads(Reading.UNREADABLE, (FAULT_NS + 200 * MS, FAULT_NS + 500 * MS)))
    assert number(rta(story), "onset_min_ns") > FAULT_NS + 1300 * MS


def test_a_sample_in_flight_when_failing_back_begins_is_no_relapse():
    story = completed()
    plan = replace(story.plan, objectives=(replace(story.plan.objectives[0], held_goods=1),))
    story.plan = plan
    story.samples.append(Sample(PROBE, 18 * NS - 10 * MS, 18 * NS + 300 * MS, Reading.BAD, "timeout"))
    assert rta(story).verdict == "pass"


def test_a_window_that_was_hardly_read_shows_no_recovery():
    """Three good samples, then blind until failing back: that it held is not known."""
    story = completed()
    samples(story, PROBE, reads(Reading.UNREADABLE, (BACK_NS + 400 * MS, 18 * NS)))
    found = rta(story)
    assert (found.verdict, found.interval.max_ns) == ("unknown", None)
    assert "not observed long enough" in found.why


def test_no_disruption_seen_by_a_run_that_died_is_no_bound():
    story = completed()
    samples(story, PROBE, reads(Reading.GOOD, (0, 30 * NS)))
    samples(story, PROBE, lambda s: s if s.sent_ns < FAULT_NS + 200 * MS else None)
    story.add(FAULT_NS + NS, RunnerLost("watchdog", "it died"))
    found = rta(story)
    assert (found.verdict, found.interval.max_ns) == ("not_tested", None)
