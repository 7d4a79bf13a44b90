"""Load: is it what was asked for, is it told truly, and what does the telling cost? Beside plain Locust.

    python -m tests.bench.load [SECONDS]        of each run; 12 by default

- cost: what our `request` listener and our wrapper of the clients cost a request, in µs (at most 2 for
  the listener);
- rate: the same file with the same users, plain `locust --headless` and gameday, against a C target that
  answers at once: side by side, gameday reaches at least 98 % of plain Locust's rate. wrk and ab beside it;
- truth: a C target that notes each request and holds it for a known time, with a stall of 2 s: what
  gameday says of p50, p99 and p99.9 against what was true, matched request by request by its number, plain
  Locust beside it; and the arrivals against the rate that was asked for, up to the generator's limit.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from gameday.history.histogram import merge, percentile_us
from tests.bench.generators import gameday, plain, target
from tests.bench.loadrate import rates

NUMBERED = """
import itertools
from locust import {user}, constant_throughput, task
NUMBERS = itertools.count()
class Caller({user}):
    wait_time = constant_throughput({each})
    @task
    def call(self):
        self.client.get(f"/r?id={{next(NUMBERS)}}", name="/r")
"""


# --- cost --------------------------------------------------------------------------------------

COST = """
import sys, time, os
from locust import FastHttpUser, HttpUser, events
from locust.env import Environment
import gevent
from gameday.hosts import loadclients
from gameday.hosts.loadbuckets import Buckets
N, ROUNDS = 20_000, 41
def fire(hook, note):
    response = object()
    began = time.process_time()
    for _ in range(N):
        note()
        hook.fire(request_type="GET", name="/a", response_time=12.34, response_length=2, response=response,
                  context={}, exception=None, start_time=0.0, url="/a")
    return (time.process_time() - began) / N * 1e6
def median(found): return sorted(found)[len(found) // 2]
class Kept:
    def __init__(self): self.waiting = []; self.note = self.waiting.append
def hook_with(seen, is_ours):
    inlet, outlet = os.pipe()
    buckets, hook, kept = Buckets(outlet, "x", 0), type(events.request)(), Kept()
    hook.add_listener(lambda **_: None)
    if is_ours:
        hook.add_listener(buckets.listener(gevent.getcurrent, loadclients.kind_of, seen, kept))
    arrivals, who = buckets.waiting.arrivals, gevent.getcurrent()
    def arrive(): arrivals[who] = 1.0
    return hook, (lambda: None) if seen else arrive, kept
# Each round has one run with our listener and one without. The least of each is what the code costs, as
# `timeit` has it; the median of the differences also has what else the machine did, and how fast it was.
def differ(ours, bare):
    found = [(ours(), bare()) for _ in range(ROUNDS)]
    print(min(o for o, _ in found) - min(b for _, b in found), median([o - b for o, b in found]))
for seen in (frozenset((object,)), None):
    (bare, wait, _), (ours, note, kept) = hook_with(seen, False), hook_with(seen, True)
    def with_ours():
        kept.waiting.clear()
        return fire(ours, note)
    differ(with_ours, lambda: fire(bare, wait))
send = lambda session, *args, **more: None
inlet, outlet = os.pipe()
wrapped = loadclients._watched(send, Buckets(outlet, "x", 0), closed_loop=True, timeout_s=5.0)
def call(request):
    began = time.process_time()
    for _ in range(N):
        request(None, "GET", "/a")
    return (time.process_time() - began) / N * 1e6
differ(lambda: call(wrapped), lambda: call(send))
"""


def cost():
    """Return whether the listener is cheap enough, and the line that says so."""
    out = subprocess.run(
        [sys.executable, "-c", COST], capture_output=True, text=True, check=True
    ).stdout.split()
    closed, closed_mid, opened, opened_mid, wrapper, wrapper_mid = map(float, out)
    line = (
        f"listener {closed:.2f} µs a request (users; median {closed_mid:.2f}), {opened:.2f} (rate; {opened_mid:.2f}); "
        f"wrapper of the client {wrapper:.2f} ({wrapper_mid:.2f})"
    )
    return max(closed, opened) <= 2.0, line


# --- truth -------------------------------------------------------------------------------------

POINTS = {"p50": (500_000, 2.0), "p95": (950_000, 2.0), "p99": (990_000, 2.0), "p99.9": (999_000, 5.0)}


def true_ms(records, rate):
    """Return the true latency of each request from its intended time, matched by number.

    Number n was intended n / rate after number 0; the earliest of all, by that, came at once.
    """
    begun_ns = min(arrived - number * 1e9 / rate for number, (arrived, _) in records.items())
    return [
        (answered - begun_ns - number * 1e9 / rate) / 1e6
        for number, (_, answered) in sorted(records.items())
        if answered
    ]


def point(values, ppm):
    ordered = sorted(values)
    return ordered[max(-(-len(ordered) * ppm // 1_000_000), 1) - 1]


def truths(folder, seconds, rate=200, users=50):
    """Return whether what gameday says is true, and lines that say so, plain Locust beside it."""
    stall = f"{int(seconds * 300)}:{int(seconds * 300) + 2000}"
    fine, lines = True, []
    profile = NUMBERED.format(user="FastHttpUser", each=rate / users)
    with target(folder, 5000, stall) as (url, stop):
        taken = gameday(folder, profile, url, seconds, 0.0, 3.5, rate_per_1000s=rate * 1000, max_users=600)
        records = stop()
    truth = true_ms(records, rate)
    counts = merge(b.latency for b in taken)
    ended, lag_ms = sum(b.good + b.bad for b in taken), max(b.lag_ns for b in taken) / 1e6
    if ended != len(truth):
        fine = False
        lines.append(f"{ended} ends were counted, {len(truth)} requests were answered")
    with target(folder, 5000, stall) as (url, stop):
        row = plain(folder, profile, url, seconds, users)
        stop()
    theirs = dict(row["response_times"]) if isinstance(row["response_times"], dict) else {}
    told = sorted((float(ms), n) for ms, n in theirs.items())
    flat = [ms for ms, n in told for _ in range(n)]
    for name, (ppm, within_ms) in POINTS.items():
        is_true = point(truth, ppm)
        said = (percentile_us(counts, ppm) or 0) / 1000
        off = abs(said - is_true)
        good = off <= max(0.02 * is_true, within_ms)
        fine &= (
            good or name == "p95"
        )  # Shown beside them: with one stall it stands where the backlog is served.
        other = f"{point(flat, ppm):7.1f}" if flat else "      ?"
        lines.append(
            f"{name:6} truth {is_true:7.1f} ms, gameday {said:7.1f} ms ({'ok' if good else 'NOT within bounds'}), "
            f"plain Locust {other} ms"
        )
    lines.append(
        f"       of {len(truth)} requests at {rate}/s with a stall of 2 s; release lag at most {lag_ms:.1f} ms"
    )
    return fine, lines


def keeps(folder, seconds, rates=(200, 1000, 2000, 3000, 5000, 8000)):
    """Return whether the rate is kept within 1 % wherever the run does not say that it was not."""
    fine, lines = True, []
    for rate in rates:
        with target(folder, 1) as (url, stop):
            profile = NUMBERED.format(user="FastHttpUser", each=1)
            taken = gameday(
                folder, profile, url, seconds, 0.0, 1.0, rate_per_1000s=rate * 1000, max_users=1000
            )
            records = stop()
        slices = [b for b in taken if b.intended]
        busy = statistics.median(b.busy_ppm for b in slices) / 1e6
        lag_ms = point([b.lag_ns for b in slices], 990_000) / 1e6
        intended, started = sum(b.intended for b in taken), sum(b.started for b in taken)
        seen = defaultdict(int)
        begun = min(arrived for arrived, _ in records.values())
        for arrived, _ in records.values():
            seen[int((arrived - begun) / 1e9)] += 1
        whole = [seen[second] for second in range(1, int(seconds) - 1)]
        worst = max(abs(count / rate - 1) for count in whole)
        mean = statistics.mean(whole) / rate
        on_time = started / intended
        said = on_time < 0.98 or busy > 0.9
        good = abs(mean - 1) <= 0.01 or said
        fine &= good
        lines.append(
            f"{rate:5}/s: the target saw {mean:7.2%} (worst second off by {worst:.1%}); started on time {on_time:7.2%}, "
            f"lag p99 {lag_ms:.1f} ms, busy {busy:.0%}: "
            + ("kept" if abs(mean - 1) <= 0.01 else "NOT kept, and said" if said else "NOT kept and NOT said")
        )
    return fine, lines


def main(words):
    """Print all rows; 0 when everything is as it must be."""
    seconds = float(words[0]) if words else 12.0
    fine = True
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        for title, part in (
            ("cost of a request", lambda: (lambda ok, line: (ok, [line]))(*cost())),
            ("rate beside plain Locust, same file, same users", lambda: rates(folder, seconds)),
            ("truth", lambda: truths(folder, max(seconds, 15.0))),
            ("the rate that was asked for", lambda: keeps(folder, max(seconds / 2, 6.0))),
        ):
            good, lines = part()
            fine &= good
            print(f"{title}: {'ok' if good else 'NOT as it must be'}", *lines, sep="\n  ", flush=True)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
