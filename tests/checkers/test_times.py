"""What is timed beside RTA and RPA: noticed, acknowledged, mitigated, validated, gone back; and by which clock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gameday.history.events import ClockRead, Effect, Noted, Reading, Sample, StepEnded, StepStarted
from gameday.plan.model import NS, Probe, ProbeKind, Segment, Step, StepKind
from tests.checkers.made import events, find, findings_of, number, samples, without
from tests.evidence.synthetic import BACK_NS, FAULT_NS, MS, act, completed, make_plan

PROBE = "place-order"


def names(story):
    return [f.name for f in findings_of(story).findings]


def marked(**marks):
    story = completed()
    without(story, Noted)
    for mark, at in marks.items():
        story.add(at, Noted("r.ito", mark, ""))
    return story


def test_marks_give_the_times_of_people():
    story = marked(
        detected=FAULT_NS + 400 * MS, acknowledged=FAULT_NS + 900 * MS, mitigated=FAULT_NS + 2 * NS
    )
    ttd, tta, ttm = (find(story, f"{name} orders").interval for name in ("TTD", "TTA", "TTM"))
    onset = number(find(story, "RTA"), "onset_min_ns"), number(find(story, "RTA"), "onset_max_ns")
    assert (ttd.min_ns, ttd.max_ns) == (FAULT_NS + 400 * MS - onset[1], FAULT_NS + 400 * MS - onset[0])
    assert (tta.min_ns, tta.max_ns) == (500 * MS, 500 * MS)
    assert (ttm.min_ns, ttm.max_ns) == (FAULT_NS + 2 * NS - onset[1], FAULT_NS + 2 * NS - onset[0])


def test_what_nobody_marked_and_what_was_marked_before_the_disruption_has_no_finding():
    assert not {"TTD orders", "TTA orders", "TTM orders"} & set(names(marked(detected=4 * NS)))
    assert "TTA orders" not in names(marked(acknowledged=FAULT_NS + NS))


def alerted(*red, kind=ProbeKind.ALERTMANAGER, spec='{"alert":"OrdersDown","url":""}'):
    """The drill with an alert that is red in some stretches, read twice a second."""
    plan = make_plan()
    story = completed(replace(plan, probes=(*plan.probes, Probe("pager", kind, spec, 500 * MS, 400 * MS))))
    without(story, Noted)
    for at in range(3 * NS, 27 * NS, 500 * MS):
        reading = Reading.BAD if any(low <= at < high for low, high in red) else Reading.GOOD
        story.samples.append(Sample("pager", at, at + 5 * MS, reading))
    return story


@pytest.mark.parametrize("kind", [ProbeKind.ALERTMANAGER, ProbeKind.PROMETHEUS])
def test_an_alert_that_goes_red_and_green_gives_ttd_and_ttm(kind):
    story = alerted((9 * NS, 13 * NS), kind=kind)
    ttd, ttm = find(story, "TTD orders"), find(story, "TTM orders")
    assert ttd.interval.min_ns <= 900 * MS < ttd.interval.max_ns <= 1200 * MS
    assert ttm.interval.min_ns <= 4900 * MS < ttm.interval.max_ns <= 5200 * MS
    assert "pager" in ttd.why


def test_an_alert_that_was_red_before_or_never_detects_nothing():
    assert "TTD orders" not in names(alerted((3 * NS, 27 * NS)))
    assert "TTD orders" not in names(alerted())
    assert "TTD orders" not in names(
        alerted((9 * NS, 13 * NS), kind=ProbeKind.PROMETHEUS, spec='{"query":"up"}')
    )


def test_the_first_of_marks_and_alerts_is_the_detection():
    story = alerted((9 * NS, 13 * NS))
    story.add(FAULT_NS + 300 * MS, Noted("r.ito", "detected", ""))
    assert "r.ito" in find(story, "TTD orders").why
    assert "pager" in find(story, "TTM orders").why


def validated(**changes):
    step = Step("5b", "reconcile", StepKind.FAILOVER, 4, 9 * NS, do=act("sums"), segment=Segment.VALIDATE)
    plan = make_plan(**changes)
    story = completed(replace(plan, steps=(*plan.steps[:5], step, *plan.steps[5:])))
    story.add(11 * NS, StepStarted("5b"))
    story.add(12 * NS, StepEnded("5b", Effect.HAPPENED))
    return story


def test_what_is_validated_after_failing_back_is_no_work_on_the_recovered_side():
    story = validated()
    steps = story.plan.steps
    later = replace(steps[5], id="8", name="reconcile again", group=9)
    story.plan = replace(story.plan, steps=(*steps, later))
    story.add(20 * NS, StepStarted("8"))
    story.add(21 * NS, StepEnded("8", Effect.HAPPENED))
    assert find(story, "WRT orders") == find(validated(), "WRT orders")
    assert find(story, "MTPD orders") == find(validated(), "MTPD orders")


def test_validation_dwell_and_failing_back_are_timed_on_their_own():
    story = validated()
    recovered = number(find(story, "RTA"), "recovered_max_ns")
    assert find(story, "WRT orders").interval.min_ns == 12 * NS - recovered
    assert find(story, "dwell orders").interval.min_ns == 18 * NS - recovered
    back = find(story, "fail-back orders")
    assert back.interval.min_ns == back.interval.max_ns == NS + MS
    assert number(back, "out_of_service_max_ns") == 0
    samples(
        story, PROBE, lambda s: replace(s, reading=Reading.BAD) if 18_200 <= s.sent_ns // MS < 18_700 else s
    )
    back = find(story, "fail-back orders")
    assert number(back, "out_of_service_min_ns") <= 500 * MS <= number(back, "out_of_service_max_ns")
    assert find(story, "RTA orders").verdict == "pass"


@pytest.mark.parametrize(("mtpd", "verdict"), [(900 * NS, "pass"), (3990 * MS, "unknown"), (3 * NS, "fail")])
def test_the_whole_disruption_with_its_validation_is_judged_by_the_mtpd(mtpd, verdict):
    plan = make_plan()
    story = validated(objectives=(replace(plan.objectives[0], mtpd_ns=mtpd),))
    assert find(story, "MTPD orders").verdict == verdict
    story = validated(objectives=(replace(plan.objectives[0], mtpd_ns=None),))
    assert "MTPD orders" not in names(story)


def test_a_service_that_never_came_back_is_past_its_mtpd_or_may_be():
    plan = make_plan()
    for mtpd, verdict in ((900 * NS, "unknown"), (9 * NS, "fail")):
        story = completed(replace(plan, objectives=(replace(plan.objectives[0], mtpd_ns=mtpd),)))
        samples(story, PROBE, lambda s: replace(s, reading=Reading.BAD) if s.sent_ns >= FAULT_NS else s)
        assert find(story, "MTPD orders").verdict == verdict


def test_the_capacity_of_the_window_that_held_is_a_finding():
    found = find(completed(), "minimum capacity orders")
    assert (found.verdict, found.limit) == ("pass", "80")
    assert 980_000 <= number(found, "capacity_ppm") <= 1_020_000
    story = completed(make_plan(load=()))
    story.load = []
    assert "minimum capacity orders" not in names(story)


# --- clocks ----------------------------------------------------------------------------------


def clocks(*reads):
    story = completed()
    without(story, ClockRead)
    for at, bound, wall, boot in reads:
        story.add(at, ClockRead("chrony", bound, str(wall), boot))
    return story


def test_a_step_of_the_wall_clock_is_said_and_changes_no_duration():
    plain = clocks((2 * MS, 3 * MS, 0, "a"), (27 * NS, 3 * MS, 5 * MS, "a"))
    assert not [name for name in names(plain) if "wall clock" in name]
    story = clocks((2 * MS, 3 * MS, 0, "a"), (9 * NS, 3 * MS, 2 * NS, "a"), (27 * NS, None, 2 * NS, "a"))
    found = find(story, "durations do not depend on the wall clock")
    assert (found.verdict, found.observed) == ("pass", "stepped by +2.000 s")
    assert number(found, "step_1_after_ns") == 2 * MS
    assert find(story, "RTA orders").interval == find(plain, "RTA orders").interval


def test_two_clocks_widen_by_both_bounds_and_an_unsynchronised_one_makes_it_unknown():
    at = (FAULT_NS + BACK_NS) // 2
    plain = find(clocks((2 * MS, 3 * MS, 0, "a")), "RTA orders")
    story = clocks((2 * MS, 3 * MS, 0, "a"), (at, 20 * MS, 7 * NS, "b"))
    found = find(story, "RTA orders")
    assert found.verdict == "pass"
    assert found.interval.min_ns == plain.interval.min_ns - 23 * MS
    assert found.interval.max_ns == plain.interval.max_ns + 23 * MS
    assert number(found, "clock_bound_ns") == 23 * MS
    assert number(found, "width_allowed_ns") == number(plain, "width_allowed_ns") + 46 * MS
    assert find(story, "durations do not").verdict == "pass"
    story = clocks((2 * MS, 3 * MS, 0, "a"), (at, None, 7 * NS, "b"))
    assert find(story, "RTA orders").verdict == "unknown"
    assert find(story, "MTPD orders").verdict == "unknown"
    assert find(story, "durations do not").verdict == "unknown"


def test_histories_whose_clock_reads_name_no_clock_are_of_one_clock():
    story = completed()
    events(story, ClockRead, bound_ns=None)
    assert number(find(story, "RTA orders"), "clock_bound_ns") == 0
