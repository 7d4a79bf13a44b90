"""A search against a real server under real Locust load, by the plain loop that `gameday.capacity.search` draws."""

from __future__ import annotations

import hashlib
import queue
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gameday.capacity.goal import SECOND_NS, Goal, Level, Slice, coalesce
from gameday.capacity.judge import judge
from gameday.capacity.search import TRIALS_MAX, Search, bounds, next_trial, take
from gameday.history.loadevents import LoadBucket
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.load import LoadHost
from gameday.plan.model import Load

USERS_MAX = 400
REST_PER_1000S = 2_000
REST_MAX_S = 90.0
PROFILE = """
from locust import FastHttpUser, task

class Visitor(FastHttpUser):
    @task
    def visit(self):
        self.client.get("/")
"""


def slice_of(b: LoadBucket) -> Slice:
    return Slice(
        b.start_ns, SECOND_NS // 10, b.intended, b.started, b.late, b.dropped, b.good, b.bad,
        b.latency, b.waiting, b.ages, b.busy_ppm, b.lag_ns,
    )  # fmt: skip


class Rig:
    """One server, one generator."""

    def __init__(self, c, mean_s, seed, folder: Path) -> None:
        self.server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("queue_server.py")), str(c), str(mean_s), str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        port = int(self.server.stdout.readline())
        (folder / "visit.py").write_text(PROFILE)
        digest = hashlib.sha256(PROFILE.encode()).hexdigest()
        self.inbox = new_inbox()
        load = Load(
            "visits", "visit.py", digest, rate_per_1000s=REST_PER_1000S, host=f"http://127.0.0.1:{port}",
            max_users=USERS_MAX, arrivals="poisson", seed=seed,
        )  # fmt: skip
        self.host = LoadHost(load, project=folder, folder=folder / "load", clock=RunClock(), inbox=self.inbox)
        self.host.arm(60.0)
        self.host.start(REST_PER_1000S, None)

    def trial(self, goal, rate):
        """Offer a rate until its judgement is final."""
        self.rest()
        self.host.change(rate, None)
        self._empty()
        buckets, asked_s, judgement = [], 0, None
        while judgement is None or not judgement.final:
            event = self.inbox.get(timeout=10.0)[1]
            if not isinstance(event, LoadBucket):
                continue
            buckets.append(slice_of(event))
            if len(buckets) // 10 > asked_s:
                asked_s = len(buckets) // 10
                judgement = judge(goal, coalesce(buckets)[:-1], rate_per_1000s=rate)
        return judgement

    def rest(self) -> None:
        """Wait, at a trickle, until nothing is under way."""
        self.host.change(REST_PER_1000S, None)
        give_up_s = time.monotonic() + REST_MAX_S
        calm = 0
        while calm < 20 and time.monotonic() < give_up_s:
            event = self.inbox.get(timeout=10.0)[1]
            if isinstance(event, LoadBucket):
                calm = calm + 1 if event.waiting <= 1 and not event.late else 0

    def _empty(self) -> None:
        try:
            while True:
                self.inbox.get_nowait()
        except queue.Empty:
            return

    def close(self) -> None:
        self.host.close()
        out, _ = self.server.communicate()
        self.held_up = tuple(int(word) for word in out.split())


def line(trial, j) -> str:
    level = j.levels[0]
    return (
        f"{trial.rate_per_1000s / 1000:.1f}/s {trial.purpose}: {j.verdict} after {j.judged_ns / 1e9:.0f} s, "
        f"{j.requests} requests worth {level.effective}, spoilt {level.share_ppm / 1e4:.2f} % "
        f"[{level.low_ppm / 1e4:.2f}, {level.high_ppm / 1e4:.2f}], p50 {dict(j.latency_us).get('p50', 0) / 1000:.1f} ms, "
        f"busy {j.busy_ppm / 1e4:.0f} %, late {j.late_ppm / 1e4:.2f} %, Little {j.little_ppm / 1e6:.2f} {'; '.join(j.generator)}"
    )


def search_for_real(c, mean_s, limit_us, share, first, seed, say) -> Search:
    """Search the limit of a real server; `say` hears of each trial in a line."""
    goal = Goal(
        (Level("latency", round((1 - share) * 1e6), limit_us),),
        duration_min_ns=45 * SECOND_NS, duration_max_ns=180 * SECOND_NS, warm_up_ns=8 * SECOND_NS,
        users_max=USERS_MAX,
    ).shared_by(TRIALS_MAX)  # fmt: skip
    search = Search(goal, first_per_1000s=first)
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(c, mean_s, seed, Path(folder))
        try:
            while (trial := next_trial(search)) is not None:
                judgement = rig.trial(goal, trial.rate_per_1000s)
                search = take(search, trial, judgement)
                say(line(trial, judgement))
        finally:
            rig.close()
            answers, late, latest_ms = rig.held_up
            say(
                f"the server answered {answers}, {late} of them over 5 ms late by its own clock, at most {latest_ms} ms"
            )
    assert bounds(search).trials == len(search.tried)
    return search
