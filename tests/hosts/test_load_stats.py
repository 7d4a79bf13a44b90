"""Locust's own statistics, counted in batches: the same figures as counting each request gives."""

from __future__ import annotations

import subprocess
import sys

BOTH = """
import random
from locust.env import Environment
from locust.stats import RequestStats
from gameday.hosts.loadstats import Stats
rng = random.Random(4)
plain, environment = RequestStats(), Environment()
environment.create_local_runner()
batched, listeners = environment.stats, environment.events.request._handlers
assert len(listeners) == 1
ours = Stats(batched, listeners)
assert ours.is_ours and not listeners
assert not Stats(batched, listeners).is_ours
for number in range(3000):
    took = None if rng.random() < 0.01 else rng.choice([0.4, 7.0, 147.0, 3432.0]) * rng.random()
    one = rng.choice(["GET", "POST"]), rng.choice(["/a", "/b", "/c"]), took, rng.randrange(500)
    failed = OSError("reset") if rng.random() < 0.1 else None
    plain.log_request(*one)
    ours.note((one[1], one[0], *one[2:]))
    if failed:
        plain.log_error(*one[:2], failed)
        ours.failed(one[1], one[0], failed)
    if number % 97 == 0:
        ours.count()
ours.count()
FIGURES = ("num_requests", "num_none_requests", "min_response_time", "max_response_time", "response_times",
           "total_content_length", "num_failures")
def figures(entry):
    return [getattr(entry, name) for name in FIGURES], round(entry.total_response_time, 6)
assert sorted(plain.entries) == sorted(batched.entries) and len(plain.entries) == 6
for key, entry in plain.entries.items():
    assert figures(entry) == figures(batched.entries[key]), key
assert plain.errors.keys() == batched.errors.keys() and plain.total.fail_ratio == batched.total.fail_ratio > 0
assert figures(plain.total) == figures(batched.total)
assert sum(plain.total.num_reqs_per_sec.values()) == sum(batched.total.num_reqs_per_sec.values()) == 3000
assert batched.total.get_response_time_percentile(0.95) == plain.total.get_response_time_percentile(0.95)
count = batched.total.num_requests
for odd in ("slow", float("nan"), float("inf"), -1):
    ours.note(("/odd", "GET", odd, None))
ours.count()
assert batched.total.num_requests == count + 4
print("same")
"""


def test_batches_give_the_figures_that_locust_gives():
    done = subprocess.run([sys.executable, "-c", BOTH], capture_output=True, text=True, timeout=60)
    assert done.stdout == "same\n", done.stderr
