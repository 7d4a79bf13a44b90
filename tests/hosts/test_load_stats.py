"""Locust's own statistics, counted in batches: the same figures as counting each request gives."""

from __future__ import annotations

import subprocess
import sys

BOTH = """
import random
from locust.stats import RequestStats
from gameday.hosts.loadstats import Stats
rng = random.Random(4)
plain, batched = RequestStats(), RequestStats()
ours = Stats(batched)
assert ours.is_ours
for number in range(3000):
    took = None if rng.random() < 0.01 else rng.choice([0.4, 7.0, 147.0, 3432.0]) * rng.random()
    one = rng.choice(["GET", "POST"]), rng.choice(["/a", "/b", "/c"]), took, rng.randrange(500)
    plain.log_request(*one)
    batched.log_request(*one)
    if number % 97 == 0:
        ours.count()
ours.count()
FIGURES = ("num_requests", "num_none_requests", "min_response_time", "max_response_time", "response_times",
           "total_content_length")
def figures(entry):
    return [getattr(entry, name) for name in FIGURES], round(entry.total_response_time, 6)
assert sorted(plain.entries) == sorted(batched.entries) and len(plain.entries) == 6
for key, entry in plain.entries.items():
    assert figures(entry) == figures(batched.entries[key]), key
assert figures(plain.total) == figures(batched.total)
assert sum(plain.total.num_reqs_per_sec.values()) == sum(batched.total.num_reqs_per_sec.values()) == 3000
assert batched.total.get_response_time_percentile(0.95) == plain.total.get_response_time_percentile(0.95)
print("same")
"""


def test_batches_give_the_figures_that_locust_gives():
    done = subprocess.run([sys.executable, "-c", BOTH], capture_output=True, text=True, timeout=60)
    assert done.stdout == "same\n", done.stderr
