"""Words shared by the report and the terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gameday.evidence.narrate import narrate
from gameday.evidence.series import Window, load_points, stretches
from gameday.evidence.words import limit, shown, span
from gameday.history.events import Effect, Reading, Sample, StepEnded, UndoEnded
from gameday.plan.model import NS

from .synthetic import MS, completed, make_plan


@pytest.mark.parametrize(
    ("ns", "words"),
    [
        (400_000, "0.4 ms"),
        (207 * MS, "207 ms"),
        (2_510 * MS, "2.51 s"),
        (150 * NS, "2 min 30 s"),
        (7500 * NS, "2 h 5 min"),
    ],
)
def test_a_measured_duration_has_the_digits_worth_reading(ns, words):
    assert span(ns) == words


@pytest.mark.parametrize(
    ("ns", "words"), [(400 * MS, "400 ms"), (30 * NS, "30 s"), (300 * NS, "5 min"), (90 * NS, "90 s")]
)
def test_a_planned_duration_reads_as_people_say_it(ns, words):
    assert limit(ns) == words


def test_text_that_would_not_print_is_spelt_out_and_line_breaks_become_spaces():
    assert shown("a\x1b[2Jb\nc\u202ed\u00a0e") == "a\\u001b[2Jb c\\u202ed e"
    assert shown("grüße 漢字") == "grüße 漢字"
    assert len(shown("x" * 5000)) == 600


def test_a_fault_nobody_could_read_back_is_told_loudly():
    plan = make_plan()
    assert narrate(plan, StepEnded("1-dies", Effect.HAPPENED, in_place=True))[0] == "fault"
    topic, words = narrate(plan, StepEnded("1-dies", Effect.HAPPENED))
    assert topic == "FAULT"
    assert "nobody could read it back" in words
    assert narrate(plan, UndoEnded("1-dies", undone=False, detail="no answer")) == (
        "UNDO",
        "primary database dies: NOT undone. no answer",
    )


def test_every_event_of_a_run_can_be_told_even_when_the_plan_does_not_know_its_steps():
    empty = make_plan(steps=())
    for _, event in completed().records:
        said = narrate(empty, event)
        assert said is None or all(part.isprintable() for part in said)


def test_a_column_holds_no_bucket_too_many_so_a_steady_rate_is_a_flat_line():
    points = load_points(completed().load, Window(0, 28 * NS))
    assert {round(point.offered) for point in points} == {50}
    assert {round(point.good) for point in points if not 7 * NS < point.at_ns < 11 * NS} == {50}


def test_the_worst_reading_of_a_column_wins_and_a_gap_stays_a_gap():
    readings = [
        Sample("", n * 10 * MS, n * 10 * MS + MS, Reading.GOOD) for n in range(2000) if not 500 <= n < 900
    ]
    readings[100] = replace(readings[100], reading=Reading.BAD)
    found = stretches(readings, 10 * MS, Window(0, 20 * NS))
    assert [part.reading for part in found] == [Reading.GOOD, Reading.BAD, Reading.GOOD, Reading.GOOD]
    assert (found[2].end_ns, found[3].start_ns) == (5 * NS, 9 * NS)
