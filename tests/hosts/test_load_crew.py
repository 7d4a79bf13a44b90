"""Several generators of one load: what one loses the others take over, it is said, and none outlives the runner."""

from __future__ import annotations

import os
import signal
import time

import pytest

from gameday.errors import Refused
from gameday.history.loadevents import LoadReported
from gameday.hosts.loadcrew import LoadCrew
from gameday.hosts.shares import later, part_of, remaining, share
from gameday.plan.model import Load
from tests.hosts.generators import Rig, after_death, free_bind, watched_shop, workers

ADDED = [[0, 50_000, None], [60_000, 110_000, None], [0, 20_000, None]]


@pytest.mark.parametrize("total", [0, 1, 7, 60_000, 59_999])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 64])
def test_parts_add_up_and_differ_by_at_most_one(total, count):
    parts = [share(total, place, count) for place in range(count)]
    assert sum(parts) == total
    assert max(parts) - min(parts) <= 1


@pytest.mark.parametrize("count", [1, 3, 5])
def test_a_rate_is_shared_exactly_and_says_which_part_it_is(count):
    parts = [part_of({"rate": 100.001, "max_users": 7}, place, count) for place in range(count)]
    assert sum(round(part["rate"] * 1000) for part in parts) == 100_001
    assert [(part["part"], part["parts"]) for part in parts] == [(n, count) for n in range(count)]
    assert sum(part["max_users"] for part in parts) == 7


def test_who_has_less_than_one_user_is_asked_for_nothing():
    parts = [part_of({"users": 2, "max_users": 2}, place, 3) for place in range(3)]
    assert [part and part["users"] for part in parts] == [1, 1, None]


def test_stages_go_on_where_they_are():
    assert remaining(ADDED, 0) == ADDED
    assert remaining(ADDED[1:], 0) == [[0, 0, None], *ADDED[1:]]
    assert remaining(ADDED, 15_000) == [[0, 65_000, None], [45_000, 110_000, None], [0, 20_000, None]]
    assert remaining(ADDED, 60_000) == [[0, 20_000, None]]
    assert remaining([[10, None, 8]], 5) == [[0, None, 4], [5, None, 8]]
    again = later({"stages": remaining(ADDED, 15_000), "max_users": 1}, ADDED, 45_000 / 1e9)
    assert again["stages"] == [[0, 20_000, None]]
    assert later({"rate": 5.0}, ADDED, 1.0) == {"rate": 5.0}


class Told:
    """In place of a process: what a generator is asked for."""

    def __init__(self, number):
        self.generator, self.asks, self.heard_ns = number, [], 0

    def obey(self, word, ask):
        self.asks.append((word, ask))

    def stop(self):
        self.asks.append(("stop", {}))


def crew_of(tmp_path, **more):
    rig = Rig(tmp_path, "http://127.0.0.1:9", **more)
    told = [Told(number) for number in range(rig.load.processes)]
    rig.crew._hosts, rig.crew._alive = tuple(told), list(told)
    return rig, told


def events(rig):
    return [event for _, event in rig.take(lambda _: rig.inbox.empty())]


def test_a_dead_generators_share_goes_to_the_others_at_once_and_the_last_one_is_the_load(tmp_path):
    rig, told = crew_of(tmp_path, processes=3, max_users=9)
    rig.crew.start(60_000, None)
    assert [host.asks[-1][1]["rate"] for host in told] == [20.0, 20.0, 20.0]
    for host in told:
        rig.crew._reported(host.generator, LoadReported("orders", "running"))
    assert events(rig) == [LoadReported("orders", "running")]  # Said once, when all have answered.
    rig.crew._reported(1, LoadReported("orders", "lost", "it ended with -9"))
    assert [host.asks[-1] for host in (told[0], told[2])] == [
        ("change", {"rate": 30.0, "max_users": 5, "part": 0, "parts": 2}),
        ("change", {"rate": 30.0, "max_users": 4, "part": 1, "parts": 2}),
    ]
    (short,) = events(rig)
    assert short.state == "short"
    assert short.detail == "generator 2 of 3 was lost: it ended with -9; the other 2 take over its share"
    rig.crew._reported(0, LoadReported("orders", "lost", "again"))
    rig.crew._reported(2, LoadReported("orders", "lost", "and again"))
    assert told[2].asks[-1][1]["rate"] == 60.0
    assert [event.state for event in events(rig)] == ["short", "lost"]


def test_users_are_shared_and_taken_over(tmp_path):
    rig, told = crew_of(tmp_path, processes=3, rate_per_1000s=None, users=2)
    rig.crew.start(None, 2)
    assert [[ask.get("users") for _, ask in host.asks] for host in told] == [[1], [1], []]
    rig.crew._reported(0, LoadReported("orders", "lost", "gone"))
    assert [host.asks[-1][0] for host in told[1:]] == ["change", "start"]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_dies_or_hangs_is_said_and_its_rate_goes_on(tmp_path, how):
    with watched_shop() as target:
        rig = Rig(tmp_path, target.url, processes=2)
        rig.crew.arm(60)
        try:
            rig.crew.start(60_000, None)
            assert 42 < rig.steady(20, (0, 1)) < 80
            began_s = rig.now_s()
            os.kill(next(host.pid for _, host in rig.crew.hosts()), how)
            at_s, detail = rig.reported("short")
            assert at_s - began_s < 5.0
            assert detail.startswith("generator 1 of 2 was lost")
            rig.steady(5, (1,))
            assert 42 < rig.steady(20, (1,)) < 80  # Its own part alone is 30.
        finally:
            rig.crew.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [{"rate_per_1000s": 60_000}, {"rate_per_1000s": None, "users": 6}])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_dies_or_hangs_is_said_and_the_others_take_over(tmp_path, kind, how):
    bind = free_bind()
    with watched_shop() as target:
        rig = Rig(tmp_path, target.url, workers=2, bind=bind, **kind)
        with workers(2, bind, rig.profile) as others:
            rig.crew.arm(60)
            try:
                rig.crew.start(kind["rate_per_1000s"], kind.get("users"))
                _, clocks = rig.reported("running")
                assert clocks.startswith("workers: 2, their clocks known within ")
                before = rig.steady(30, (0, 1))
                newest_s = max(e.start_ns for _, e in rig.seen if hasattr(e, "start_ns")) / 1e9
                assert 0 < rig.now_s() - newest_s < 2.0  # Theirs are told in our time.
                began_s = rig.now_s()
                os.kill(others[0].pid, how)
                at_s, detail = rig.reported("short")
                assert at_s - began_s < 5.0
                assert "of 2" in detail and "was lost: it did not answer" in detail
                (left,) = {
                    e.generator for _, e in rig.take(lambda found: len(found) > 10) if hasattr(e, "start_ns")
                }
                rig.steady(10, (left,))
                after = rig.steady(30, (left,))
                assert 0.65 * before < after < 1.5 * before  # Half of it would be the survivor's own part.
                if how is signal.SIGSTOP:  # Let go again it must not come back: others have its share.
                    os.kill(others[0].pid, signal.SIGCONT)
                    assert others[0].wait(10) == 3
            finally:
                rig.crew.close()
            assert others[1].wait(10) == 0


@pytest.mark.slow
def test_a_worker_with_another_file_is_sent_away_and_the_load_refused(tmp_path, monkeypatch):
    bind = free_bind()
    other = tmp_path / "other.py"
    other.write_text("from locust import HttpUser\n\nclass U(HttpUser):\n    pass\n")
    rig = Rig(tmp_path, "http://127.0.0.1:9", workers=1, bind=bind)
    monkeypatch.setattr("gameday.hosts.load.WORKERS_WAIT_S", 8.0)
    with workers(1, bind, other) as (worker,):
        with pytest.raises(
            Refused, match=r"0 of 1 workers came to 127.0.0.2:\d+ within 8 s; worker"
        ) as refused:
            rig.crew.arm(30)
        assert "its profile's SHA-256 begins with" in str(refused.value)
        assert f"gameday load worker --master {bind} --profile profile.py" in refused.value.todo
        assert worker.wait(10) == 3
        assert "its profile's SHA-256 begins with" in worker.stderr.read()
    with workers(1, bind, other, "--sha256", rig.load.profile_sha256) as (worker,):
        assert worker.wait(20) == 3
        assert "its SHA-256 is" in worker.stderr.read()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "count", "who", "stop"),
    [(2, 0, "runner", False), (1, 2, "runner", False), (1, 2, "master", False), (1, 2, "master", True)],
)
def test_no_request_comes_two_seconds_after_the_death_of_runner_or_master(
    tmp_path, processes, count, who, stop
):
    with watched_shop() as target:
        last_s, codes = after_death(tmp_path, target, processes=processes, count=count, who=who, stop=stop)
        assert last_s < 2.0
        assert codes == [3] * count
        seen = len(target.arrivals.at_s)
        time.sleep(1.0)
        assert len(target.arrivals.at_s) == seen


def test_a_crew_of_one_is_a_load_host(tmp_path):
    load = Load("orders", "profile.py", "0" * 64, rate_per_1000s=1)
    rig = Rig(tmp_path, "http://127.0.0.1:9")
    crew = LoadCrew(load, project=tmp_path, folder=tmp_path, clock=rig.clock, inbox=rig.inbox)
    assert [name for name, _ in crew.hosts()] == ["load-orders"]
    assert [name for name, _ in Rig(tmp_path, "", processes=2).crew.hosts()] == [
        "load-orders-1",
        "load-orders-2",
    ]
