"""Real Locust behind its gate: the rate is kept, a dead runner ends it, a bad profile is one clear line."""

from __future__ import annotations

import hashlib
import os
import queue
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from gameday.errors import Refused
from gameday.history.loadevents import LoadBucket, LoadReported
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.load import LoadHost
from gameday.hosts.processes import is_alive
from gameday.procfs import start_ticks
from gameday.plan.model import Load
from tests.drills import ROOT
from tests.hosts.shop import shop

GIVE_UP_S = 30.0
GOOD = """
from locust import HttpUser, constant, task

class Customer(HttpUser):
    wait_time = constant(1)

    @task
    def order(self):
        self.client.post("/orders", json={"item": "tea"})
"""


class Rig:
    def __init__(self, folder, profile, url, **more):
        (folder / "profile.py").write_text(textwrap.dedent(profile))
        self.inbox = new_inbox()
        sha256 = hashlib.sha256((folder / "profile.py").read_bytes()).hexdigest()
        load = Load("orders", "profile.py", sha256, host=url, **({"rate_per_1000s": 40_000} | more))
        self.host = LoadHost(load, project=folder, folder=folder / "load", clock=RunClock(), inbox=self.inbox)

    def events(self, enough):
        """Take events until `enough(events)`."""
        found = []
        give_up_s = time.monotonic() + GIVE_UP_S
        while not enough(found):
            assert time.monotonic() < give_up_s, found[-3:]
            try:
                found.append(self.inbox.get(timeout=1.0)[1])
            except queue.Empty:
                continue
        return found

    def buckets(self, enough):
        return [e for e in self.events(lambda found: enough(of(found))) if isinstance(e, LoadBucket)]

    def lost(self):
        return self.events(
            lambda found: any(isinstance(e, LoadReported) and e.state == "lost" for e in found)
        )[-1]


def of(events):
    return [e for e in events if isinstance(e, LoadBucket)]


def total(buckets, field):
    return sum(getattr(b, field) for b in buckets)


@pytest.fixture
def rig(tmp_path):
    made = []

    def make(profile=GOOD, url="http://127.0.0.1:9", arm=True, **more):
        made.append(Rig(tmp_path, profile, url, **more))
        if arm:
            made[-1].host.arm(GIVE_UP_S)
        return made[-1]

    yield make
    for one in made:
        one.host.close()


@pytest.mark.slow
def test_the_rate_is_kept_changed_and_stopped(rig):
    with shop() as target:
        one = rig(url=target.url)
        assert target.hits == 0  # Armed means idle.
        one.host.start(40_000, None)
        buckets = one.buckets(lambda b: total(b, "intended") >= 80)
        span_s = (buckets[-1].start_ns - buckets[0].start_ns) / 1e9
        assert 20 < total(buckets, "intended") / max(span_s, 0.1) < 80
        assert total(buckets, "bad") == 0
        assert total(buckets, "good") > 0
        one.host.change(120_000, None)
        one.buckets(lambda b: b[-1:] and b[-1].intended >= 8)
        one.host.stop()
        one.events(lambda found: LoadReported("orders", "stopped") in found)
        hits = target.hits
        one.buckets(lambda b: len(b) >= 5)
        assert target.hits == hits


@pytest.mark.slow
def test_users_are_a_closed_loop(rig):
    with shop() as target:
        one = rig(url=target.url, rate_per_1000s=None, users=3)
        one.host.start(None, 3)
        buckets = one.buckets(lambda b: total(b, "good") >= 6)
        assert total(buckets, "intended") == total(buckets, "started")


@pytest.mark.slow
def test_arrivals_go_on_while_the_target_hangs(rig):
    with shop() as target:
        one = rig(url=target.url, max_users=10)
        one.host.start(40_000, None)
        one.buckets(lambda b: total(b, "good") >= 10)
        target.stalled.clear()
        hung = one.buckets(lambda b: total(b, "intended") >= 120)
        assert total(hung, "good") < 60
        target.stalled.set()
        after = one.buckets(lambda b: total(b, "late") >= 20)  # They waited, and are not forgotten.
        slowest = max(index for b in after for index, _ in b.latency)
        assert slowest > 20 << 7  # Over half a second, counted from the intended time.


@pytest.mark.slow
def test_errors_are_named(rig):
    with shop() as target:
        target.status = 503
        one = rig(url=target.url)
        one.host.start(40_000, None)
        buckets = one.buckets(lambda b: total(b, "bad") >= 3)
    assert {kind for b in buckets for kind, _ in b.errors} == {"http-503"}


RUNNER = """
import hashlib, pathlib, sys, time
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.load import LoadHost
from gameday.plan.model import Load
folder = pathlib.Path(sys.argv[1])
sha256 = hashlib.sha256((folder / "profile.py").read_bytes()).hexdigest()
load = Load("orders", "profile.py", sha256, rate_per_1000s=40_000, host=sys.argv[2])
host = LoadHost(load, project=folder, folder=folder / "load", clock=RunClock(), inbox=new_inbox())
host.arm(30)
host.start(40_000, None)
print(host.pid, flush=True)
time.sleep(60)
"""


def test_a_dead_runner_ends_the_load_within_two_seconds(tmp_path):
    (tmp_path / "profile.py").write_text(GOOD)
    with shop() as target:
        runner = subprocess.Popen(
            [sys.executable, "-c", RUNNER, str(tmp_path), target.url],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        pid = int(runner.stdout.readline())
        ticks = start_ticks(pid)
        give_up_s = time.monotonic() + GIVE_UP_S
        while target.hits < 5:
            assert time.monotonic() < give_up_s
            time.sleep(0.01)
        runner.kill()
        runner.wait()
        give_up_s = time.monotonic() + 2.0
        while is_alive(pid, ticks):
            assert time.monotonic() < give_up_s, "Locust outlived its runner"
            time.sleep(0.01)
        hits = target.hits
        time.sleep(0.2)
        assert target.hits <= hits + 1  # One may have been on its way.


@pytest.mark.slow
def test_a_load_host_that_is_killed_is_reported_lost(rig):
    with shop() as target:
        one = rig(url=target.url)
        one.host.start(40_000, None)
        one.buckets(lambda b: total(b, "good") >= 3)
        os.kill(one.host.pid, signal.SIGKILL)
        assert "-9" in one.lost().detail


def broken(code):
    return f"from locust import HttpUser, task\nimport sys\n{code}\n"


USER = "class U(HttpUser):\n    @task\n    def t(self):\n        self.client.get('/')\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("import nosuchmodule\n", "line 1: ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("def broken(:\n", "SyntaxError"),
        (broken("sys.exit(7)"), "line 3: it ended with 7 while it was imported"),
        (broken("raise RuntimeError('two\\nlines')"), "line 3: RuntimeError: two lines"),
        (broken("import os; os._exit(5)"), "ended with 5"),
        ("x = 1\n", "No User class found"),
    ],
)
def test_a_profile_that_cannot_be_run_is_refused_in_one_clear_line(rig, profile, words):
    one = rig(profile, arm=False)
    with pytest.raises(Refused, match=r"load profile profile.py: ") as refused:
        one.host.arm(GIVE_UP_S)
    assert words.lower() in str(refused.value).lower()
    assert "\n" not in str(refused.value).strip()
    assert "locust -f profile.py" in refused.value.todo


@pytest.mark.slow
@pytest.mark.parametrize("code", ["raise RuntimeError('no account')", "import sys; sys.exit(1)"])
def test_a_profile_whose_users_do_not_start_is_lost_with_its_reason(rig, code):
    profile = broken(USER + f"    def on_start(self):\n        {code}\n")
    with shop() as target:
        one = rig(profile, url=target.url)
        one.host.start(40_000, None)
        lost = one.lost()
    assert "on_start" in lost.detail
    assert "\n" not in lost.detail


def test_a_profile_that_was_edited_since_the_plan_was_read_is_refused(tmp_path):
    rig = Rig(tmp_path, GOOD, "http://127.0.0.1:9")
    (tmp_path / "profile.py").write_text("raise SystemExit('this would have run')")
    with pytest.raises(Refused, match="the plan was made with"):
        rig.host.arm(GIVE_UP_S)
    (tmp_path / "profile.py").unlink()
    with pytest.raises(Refused, match="cannot be read"):
        rig.host.arm(GIVE_UP_S)
    assert not (tmp_path / "load" / "locust.log").exists()


@pytest.mark.parametrize(
    ("before", "after"), [("pass", 3000), ("gc.set_threshold(5000, 5, 5)", 5000), ("gc.disable()", 700)]
)
def test_the_collector_is_spared_unless_the_file_has_a_mind_of_its_own(before, after):
    code = f"import gc; from gameday.hosts import loadhost; {before}; loadhost._spare_the_collector()"
    code += "; print(gc.get_threshold()[0], gc.get_freeze_count() > 0)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == [str(after), "True"]
