"""Each kind of stop condition in the live view, in the plan's words and in the report's table."""

from __future__ import annotations

from dataclasses import replace

from gameday.checkers.check import check
from gameday.cli.words import plan_words
from gameday.evidence.report import render
from gameday.history.read import read_trace
from gameday.plan.model import NS, LimitKind, StopCondition
from tests.console.test_frames import followed, frame
from tests.evidence.synthetic import completed, halted, make_plan, write_run

PROBE, LOAD = {"probe": "place-order"}, {"within_ns": 5 * NS}
LIMITS = [
    ({**PROBE, "in_a_row": 3}, "probe place-order: 3 bad samples in a row", "0 of 3"),
    ({**PROBE, "in_a_row": 1, "reading": "unreadable"}, "1 unreadable sample in a row", "0 of 1"),
    ({**PROBE, "count": 90, "within_ns": 10 * NS}, "90 bad samples within 10 s", "within it"),
    ({**PROBE, "bad_above_ppm": 900_000, **LOAD}, "more than 90 % bad within 5 s", " of 5"),
    ({"slo": "availability", "bad_above_ppm": 990_000, "for_ns": NS}, "more than 99 % bad for 1 s", "clear"),
    ({"slo": "availability", "burn_above_milli": 14_400, "long_ns": 60 * NS, "short_ns": 5 * NS},
     "budget burns over 14.4x in 1 min and 5 s", "x and "),
    ({"slo": "availability", "budget_above_ppm": 200_000, "budget_ns": 86_400 * NS},
     "more than 20 % of the budget of 1 day spent", "% spent"),
    ({"load": "p99", "above_ns": 5 * NS, **LOAD}, "load: p99 above 5 s within 5 s", " ms"),
    ({"load": "errors", "bad_above_ppm": 990_000, **LOAD}, "more than 99 % failed within 5 s", " of 4"),
    ({"load": "achieved", "below_ppm": 10_000, **LOAD}, "less than 1 % of it on time within 5 s", "100.0 %"),
    ({"load": "answered", "below_ppm": 10_000, **LOAD}, "less than 1 % of it answered within 5 s", "0 waiting"),
    ({"failed_above": 5000}, "load: more than 5000 failed requests", "failed"),
    ({"silence_ns": 9 * NS}, "any probe: cannot be read for 9 s", "of 9 s"),
    ({"duration_ns": 60 * NS}, "the drill runs longer than 1 min", "of 1 min"),
]  # fmt: skip


def test_each_limit_reads_the_same_everywhere_and_says_how_near_it_is(tmp_path):
    stops = [StopCondition(str(n), "halt", stops="load", **limit) for n, (limit, _, _) in enumerate(LIMITS)]
    story = completed(make_plan(stop_conditions=tuple(stops)))
    shown = frame(followed(tmp_path / "live", story, 12 * NS), 12 * NS, height=90, width=200)
    lines = [line for line in shown.splitlines() if "halts on" in line]
    folder = write_run(tmp_path / "told", story)
    trace = read_trace(folder)
    page = render(story.plan, trace, check(story.plan, trace))
    planned = "\n".join(plan_words(story.plan))
    for line, (_, words, near) in zip(lines, LIMITS, strict=True):
        assert words in line and words in page and words in planned
        assert near in line.partition(words)[2], line
    assert page.count("halt, load too") == len(LIMITS)
    assert planned.count("and stops the load at once") == len(LIMITS)


def test_every_kind_is_in_that_table():
    assert {StopCondition("x", "halt", **limit[0]).kind for limit in LIMITS} == set(LimitKind)


def test_a_limit_that_is_crossed_counts_its_time(tmp_path):
    stop = StopCondition("it", "warn", probe="place-order", in_a_row=3, for_ns=30 * NS)
    story = halted(make_plan(stop_conditions=(replace(stop, then="halt"),)))
    shown = frame(followed(tmp_path / "run", story, 9 * NS), 9 * NS, width=200)
    assert "crossed for" in shown and "of 30 s" in shown and "10 in a row" in shown
