"""Arrivals: even or at random, they keep the rate; parts of a stream add up; a new pace acts at once."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time

import pytest

from gameday.history.histogram import index_of
from gameday.hosts.loadarrivals import Arrivals
from gameday.hosts.loadbuckets import Buckets
from gameday.hosts.loadclients import kind_of
from gameday.plan.model import NS, Stage
from gameday.plan.pacing import staged, steady


def taken(arrivals, until_s):
    found = []
    while arrivals.due_s() <= until_s:
        found.append(arrivals.due_s())
        arrivals.advance()
    return found


def stream(pace, *, poisson=False, seed="1", place=1.0, began_s=0.0):
    made = Arrivals(poisson=poisson, seed=seed)
    made.follow(pace, began_s, place)
    return made


def test_constant_parts_are_even_together():
    parts = [taken(stream(steady(25.0), place=(n + 1) / 4), 10.0) for n in range(4)]
    times = sorted(at_s for part in parts for at_s in part)
    assert times == pytest.approx([(n + 1) / 100 for n in range(1000)])


def test_poisson_parts_add_up_to_a_poisson_stream_at_the_rate():
    parts = [taken(stream(steady(50.0), poisson=True, seed=f"7/l/{n}"), 100.0) for n in range(4)]
    times = sorted(at_s for part in parts for at_s in part)
    gaps = [b - a for a, b in zip(times, times[1:], strict=False)]
    assert len(times) == pytest.approx(20_000, rel=0.03)  # Four standard deviations.
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)  # As of an exponential.
    assert taken(stream(steady(50.0), poisson=True, seed="7/l/2"), 100.0) == parts[2]
    assert parts[0] != parts[1]


def test_a_new_pace_acts_at_once_and_loses_nothing():
    one = stream(steady(0.1))
    assert one.due_s() == pytest.approx(10.0)
    one.follow(steady(1000.0), 5.0)  # Half a gap has passed.
    assert one.due_s() == pytest.approx(5.0005)
    one.follow(steady(0.0), 5.0001)
    assert one.due_s() == float("inf")
    one.follow(steady(2.0), 100.0)
    assert 100.0 < one.due_s() < 100.5


def test_stages_are_followed():
    times = taken(stream(staged([Stage(10 * NS, 100_000), Stage(0, 10_000)])), 20.0)
    assert len([t for t in times if t <= 10]) == 500
    assert len([t for t in times if t > 10]) == 100


@pytest.mark.parametrize(
    ("looked_ago_s", "answer_took_ms", "unread_s"),
    [(0.5, 900.0, 0.5), (0.5, 400.0, 0.0), (-0.5, 900.0, 0.0), (0.5, None, 0.0)],
    ids=[
        "it waited for us to read others",
        "not looked since it was sent",
        "the clock was set",
        "no time was told",
    ],
)
def test_an_answer_that_waited_for_us_does_not_count_as_late(looked_ago_s, answer_took_ms, unread_s):
    inlet, outlet = os.pipe()
    buckets = Buckets(outlet, "l", 0)
    who = object()
    note = buckets.listener(lambda: who, kind_of, None, looked=lambda: time.time() - looked_ago_s)
    buckets.waiting.arrivals[who] = time.perf_counter() - 2.0
    note(request_type="GET", name="/", response_time=answer_took_ms)
    buckets.flush()
    [[index, _]] = json.loads(os.read(inlet, 1 << 16))["bucket"]["latency"]
    assert abs(index - index_of(int((2.0 - unread_s) * 1e6))) <= 4


def test_the_loop_looks_at_hundreds_of_answers_at_once():
    looks = """
import collections, os, gevent
from gameday.hosts import loadhost
def most_at_once():
    loop, seen = gevent.get_hub().loop, []
    readable, writable = os.pipe()
    os.write(writable, b".")
    watchers = [loop.io(os.dup(readable), 1) for _ in range(400)]
    for watcher in watchers:
        watcher.start(lambda: seen.append(loop.now()))
    while not seen:
        gevent.sleep(0.001)
    for watcher in watchers:
        watcher.stop()
    return collections.Counter(seen)[seen[0]]
LOOK
print(most_at_once())
"""
    found = [
        int(
            subprocess.run(
                [sys.executable, "-c", looks.replace("LOOK", call)], capture_output=True, check=True
            ).stdout
        )
        for call in ("", "loadhost._look_at_many()")
    ]
    assert found == [64, 400]
