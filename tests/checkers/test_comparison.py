"""The load before, during and after the fault: the right sides, the right numbers, and no verdict by guess."""

from __future__ import annotations

from dataclasses import replace

from gameday.checkers.comparison import OTHERS, compare
from gameday.checkers.findings import Verdict
from gameday.checkers.sides import sides_of
from gameday.checkers.view import view_of
from gameday.history.events import LoadBucket, Reading, Sample
from tests.checkers.made import find, findings_of, number, samples, trace_of
from tests.evidence.synthetic import BACK_NS, FAULT_NS, MS, completed, halted

NAME = "load orders: before and during the fault"


def named(story, names=("POST /orders",)):
    """Give the load's requests names, each bucket's in turn."""
    story.load = [
        replace(b, endpoints=((names[n % len(names)], b.good, b.bad, b.latency),))
        for n, b in enumerate(story.load)
    ]
    return story


def test_a_history_without_names_of_requests_has_no_such_finding():
    assert not [f for f in findings_of(completed()).findings if f.name == NAME]


def test_the_sides_end_where_service_came_back_when_a_failover_took_over_the_undo():
    story = named(completed())
    finding = find(story, NAME)
    assert finding.verdict is Verdict.PASS
    assert number(finding, "during_from_ns") == FAULT_NS
    assert BACK_NS <= number(finding, "during_until_ns") <= BACK_NS + 300 * MS
    assert number(finding, "before_failed") == 0
    assert number(finding, "during_failed") == sum(b.bad for b in story.load)
    sides = ("before", "during", "after")
    in_all = sum(number(finding, f"{side}_requests") for side in sides)
    steady_ns = FAULT_NS - 2 * MS
    from_ns = steady_ns - story.plan.steady_state.baseline_ns
    assert number(finding, "before_from_ns") == from_ns  # What came before that is warm-up.
    assert in_all == sum(b.good + b.bad for b in story.load if b.start_ns >= from_ns)
    assert number(finding, "POST /orders: before_requests") == number(finding, "before_requests")
    assert number(finding, "before_rate_per_1000s") == 50_000


def test_without_a_failover_the_fault_ends_where_its_own_undo_was_read_back():
    finding = find(named(halted()), NAME)
    assert number(finding, "during_until_ns") == BACK_NS


def test_a_fault_that_never_ended_leaves_nothing_for_after():
    finding = find(named(halted(stuck=True)), NAME)
    assert number(finding, "after_requests") == 0
    assert number(finding, "during_until_ns") > 26 * 10**9
    assert "during_less_before_p99_us" in dict(finding.numbers)
    assert "after_less_before_p99_us" not in dict(finding.numbers)


def test_the_difference_says_what_the_fault_did_and_how_surely():
    finding = find(named(completed()), NAME)
    low, high = (number(finding, f"during_less_before_failed_ppm_{end}") for end in ("min", "max"))
    assert 900_000 < low < high == number(finding, "during_less_before_failed_ppm") == 1_000_000
    # 250 good answers bound the median on both sides; their 99th percentile has no upper end.
    assert number(finding, "before_p50_us_min") < number(finding, "before_p50_us_max")
    assert number(finding, "before_p99_us_max") is None
    assert finding.observed.startswith("failed +")


def test_a_side_without_load_is_unknown():
    story = named(completed())
    story.load = [b for b in story.load if not FAULT_NS <= b.start_ns < BACK_NS + 300 * MS]
    finding = find(story, NAME)
    assert (finding.verdict, number(finding, "during_requests")) == (Verdict.UNKNOWN, 0)
    assert "no load for more than half of the time during" in finding.why
    story = named(completed())
    story.load = [b for b in story.load if b.start_ns > FAULT_NS - 500 * MS]
    finding = find(story, NAME)
    assert finding.verdict is Verdict.UNKNOWN and "the time before" in finding.why


def test_a_service_that_is_back_at_once_leaves_few_requests_and_is_not_unknown_for_it():
    story = named(completed())
    story.load = [
        replace(b, bad=0, endpoints=()) if FAULT_NS <= b.start_ns < BACK_NS else b for b in story.load
    ]
    finding = find(story, NAME)
    assert finding.verdict is Verdict.PASS
    assert number(finding, "during_requests") < 30
    assert "so few can tell little" in finding.why


def test_dropped_arrivals_are_failed_ones():
    story = named(completed())
    before = number(find(story, NAME), "during_failed")
    story.load.append(LoadBucket("orders", FAULT_NS + MS, 50, 0, 0, 50, 0, 0, (), (), 50, 0, 0))
    assert number(find(story, NAME), "during_failed") == before + 50


def test_no_fault_and_no_baseline_leave_nothing_to_compare():
    story = named(completed())
    story.records = [(at, e) for at, e in story.records if getattr(e, "step", "") != "1-dies"]
    assert not [f for f in findings_of(story).findings if f.name == NAME]


def test_many_names_are_kept_to_the_busiest():
    story = named(completed(), tuple(f"GET /{n:02d}" for n in range(40)))
    view = view_of(story.plan, trace_of(story))
    comparison = compare(view, "orders", sides_of(view))
    assert comparison is not None
    assert [row.name for row in comparison.rows][0] == ""
    assert comparison.rows[-1].name == OTHERS
    assert len(comparison.rows) == 22
    assert sum(r.before.requests for r in comparison.rows[1:]) == comparison.rows[0].before.requests


def test_where_nobody_noticed_the_fault_ends_with_the_undo_that_took_over():
    story = named(completed())
    samples(story, "place-order", lambda s: Sample(s.probe, s.sent_ns, s.ended_ns, Reading.GOOD))
    finding = find(story, NAME)
    assert number(finding, "during_until_ns") == 19 * 10**9 - MS


def test_a_load_that_was_asked_for_more_during_the_fault_says_so():
    """The plan's own steps may change a rate: then a difference is not the fault's alone."""
    story = named(completed())
    assert "offered" not in find(story, NAME).why
    story.load = [replace(b, intended=20) if FAULT_NS <= b.start_ns < BACK_NS else b for b in story.load]
    finding = find(story, NAME)
    assert "50/s were offered before and" in finding.why
    assert number(finding, "before_offered_per_1000s") == 50_000
    closed = replace(story.plan.load[0], rate_per_1000s=None, users=5)
    story.plan = replace(story.plan, load=(closed,))
    assert "offered" not in find(story, NAME).why  # Users who wait ask for less: that is the fault's doing.


def test_requests_without_a_name_are_not_taken_for_all_of_them():
    finding = find(named(completed(), ("", "POST /orders")), NAME)
    parts = [number(finding, f"{name}: before_requests") for name in ("(no name)", "POST /orders")]
    assert sum(parts) == number(finding, "before_requests") and min(parts) > 0


def test_what_was_asked_for_in_the_warm_up_alone_is_left_out():
    story = named(completed())
    story.load = [
        replace(b, endpoints=(("GET /login", b.good, b.bad, b.latency),)) if b.start_ns < 2900 * MS else b
        for b in story.load
    ]
    assert not [key for key, _ in find(story, NAME).numbers if "login" in key]
