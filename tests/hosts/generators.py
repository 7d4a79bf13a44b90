"""A load of several generators against a shop that writes down each arrival: what bench and tests share."""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field

from gameday.history.loadevents import LoadBucket, LoadReported
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.loadcrew import LoadCrew
from gameday.plan.model import Load
from tests.drills import ROOT
from tests.hosts.shop import shop

GIVE_UP_S = 60.0
PROFILE = """
from locust import FastHttpUser, constant, task

class Customer(FastHttpUser):
    wait_time = constant(0.1)

    @task
    def order(self):
        self.client.post("/orders", json={"item": "tea"})
"""

RUNNER = """
import sys, time
from pathlib import Path
from tests.hosts.generators import Rig
rig = Rig(Path(sys.argv[1]), sys.argv[2], processes=int(sys.argv[3]), workers=int(sys.argv[4]), bind=sys.argv[5])
rig.crew.arm(60)
rig.crew.start(rig.load.rate_per_1000s, None)
print(*(host.pid for _, host in rig.crew.hosts()), flush=True)
time.sleep(600)
"""


class Rig:
    """One load and what came of it."""

    def __init__(self, folder, url, **more):
        (folder / "profile.py").write_text(more.pop("profile", PROFILE))
        self.profile = folder / "profile.py"
        sha256 = hashlib.sha256(self.profile.read_bytes()).hexdigest()
        self.load = Load("orders", "profile.py", sha256, host=url, **({"rate_per_1000s": 60_000} | more))
        self.inbox, self.clock = new_inbox(), RunClock()
        self.seen: list[tuple[int, LoadBucket | LoadReported]] = []
        self.crew = LoadCrew(
            self.load, project=folder, folder=folder / "load", clock=self.clock, inbox=self.inbox
        )

    def take(self, enough, give_up_s=GIVE_UP_S):
        """Take events until `enough(those taken now)`, and return them with their times."""
        found, give_up_s = [], time.monotonic() + give_up_s
        while not enough([event for _, event in found]):
            assert time.monotonic() < give_up_s, [e for _, e in found if isinstance(e, LoadReported)]
            with contextlib.suppress(queue.Empty):
                found.append(self.inbox.get(timeout=1.0))
        self.seen += found
        return found

    def steady(self, count, generators):
        """Take until each of these generators had so many slices, and return what was intended a second."""

        def enough(events):
            seen = [e.generator for e in buckets_of(events)]
            return all(seen.count(number) >= count for number in generators)

        taken = buckets_of(event for _, event in self.take(enough))
        begin_ns = min((b.start_ns for b in taken if b.intended), default=0)  # Commands take their time here.
        inside = [b for b in taken if b.start_ns >= begin_ns]
        span_s = (max(b.start_ns for b in inside) - begin_ns) / 1e9 + 0.1
        return sum(b.intended for b in inside) / span_s

    def reported(self, state):
        """Take until the load reports this, and return when, in seconds of the run, and in which words."""
        taken = self.take(
            lambda events: any(isinstance(e, LoadReported) and e.state == state for e in events)
        )
        return next(
            (at / 1e9, e.detail) for at, e in taken if isinstance(e, LoadReported) and e.state == state
        )

    def now_s(self):
        return self.clock.now_ns() / 1e9


def buckets_of(events):
    return [event for event in events if isinstance(event, LoadBucket)]


def free_bind(address="127.0.0.2"):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return f"{address}:{probe.getsockname()[1]}"


@contextlib.contextmanager
def workers(count, bind, profile, *more):
    """So many workers, started as people start them."""
    command = [sys.executable, "-m", "gameday", "load", "worker", "--master", bind, "--profile", str(profile)]
    started = [
        subprocess.Popen([*command, *more], cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(count)
    ]
    try:
        yield started
    finally:
        for worker in started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGCONT)
            worker.kill()
            worker.wait()
            worker.stderr.close()


@dataclass
class Arrivals:
    """When the shop saw each request, on this machine's monotonic clock."""

    at_s: list[float] = field(default_factory=list)

    def last_after(self, begin_s):
        """Return how long after `begin_s` the last request came; 0 when none did."""
        return max((at - begin_s for at in list(self.at_s) if at > begin_s), default=0.0)


@contextlib.contextmanager
def watched_shop():
    with shop() as target:
        arrivals = Arrivals()
        target.before = lambda _body: arrivals.at_s.append(time.monotonic())
        target.arrivals = arrivals
        yield target


def after_death(folder, target, *, processes=1, count=0, who="runner", stop=False):
    """Kill the runner (or the master) of a running load, and return how long requests still came.

    With `stop` it is stopped instead, which closes no pipe and no socket.
    """
    bind = free_bind() if count else ""
    (folder / "profile.py").write_text(PROFILE)
    with workers(count, bind, folder / "profile.py") as others:
        runner = subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(folder), target.url, str(processes), str(count), bind],
            stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        try:
            pids = [int(word) for word in runner.stdout.readline().split()]
            give_up_s = time.monotonic() + GIVE_UP_S
            while len(target.arrivals.at_s) < 100:
                assert time.monotonic() < give_up_s
                time.sleep(0.01)
            began_s = time.monotonic()
            os.kill(runner.pid if who == "runner" else pids[0], signal.SIGSTOP if stop else signal.SIGKILL)
            codes = [worker.wait(10) for worker in others]
            time.sleep(max(began_s + 2.5 - time.monotonic(), 0))
            return target.arrivals.last_after(began_s), codes
        finally:
            for pid in (runner.pid, *pids):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            runner.wait()
            runner.stdout.close()
