"""Every kind of stop condition: where it trips, where it does not, and between which instants it says so."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from gameday.engine.apply import apply
from gameday.engine.decide import LOAD_STOPPED, step
from gameday.engine.meters import Window, meters_of, spent_ppm
from gameday.engine.state import begin
from gameday.history.events import (
    Armed,
    Effect,
    HaltAsked,
    Halted,
    KillAsked,
    Phase,
    PhaseChanged,
    Reading,
    Sample,
    StepEnded,
    UndoEnded,
    UndoStarted,
    Warned,
)
from gameday.history.loadevents import LoadAsked, LoadBucket
from gameday.history.histogram import index_of
from gameday.plan.limitwords import limit_words
from gameday.plan.model import (
    NS,
    BlastRadius,
    LimitKind,
    Load,
    Probe,
    ProbeKind,
    Slo,
    SteadyState,
    StopCondition,
)
from tests.engine.world import MS, fault, hold, plan

GOOD, BAD, UNREADABLE = Reading.GOOD, Reading.BAD, Reading.UNREADABLE
LOADS = (Load("l", "l.py", "0" * 64, rate_per_1000s=100_000),)
PROBES = (
    Probe("p", ProbeKind.HTTP, "{}", 100 * MS, 100 * MS),
    Probe("q", ProbeKind.HTTP, "{}", 100 * MS, 100 * MS),
)
SLOS = (
    Slo("a", NS, 900_000, probe="p"),
    Slo("b", NS, 990_000, probe="q"),
    Slo("fast", NS, 900_000, load_stat="p99", below_ns=100 * MS),
)


def condition(then="halt", **more):
    return StopCondition("it", then, **more)


def plan_of(*conditions, **more):
    values = {
        "probes": PROBES,
        "slos": SLOS,
        "load": LOADS,
        "stop_conditions": conditions,
        "blast_radius": BlastRadius((), 9, None, 600 * NS),
        **more,
    }
    return plan(fault("f", 0), hold("h", 1, 300 * NS), **values)


class Drive:
    """A run in phase running, fed by hand. Time is in units of 100 ms since the steps began."""

    def __init__(self, *conditions, **more):
        self.state = begin(plan_of(*conditions, **more))
        self.decided, self.now = [], 0
        self.take(0, Armed(1))
        while self.state.phase is not Phase.RUNNING:
            self.now += 100 * MS
            self.sample(GOOD)
            self.sample(GOOD, "q")
        self.begun = self.now
        self.take(self.now, StepEnded("f", Effect.HAPPENED, in_place=True))
        assert self.halted is None

    def take(self, at, event):
        self.now = at
        self.state, decided = step(self.state, at, event)
        self.decided += decided
        return self

    def sample(self, reading, probe="p", took=10 * MS):
        return self.take(self.now, Sample(probe, self.now - took, self.now, reading))

    def bucket(self, good=10, bad=0, dropped=0, latency_ms=10, intended=None, started=None):
        intended = good + bad + dropped if intended is None else intended
        started = intended - dropped if started is None else started
        latency = ((index_of(latency_ms * 1000), good),) if good else ()
        counts = (intended, started, 0, dropped, good, bad, (), latency, 0, 0, 0)
        return self.take(self.now, LoadBucket("l", self.now - 100 * MS, *counts))

    def feed(self, letters, probe="p"):
        """One sample each 100 ms: g(ood), b(ad), u(nreadable), `-` none."""
        for letter in letters:
            self.now += 100 * MS
            reading = {"g": GOOD, "b": BAD, "u": UNREADABLE}.get(letter)
            if reading is None:
                self.take(self.now, None)
            else:
                self.sample(reading, probe)
            if self.halted is not None:
                break
        return self

    def load(self, count, **more):
        for _ in range(count):
            self.now += 100 * MS
            self.bucket(**more)
            if self.halted is not None:
                break
        return self

    @property
    def halted(self):
        return next((c for c in self.decided if isinstance(c, Halted)), None)

    @property
    def steps(self):
        """How many steps of 100 ms were made since the drill began."""
        return (self.now - self.begun) // (100 * MS)


ROW3 = {"probe": "p", "in_a_row": 3}
COUNT3 = {"probe": "p", "count": 3, "within_ns": NS}
HALF = {"probe": "p", "bad_above_ppm": 500_000, "within_ns": NS}
BLIND3 = {"probe": "p", "in_a_row": 3, "reading": "unreadable"}
BURN = {"slo": "b", "burn_above_milli": 14_400, "long_ns": 2 * NS, "short_ns": NS}

LETTERS = [
    # condition, samples of 100 ms, after how many of them it halts (None: never)
    (ROW3, "bbb", 3),
    (ROW3, "bbgbb", None),
    (ROW3, "bubub", 5),
    ({**ROW3, "for_ns": 300 * MS}, "bbbbbb", 6),
    ({**ROW3, "for_ns": 300 * MS}, "bbbbbgbbb", None),
    ({"probe": "p", "in_a_row": 1}, "gb", 2),
    (COUNT3, "bgbgb", 5),
    (COUNT3, "bggggbggggb", 11),
    (COUNT3, "bgggggbgggggb", None),
    (COUNT3, "bgubgub", 7),
    (HALF, "gggggg" + "b" * 6, 12),
    (HALF, "gb" * 20, None),
    (HALF, "g" * 10 + "u" * 6, None),
    (BLIND3, "uuu", 3),
    (BLIND3, "uubuug", None),
    (BLIND3, "bbbbbb", None),
    ({"probe": "p", "count": 2, "within_ns": NS, "reading": "unreadable"}, "ugggu", 5),
    ({"probe": "p", "bad_above_ppm": 500_000, "within_ns": NS, "reading": "unreadable"}, "uuuuuu", 6),
    ({"probe": "p", "silence_ns": NS}, "uuuuuuuuuuuu", 11),
    ({"probe": "p", "silence_ns": NS}, "uuuuuuuuugu", None),
    ({**ROW3, "fresh_ns": NS}, "uuuuuuuuuuuu", 11),
    ({**ROW3, "fresh_ns": NS}, "------------", 11),
    ({**ROW3, "fresh_ns": NS}, "b---------g---------b", None),
    ({**BLIND3, "fresh_ns": NS}, "u---u---u", 9),
    ({**BLIND3, "fresh_ns": NS}, "u-----------", 12),
    ({**ROW3}, "-" * 30, None),
    ({"duration_ns": NS}, "g" * 12, 11),
    ({"slo": "a", "bad_above_ppm": 500_000}, "b" * 9, 6),
    ({"slo": "a", "bad_above_ppm": 500_000, "for_ns": 200 * MS}, "b" * 9, 8),
    ({"slo": "a", "bad_above_ppm": 500_000, "fresh_ns": NS}, "u" * 12, 11),
]


@pytest.mark.parametrize(("limit", "letters", "after"), LETTERS)
def test_a_limit_on_samples_trips_where_it_says_and_nowhere_else(limit, letters, after):
    drive = Drive(condition(**limit)).feed(letters)
    assert (drive.steps if drive.halted else None) == after
    if drive.halted:
        assert drive.halted.condition == "it"


P99 = {"load": "p99", "above_ns": 500 * MS, "within_ns": NS}
ERRORS = {"load": "errors", "bad_above_ppm": 50_000, "within_ns": NS}
ACHIEVED = {"load": "achieved", "below_ppm": 900_000, "within_ns": NS}
FAILED = {"failed_above": 50}

BUCKETS = [
    # condition, the buckets before, the buckets that may break it, after how many in all it halts
    (P99, (5, {}), (5, {"latency_ms": 600}), 6),
    (P99, (5, {}), (5, {"latency_ms": 400}), None),
    ({**P99, "for_ns": 300 * MS}, (5, {}), (9, {"latency_ms": 600}), 9),
    ({**P99, "load": "p50"}, (10, {}), (10, {"latency_ms": 600}), 16),
    (P99, (0, {}), (3, {"good": 0, "bad": 5}), 1),
    (ERRORS, (9, {}), (9, {"bad": 1}), 15),
    (ERRORS, (9, {}), (1, {"bad": 10}), 10),
    (ERRORS, (9, {}), (1, {"good": 0, "dropped": 10}), 10),
    (ERRORS, (30, {"good": 99, "bad": 1}), (1, {}), None),
    (ACHIEVED, (9, {}), (5, {"started": 5, "intended": 10}), 12),
    (ACHIEVED, (9, {}), (9, {"good": 0, "intended": 0}), None),
    (FAILED, (9, {"bad": 5}), (5, {"bad": 5}), 11),
    (FAILED, (5, {"bad": 10}), (9, {}), None),
    ({**FAILED, "within_ns": NS}, (20, {"bad": 5}), (9, {}), None),
    ({**FAILED, "within_ns": NS}, (20, {"bad": 5}), (9, {"bad": 6}), 21),
    ({**FAILED, "fresh_ns": NS}, (3, {}), (30, {"good": 0}), None),
    ({**ERRORS, "fresh_ns": NS}, (3, {}), (30, {"good": 0}), 14),
    ({**ACHIEVED, "fresh_ns": NS}, (3, {}), (30, {"good": 0, "intended": 0}), 14),
    ({**P99, "fresh_ns": NS}, (3, {}), (30, {"good": 0}), 14),
    ({"slo": "fast", "bad_above_ppm": 500_000}, (5, {}), (5, {"latency_ms": 200}), 6),
    ({"slo": "fast", "burn_above_milli": 5000, "long_ns": 2 * NS, "short_ns": NS}, (10, {}), (20, {"latency_ms": 200}), 21),
]  # fmt: skip


@pytest.mark.parametrize(("limit", "first", "then", "after"), BUCKETS)
def test_a_limit_on_load_trips_where_it_says_and_nowhere_else(limit, first, then, after):
    drive = Drive(condition(**limit)).load(first[0], **first[1])
    assert drive.halted is None
    drive.load(then[0], **then[1])
    assert (drive.steps if drive.halted else None) == after


def test_failed_requests_of_the_baseline_are_not_the_drills_doing():
    state = begin(plan_of(condition(**FAILED)))
    counts = (100, 100, 0, 0, 0, 100, (), (), 0, 0, 0)
    for at, event in ((0, Armed(1)), (1, PhaseChanged(Phase.BASELINE, "")), (2, LoadBucket("l", 2, *counts))):
        state = apply(state, at, event)
    assert state.meters[0].windows[0].bad == 100
    state = apply(state, 3, PhaseChanged(Phase.RUNNING, ""))
    assert state.meters[0].windows[0].bad == 0
    assert state.meters[0].crossed_ns is None


def test_a_budget_burns_too_fast_only_when_both_windows_say_so():
    """Objective 99 %: one bad sample in 10 burns 10x, and the limit is 14.4x."""
    assert Drive(condition(**BURN)).feed("gggggggggb" * 4, "q").halted is None
    # The short window is over at once, the long one only when 3 of its 20 samples are bad.
    drive = Drive(condition(**BURN)).feed("g" * 20 + "bbb", "q")
    assert drive.steps == 23 and drive.halted
    assert "burns over 14.4x in 2 s and 1 s: " in drive.halted.reason
    # What is over does not halt: the long window still is, the short one is not.
    drive = Drive(condition(**BURN, then="warn")).feed("g" * 20 + "bbb" + "g" * 9, "q")
    assert drive.state.meters[0].crossed_ns is None


def test_the_budget_spent_is_burn_rate_times_elapsed_over_its_window():
    """Half of 60 s bad at 99 % burns 50x; of the budget of an hour that is 50 x 60 s / 1 h = 83.3 %."""
    limit = condition(slo="b", budget_above_ppm=900_000, budget_ns=3600 * NS)
    drive = Drive(limit, steady_state=SteadyState(("a", "b"), NS, NS, 8 * NS)).feed("bg" * 300, "q")
    assert drive.halted is None
    assert 830_000 <= spent_ppm(drive.state.meters[0], drive.now) <= 836_000
    drive.feed("b" * 60, "q")
    assert drive.halted.reason.startswith("SLO b: more than 90 % of the budget of 1 h spent: 90")


def bounds(drive):
    return tuple(
        (at - drive.begun) // MS for at in (drive.halted.breach_after_ns, drive.halted.breach_before_ns)
    )


@pytest.mark.parametrize(
    ("limit", "letters", "after_ms", "before_ms"),
    [
        ({"probe": "p", "in_a_row": 1}, "gggb", 290, 400),
        (ROW3, "gbbb", 290, 400),
        ({**ROW3, "for_ns": 300 * MS}, "gbbbbbbb", 290, 400),
        (COUNT3, "bgbgb", 390, 500),
        (HALF, "g" * 10 + "b" * 6, 1490, 1600),
        (BLIND3, "guuu", 290, 400),
        ({"slo": "a", "bad_above_ppm": 500_000, "for_ns": 200 * MS}, "b" * 9, 490, 600),
        ({"probe": "p", "silence_ns": NS}, "gg" + "u" * 12, 190, 1300),
        ({**ROW3, "fresh_ns": NS}, "gg" + "-" * 12, 190, 1300),
        ({"duration_ns": NS}, "g" * 12, 1000, 1100),
    ],
)
def test_a_halt_names_the_instants_between_which_its_limit_was_crossed(limit, letters, after_ms, before_ms):
    """(the last sample within the limit was sent, the first beyond it ended]; `for` comes after that."""
    assert bounds(Drive(condition(**limit)).feed(letters)) == (after_ms, before_ms)


def test_a_load_limit_is_crossed_between_the_starts_of_two_buckets_and_the_end_of_the_second():
    drive = Drive(condition(**FAILED)).load(9, bad=5).load(2, bad=5)
    assert bounds(drive) == (900, 1100)


def test_the_blast_radius_says_when_its_time_was_over():
    drive = Drive(condition(**ROW3), blast_radius=BlastRadius((), 9, None, NS)).feed("g" * 12)
    assert drive.halted.by == "blast radius"
    assert bounds(drive) == (1000, 1100)


def test_any_silence_does_not_listen_to_the_probe_of_another_condition():
    own = replace(PROBES[1], name="stop-x", of_condition=True)
    silence = condition(silence_ns=NS)
    drive = Drive(silence, probes=(PROBES[0], own)).feed("g" * 20)
    assert drive.halted is None
    assert drive.feed("-" * 12).halted.reason == "probe p could not be read for 1 s"


def test_a_warning_says_what_was_read_and_the_next_condition_still_halts():
    drive = Drive(condition("warn", **ROW3), StopCondition("other", "halt", probe="p", in_a_row=5)).feed(
        "bbbbbb"
    )
    warned = [c for c in drive.decided if isinstance(c, Warned)]
    assert [w.reason for w in warned] == ["probe p: 3 bad samples in a row: 3 in a row"]
    assert drive.halted.condition == "other"


def stopping(stops, **more):
    drive = Drive(condition(**ROW3, stops=stops), **more)
    before = len(drive.decided)
    drive.feed("bbb")
    return drive, drive.decided[before:]


@pytest.mark.parametrize("stops", ["load", "both"])
def test_a_condition_that_stops_the_load_stops_it_at_once_and_takes_the_faults_back(stops):
    drive, decided = stopping(stops)
    kinds = [type(c).__name__ for c in decided]
    assert LoadAsked("l", "stop") in decided
    assert kinds.index("Halted") < kinds.index("LoadAsked")
    assert any(isinstance(c, UndoStarted) for c in decided)
    assert not drive.state.load_running


def test_a_condition_that_stops_faults_leaves_the_load_running_for_the_recovery():
    drive, decided = stopping("faults")
    assert not any(isinstance(c, LoadAsked) for c in decided)
    assert drive.state.load_running == ("l",)


def test_a_halt_by_somebody_else_does_not_stop_the_load_at_once():
    drive = Drive(condition(**ROW3, stops="load"))
    drive.take(drive.now, HaltAsked("operator", "x"))
    assert not any(isinstance(c, LoadAsked) and c.ask == "stop" for c in drive.decided)


def test_the_action_that_runs_is_killed_before_the_load_is_stopped():
    state = begin(plan_of(condition(**ROW3, stops="load")))
    for at, event in ((0, Armed(1)), (1, PhaseChanged(Phase.RUNNING, ""))):
        state, _ = step(state, at, event)
    decided = []
    for number in range(3):
        at = (number + 1) * 100 * MS
        state, more = step(state, at, Sample("p", at - MS, at, BAD))
        decided += more
    kinds = [type(c) for c in decided if isinstance(c, Halted | KillAsked | LoadAsked)]
    assert kinds[:2] == [Halted, KillAsked]


@pytest.mark.parametrize(("slos", "waits"), [(("a", "fast"), True), (("fast",), False)])
def test_after_the_load_was_stopped_nobody_waits_for_what_only_load_can_show(slos, waits):
    drive, _ = stopping("load")
    drive.state = replace(
        drive.state, plan=replace(drive.state.plan, steady_state=SteadyState(slos, NS, NS, 60 * NS))
    )
    drive.take(drive.now, UndoEnded("f", True))
    began = drive.now
    while not drive.state.is_over:
        drive.now += 100 * MS
        drive.sample(GOOD)
        assert drive.now - began < 5 * NS
    assert (drive.now - began >= NS) == waits
    ended = next(c for c in drive.decided if isinstance(c, PhaseChanged) and c.phase is Phase.FINISHED)
    assert ended.reason == LOAD_STOPPED


ALL = [
    condition(**limit) for limit in (ROW3, COUNT3, HALF, BLIND3, BURN, P99, ERRORS, ACHIEVED, FAILED)
] + [
    condition(slo="a", bad_above_ppm=1),
    condition(slo="b", budget_above_ppm=1, budget_ns=NS),
    condition(load="answered", below_ppm=500_000, within_ns=NS),
    condition(silence_ns=NS),
    condition(duration_ns=NS),
]  # fmt: skip


def test_every_kind_has_its_words_and_is_told_apart():
    assert {c.kind for c in ALL} == set(LimitKind)
    words = [limit_words(c) for c in ALL]
    assert len(set(words)) == len(words)
    assert not any("None" in text for text in words)


@pytest.mark.parametrize("seed", range(25))
def test_meters_agree_with_counting_everything_again(seed):
    """Random samples, with gaps and calm stretches: each meter against a plain count over the whole past."""
    rng = random.Random(seed)
    limits = [condition(**limit) for limit in (ROW3, COUNT3, HALF, BLIND3)]
    state = begin(plan_of(*(replace(c, name=str(n)) for n, c in enumerate(limits)), blast_radius=None))
    state = apply(state, 0, PhaseChanged(Phase.RUNNING, ""))
    at, past = 0, []
    for _ in range(300):
        at += rng.choice([20, 100, 100, 100, 350, 1500]) * MS
        reading = rng.choice([GOOD] * rng.choice([1, 9]) + [BAD, BAD, UNREADABLE])
        past.append((at, reading))
        state = apply(state, at, Sample("p", at - 10 * MS, at, reading))
        for meter, wanted in zip(state.meters, plain(past), strict=True):
            assert (meter.crossed_ns is not None) == wanted, (seed, at, meter.condition)
            if meter.crossed_ns is not None:
                assert meter.kept_ns < meter.crossed_ns <= at


def plain(past):
    """What ROW3, COUNT3, HALF and BLIND3 say of a past, counted from scratch at its last readable sample."""
    readable = [(at, reading) for at, reading in past if reading is not UNREADABLE]
    last = readable[-1][0] if readable else 0
    row = readable[-3:]
    bads = [at for at, reading in readable if reading is BAD]
    number = last // (100 * MS)
    recent = [reading for at, reading in readable if at // (100 * MS) > number - 10]
    return (
        len(row) == 3 and all(reading is BAD for _, reading in row),
        len([at for at in bads if last - at <= NS]) >= 3,
        bool(recent) and recent.count(BAD) * 2 > len(recent),
        len(past) >= 3 and all(reading is UNREADABLE for _, reading in past[-3:]),
    )


def test_a_window_stays_small_and_its_totals_true_for_ever():
    window, rng = Window(10 * NS), random.Random(1)
    for number in range(20_000):
        latency = ((rng.randrange(9), 1),) if number % 3 else ()
        window = window.add(number * 10 * MS, len(latency), 1 - len(latency), latency)
    assert len(window.slots) <= 50
    assert window.good == sum(slot.good for slot in window.slots)
    assert window.bad == sum(slot.bad for slot in window.slots)
    assert sum(window.latency.values()) == window.good > 0
    later = window.add(10**15, 1, 0, ())
    assert (later.good, later.bad, dict(later.latency)) == (1, 0, {})


def test_a_sample_touches_no_meter_but_those_of_its_subject():
    state = begin(plan_of(*(replace(c, name=str(n)) for n, c in enumerate(ALL))))
    after = apply(state, NS, Sample("q", NS - MS, NS, BAD))
    for before, meter in zip(state.meters, after.meters, strict=True):
        assert (before is meter) == (meter.subject != "q")
    assert len(meters_of(state.plan)) == len(ALL)
