"""The load's figures and its table: what was computed is what is drawn, small, and safe to look at."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gameday.checkers.check import check
from gameday.checkers.view import view_of
from gameday.checkers.findings import Finding, Verdict
from gameday.evidence import heatmap, loadfigures, ratecharts, sidebyside
from gameday.evidence.logscale import around, in_ms
from gameday.evidence.report import render
from gameday.evidence.series import Window
from gameday.history.events import LoadBucket
from gameday.history.histogram import index_of
from gameday.plan.model import NS

from .synthetic import BACK_NS, FAULT_NS, MS, completed
from .test_report import Page, trace_of


def named(names=("POST /orders", "GET /orders")):
    story = completed()
    story.load = [
        replace(b, endpoints=((names[n % len(names)], b.good, b.bad, b.latency),))
        for n, b in enumerate(story.load)
    ]
    return story


def rendered(story):
    trace = trace_of(story)
    text = render(story.plan, trace, check(story.plan, trace))
    return Page(text), text


def figures(story):
    trace = trace_of(story)
    view = view_of(story.plan, trace)
    return loadfigures.figures(
        view, check(story.plan, trace), sidebyside.comparisons(view, check(story.plan, trace_of(story)))
    )


def test_the_report_shows_the_load_before_during_and_after():
    found, text = rendered(named())
    for words in (
        "Load orders: before, during, after",
        "latency before, during and after the fault",
        "Latency of good answers over time",
        "POST /orders",
        "100.0 %",  # Failed during the fault …
        "250 in all",  # … of what was asked before it.
    ):
        assert words in found.text, words
    assert text.count("<desc>") == 2
    assert all(url.startswith("#") for url in found.urls)


def test_a_run_without_names_has_a_heat_map_and_no_comparison():
    found, _ = rendered(completed())
    assert "Latency of good answers over time" in found.text
    assert "before, during and after" not in found.text


def test_a_load_that_was_never_answered_has_neither():
    story = named()
    story.load = [replace(b, good=0, latency=(), endpoints=(("x", 0, b.bad, ()),)) for b in story.load]
    assert figures(story) == []


def test_a_name_cannot_become_markup():
    found, text = rendered(named(("<script>alert(1)</script>", "a\u202eb\x00")))
    assert "script" not in found.tags
    assert "&lt;script&gt;" in text
    assert "\u202e" not in text and "\x00" not in text


def test_a_day_of_load_stays_a_small_drawing_with_every_slow_second_in_it():
    """24 h, a bucket every ten seconds; one answer of 5 s among those of 5 ms must still be seen."""
    buckets = [
        LoadBucket("x", n * 10 * NS, 5, 5, 0, 0, 5, 0, (), ((index_of(4000 + n % 3000), 5),), 0, 0, 0)
        for n in range(8_640)
    ]
    buckets[4000] = replace(buckets[4000], latency=((index_of(5_000_000), 1),), bad=1)
    drawn = heatmap.heat_map(buckets, Window(0, 86_400 * NS), [(4000 * 10 * NS, "during")])
    assert drawn is not None
    ways = {dict(s.attributes)["class"]: dict(s.attributes)["d"] for s in drawn.shapes if s.tag == "path"}
    assert len(ways) <= heatmap.SHADES
    assert sum(map(len, ways.values())) < 100_000
    assert sum(way.count("M") for way in ways.values()) < heatmap.COLUMNS_MAX * heatmap.ROWS
    assert "1 failed or dropped" in "".join(s.title for s in drawn.shapes)
    tops = [float(y) for way in ways.values() for y in re.findall(r"M[\d.]+ ([\d.]+)h", way)]
    assert max(tops) - min(tops) > 0.8 * heatmap.HIGH  # Three decades apart.


def test_the_sides_are_marked_where_they_begin():
    story = named()
    view = view_of(story.plan, trace_of(story))
    drawn = figures(story)[0]
    words = [s.text for s in drawn.shapes if s.tag == "text"]
    assert [w for w in words if w in ("before", "during", "after")] == ["before", "during", "after"]
    edges = [dict(s.attributes)["x1"] for s in drawn.shapes if ("class", "edge") in s.attributes]
    assert edges == sorted(edges)
    comparison = sidebyside.comparisons(view, check(story.plan, trace_of(story)))[0]
    assert [s.start_ns for s in comparison.sides][1] == FAULT_NS
    assert comparison.sides[2].start_ns >= BACK_NS > FAULT_NS + 2 * MS


@pytest.mark.parametrize(
    ("value_us", "words"),
    [(420.0, "0.42 ms"), (8123.0, "8.1 ms"), (153_400.0, "153 ms"), (2_100_000.0, "2.10 s")],
)
def test_latencies_have_the_digits_that_are_worth_reading(value_us, words):
    assert in_ms(value_us) == words


@pytest.mark.parametrize("high", [1001.0, 5000.0, 1e6, 6e7])
def test_every_scale_has_ticks_within_it(high):
    scale = around(1000.0, high, 100.0, 500.0)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 9
    assert all(100.0 <= scale.place(tick) <= 500.0 for tick in ticks)
    assert [scale.place(t) for t in ticks] == sorted(scale.place(t) for t in ticks)


def sought(**numbers):
    """The two findings of a capacity run, as far as the drawing reads them."""
    signed = {
        "required_per_1000s": 1_000_000, "forecast_peak_per_1000s": 770_000,
        "n_rate_per_1000s": 1_000_000, "n_throughput_per_1000s": 999_000, "n_verdict": "holds",
        "n_p50_us": 4000, "n_p95_us": 9000, "n_p99_us": 15_000,
    }  # fmt: skip
    searched = {
        "proven_per_1000s": 1_200_000, "refuted_per_1000s": 1_300_000, "knee_per_1000s": 1_200_000,
        "knee_low_per_1000s": 1_100_000, "knee_high_per_1000s": 1_300_000,
        "trial_3_rate_per_1000s": 1_300_000, "trial_3_throughput_per_1000s": 1_240_000,
        "trial_3_verdict": "fails", "trial_3_p50_us": 240_000, "trial_3_p99_us": 900_000,
        "trial_2_rate_per_1000s": 1_200_000, "trial_2_throughput_per_1000s": 1_199_000,
        "trial_2_verdict": "holds", "trial_2_p50_us": 8000, "trial_2_p99_us": 62_000, **numbers,
    }  # fmt: skip
    return [
        Finding(name, Verdict.PASS, "", "", "", "", (), None, tuple(found.items()))
        for name, found in (("capacity orders", signed), ("capacity limit", searched))
    ]


def drawn_rates(**numbers):
    story = completed()
    findings = replace(check(story.plan, trace_of(story)), findings=tuple(sought(**numbers)))
    drawn = ratecharts.against_rate(story.plan, findings)
    assert drawn is not None
    return drawn


def test_trials_are_drawn_against_their_rate_with_what_is_required_proven_and_refuted():
    drawn = drawn_rates()
    words = [s.text for s in drawn.shapes]
    for mark in (
        "required 1000/s", "forecast peak 770/s", "proven 1200/s", "refuted 1300/s", "knee 1200/s",
    ):  # fmt: skip
        assert mark in words
    titles = [s.title for s in drawn.shapes]
    assert "the limit lies between 1200/s and 1300/s" in titles
    assert "sign-off with N holds: 999/s answered of 1000/s offered" in titles
    assert "trial fails: p99 900 ms at 1300/s" in titles
    assert any("p99 below 300 ms" in w for w in words)
    kinds = [dict(s.attributes)["class"] for s in drawn.shapes]
    assert (kinds.count("trial t-fails"), kinds.count("ring")) == (4, 5)  # One of each is in the key.


def test_trials_without_a_good_answer_and_strange_verdicts_are_drawn_too():
    drawn = drawn_rates(
        trial_3_p50_us=None, trial_3_p99_us=None, trial_3_throughput_per_1000s=0, trial_2_verdict="<b>",
        refuted_per_1000s=None,
    )  # fmt: skip
    assert "refuted 1300/s" not in [s.text for s in drawn.shapes]
    points = ratecharts.points_of(dict(sought(trial_2_verdict="x")[1].numbers))
    assert [(p.offered, p.verdict) for p in points] == [(1200.0, "x"), (1300.0, "fails")]


def test_a_drill_that_is_no_sign_off_has_no_such_figure():
    story = completed()
    assert ratecharts.against_rate(story.plan, check(story.plan, trace_of(story))) is None
