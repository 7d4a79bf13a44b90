"""Locust files that go wrong in every way: each ends in one clear line, never in a pass, never in a hang."""

from __future__ import annotations

import os
import time

import pytest

from gameday.errors import Refused
from gameday.history.events import LoadReported
from gameday.hosts import loadguard
from gameday.hosts.loadbuckets import ENDPOINTS_MAX, OTHER, Buckets
from gameday.hosts.loadclients import kind_of
from tests.hosts.shop import shop
from tests.hosts.test_load_host import GIVE_UP_S, USER, broken, of, rig, total

__all__ = ["rig"]
slow = pytest.mark.slow
LATER = """
STARTED = []
class U(HttpUser):
    def on_start(self):
        STARTED.append(1)
        if len(STARTED) > 1:
            raise RuntimeError('no account left')
    @task
    def t(self):
        self.client.get('/')
        import gevent
        gevent.sleep(0.1)
"""


def reported(one, state):
    events = one.events(lambda found: any(isinstance(e, LoadReported) and e.state == state for e in found))
    assert "\n" not in events[-1].detail
    return events[-1].detail, of(events)


@slow
@pytest.mark.parametrize("loop", [{"rate_per_1000s": 40_000}, {"rate_per_1000s": None, "users": 3}])
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import sys; sys.exit(4)", "line 6: a task called sys.exit(4)"),
        ("import os; os._exit(5)", "it ended with 5"),
        ("import os; os.kill(os.getpid(), 11)", "it ended with -11"),
        ("self.environment.runner.quit()", "its code stopped Locust"),
        ("self.environment.runner.stop()", "its code stopped Locust"),
    ],
)
def test_a_task_that_ends_the_process_is_said(rig, body, words, loop):
    with shop() as target:
        one = rig(
            broken(f"class U(HttpUser):\n    @task\n    def t(self):\n        {body}\n"),
            url=target.url,
            **loop,
        )
        one.host.start(loop["rate_per_1000s"], loop.get("users"))
        assert words in reported(one, "lost")[0]


@slow
def test_users_that_do_not_start_make_a_smaller_load_and_it_is_said(rig):
    with shop() as target:
        one = rig(broken(LATER), url=target.url, rate_per_1000s=None, users=4)
        one.host.start(None, 4)
        detail, buckets = reported(one, "short")
        assert "a user ended in on_start: line 9: RuntimeError: no account left" in detail
        buckets += one.buckets(lambda b: total(b, "good") > 5)
    assert sum(count for b in buckets for kind, count in b.errors if kind == "on-start") == 3


@slow
def test_a_rate_goes_on_with_the_users_that_start(rig):
    """The pool tries again, and each failure counts, for it may be the target that refuses them."""
    with shop() as target:
        one = rig(broken(LATER), url=target.url, rate_per_1000s=5_000)
        one.host.start(5_000, None)
        buckets = one.buckets(lambda b: total(b, "good") > 10 and total(b, "bad") > 9)
    assert {kind for b in buckets for kind, _ in b.errors} == {"on-start"}
    assert {name for b in buckets for name, _, bad, _ in b.endpoints if bad} == {"(on_start)"}


@slow
def test_a_task_that_raises_counts_as_a_failure(rig):
    with shop() as target:
        one = rig(broken(USER.replace("self.client.get('/')", "{}['x']")), url=target.url)
        one.host.start(40_000, None)
        buckets = one.buckets(lambda b: total(b, "bad") > 5)
    assert {kind for b in buckets for kind, _ in b.errors} == {"exception"}


@slow
def test_users_that_make_no_request_leave_their_mark(rig):
    """Arrivals start and nothing ends: the finding over such buckets is `no request was made`."""
    with shop() as target:
        one = rig(broken("class U(HttpUser):\n    @task\n    def t(self):\n        pass\n"), url=target.url)
        one.host.start(40_000, None)
        buckets = one.buckets(lambda b: total(b, "started") > 40)
    assert total(buckets, "good") == total(buckets, "bad") == 0
    assert buckets[-1].waiting <= 10


@slow
def test_a_file_that_prints_without_end_fills_neither_pipe_nor_disk(rig, monkeypatch):
    code = USER.replace("self.client.get('/')", "print('x' * 9_000_000)\n        self.client.get('/')")
    with shop() as target:
        one = rig(broken(code), url=target.url)
        one.host.start(40_000, None)
        one.buckets(lambda b: total(b, "good") > 60)
        log = one.host._folder / "locust.log"
        assert log.stat().st_size < 4 * loadguard.LOG_MAX
        assert b"the rest is not kept" in log.read_bytes()


@slow
def test_a_file_that_leaks_memory_is_stopped_at_the_limit(rig):
    code = USER.replace("self.client.get('/')", "HELD.append(bytearray(b'x') * 50_000_000)")
    with shop() as target:
        one = rig(broken("HELD = []\n" + code), url=target.url)
        one.host.start(40_000, None)
        assert "of memory, and a generator may use" in reported(one, "lost")[0]


@slow
def test_a_file_that_lets_nothing_else_run_is_not_waited_for(rig):
    code = USER.replace("self.client.get('/')", "[None for _ in iter(int, 1)]")
    with shop() as target:
        one = rig(broken(code), url=target.url)
        one.host.start(40_000, None)
        began_s = time.monotonic()
        detail, _ = reported(one, "lost")
    assert "line 6: its code let nothing else run for 10 s" in detail
    assert time.monotonic() - began_s < 25


@slow
def test_a_blocked_file_ends_with_its_runner(rig):
    code = USER.replace("self.client.get('/')", "[None for _ in iter(int, 1)]")
    with shop() as target:
        one = rig(broken(code), url=target.url)
        one.host.start(40_000, None)
        time.sleep(0.5)
        os.close(one.host._commands)  # What the death of the runner does.
        one.host._commands = -1
        began_s = time.monotonic()
        assert "it ended with 0" in reported(one, "lost")[0]
    assert time.monotonic() - began_s < 2


@slow
def test_a_run_of_its_own_cannot_have_a_rate(rig):
    code = "from locust import User\nclass U(User):\n    def run(self):\n        pass\n"
    one = rig(broken(code), arm=False)
    with pytest.raises(Refused, match="U has a run\\(\\) of its own, which no rate can be put on"):
        one.host.arm(GIVE_UP_S)


def read(pipe):
    import json  # noqa: PLC0415

    return [json.loads(line) for line in os.read(pipe, 1 << 20).splitlines()]


def test_a_full_stream_loses_no_count_and_blocks_nobody():
    pipe, outlet = os.pipe()
    buckets = Buckets(outlet, "l", 0)
    note = buckets.listener(lambda: None, kind_of, None)
    sent = 0
    while not buckets._backlog:
        for _ in range(100):
            note(request_type="GET", name=f"/{sent}", response_time=0.01 * sent)
            sent += 1
        buckets.flush()
    for _ in range(50):
        note(request_type="GET", name="/", response_time=None, exception=TimeoutError("timed out"))
        buckets.flush()
    os.set_blocking(pipe, False)
    text = b""
    for _ in range(200):
        try:
            text += os.read(pipe, 1 << 20)
        except BlockingIOError:
            buckets.flush()
    import json  # noqa: PLC0415

    slices = [json.loads(line)["bucket"] for line in text.splitlines()]
    assert sum(b["good"] for b in slices) == sent
    assert sum(b["bad"] for b in slices) == 50
    assert sum(n for b in slices for kind, n in b["errors"] if kind == "timeout") == 50
    names = {name for b in slices for name, *_ in b["endpoints"]}
    assert len(names) == ENDPOINTS_MAX + 1
    assert OTHER in names


def test_what_has_no_answer_is_counted_by_its_age():
    pipe, outlet = os.pipe()
    buckets = Buckets(outlet, "l", 0)
    waiting = buckets.waiting

    class Greenlet:
        dead = False

    one, two, three = Greenlet(), Greenlet(), Greenlet()
    now_s = time.perf_counter()
    waiting.queue.append(now_s - 2)
    waiting.arrivals |= {one: now_s - 4, three: now_s}
    waiting.sent |= {one: now_s - 1, two: now_s - 8}
    three.dead = True
    buckets.flush()
    item = read(pipe)[0]["bucket"]
    assert item["waiting"] == 3
    assert item["errors"] == [["stopped", 1]]
    from gameday.history.histogram import index_of  # noqa: PLC0415

    assert [index >> 3 for index, _ in item["ages"]] == [index_of(s * 10**6 + 10**3) >> 3 for s in (2, 4, 8)]


def test_indices_are_those_of_the_house():
    from gameday.history.histogram import index_of  # noqa: PLC0415

    pipe, outlet = os.pipe()
    buckets = Buckets(outlet, "l", 0)
    note = buckets.listener(lambda: None, kind_of, None)
    values = [0, 1, 2, 3, 127, 128, 129, 255, 256, 999, 1000, 123456, 10**7, 3 * 10**8]
    for us in values:
        note(request_type="GET", name="/", response_time=us / 1000 + 1e-9)
    buckets.flush()
    assert read(pipe)[0]["bucket"]["latency"] == [[i, n] for i, n in sorted(_count(map(index_of, values)))]


def _count(indices):
    import collections  # noqa: PLC0415

    return collections.Counter(indices).items()
