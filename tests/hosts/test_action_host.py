"""An action host answers each `go` exactly once, whatever becomes of it, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import queue
import signal
import time

import pytest

from gameday.errors import Refused
from gameday.history.events import Effect, HostStarted, StepEnded, UndoEnded
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.processes import end_all, is_alive, kill_session, members
from gameday.procfs import start_ticks
from gameday.hosts.worker import ActionHost, Job
from gameday.plan.model import NS, Activity
from tests.drills import ROOT

GIVE_UP_S = 20.0


def activity(func, module="tests.hosts.naughty", timeout_s=10.0, **arguments):
    provider = {"type": "python", "module": module, "func": func, "arguments": arguments}
    return Activity(func, json.dumps(provider), int(timeout_s * NS))


def program(*argv, timeout_s=10.0):
    provider = {"type": "process", "path": argv[0], "arguments": list(argv[1:])}
    return Activity(argv[0], json.dumps(provider), int(timeout_s * NS))


class Rig:
    """A host and its inbox."""

    def __init__(self, folder, *jobs):
        self.inbox = new_inbox()
        self.clock = RunClock()
        self.host = ActionHost(
            "h",
            tuple(jobs),
            log=folder / "host.log",
            configuration={},
            clock=self.clock,
            inbox=self.inbox,
            cwd=ROOT,
        )

    def armed(self):
        self.host.wait_armed(GIVE_UP_S)
        return self

    def answer(self):
        """The next answer; the start of another host is none."""
        while True:
            _, event = self.inbox.get(timeout=GIVE_UP_S)
            if not isinstance(event, HostStarted):
                return event

    def once(self):
        """The answer, and proof that no second one follows it."""
        event = self.answer()
        with pytest.raises(queue.Empty):
            while True:
                assert isinstance(self.inbox.get(timeout=0.1)[1], HostStarted)
        return event


@pytest.fixture
def rig(tmp_path):
    made = []

    def make(*jobs):
        made.append(Rig(tmp_path, *jobs))
        return made[-1]

    yield make
    for one in made:
        one.host.kill(0)
        one.host.close()


def do(activity, in_place=None):
    return Job("s", "do", activity, in_place)


def until(is_so, what=""):
    give_up_s = time.monotonic() + GIVE_UP_S
    while not is_so():
        assert time.monotonic() < give_up_s, what
        time.sleep(0.005)


def pid_in(path):
    until(lambda: path.exists() and path.read_text())
    return int(path.read_text())


def is_gone(pid):
    ticks = start_ticks(pid)
    return ticks is None or not is_alive(pid, ticks)


@pytest.mark.parametrize(
    ("func", "detail"),
    [
        ("raises", "no"),
        pytest.param("exits", "0", marks=pytest.mark.slow),
        ("dies", "ended with 7"),
        pytest.param("kills_itself", "ended by SIGKILL", marks=pytest.mark.slow),
    ],
)
def test_an_action_that_ends_badly_is_indeterminate(rig, func, detail):
    one = rig(do(activity(func))).armed()
    one.host.go("s", "do")
    event = one.once()
    assert isinstance(event, StepEnded)
    assert event.effect is Effect.INDETERMINATE
    assert detail in event.detail
    one.host.go("s", "do")  # And the next `go` is answered as well, by a new host if need be.
    assert one.once().effect is Effect.INDETERMINATE


@pytest.mark.parametrize(
    "func",
    [
        "works",
        "prints_garbage",
        pytest.param("writes_into_every_pipe", marks=pytest.mark.slow),
        "forks_and_returns_twice",
    ],
)
def test_whatever_an_action_prints_or_forks_there_is_one_answer(rig, func):
    one = rig(do(activity(func))).armed()
    for _ in range(2):
        one.host.go("s", "do")
        event = one.once()
        assert isinstance(event, StepEnded)
        assert (event.effect, event.detail) == (Effect.HAPPENED, "")


def test_the_read_back_decides_what_became_of_an_action_that_raised(rig, tmp_path):
    path = str(tmp_path / "thing")
    one = rig(do(activity("raises"), activity("exists", path=path))).armed()
    one.host.go("s", "do")
    event = one.answer()
    assert (event.effect, event.in_place) == (Effect.DID_NOT_HAPPEN, False)
    (tmp_path / "thing").touch()
    one.host.go("s", "do")
    event = one.answer()
    assert (event.effect, event.in_place) == (Effect.HAPPENED, True)
    assert 0 < event.began_ns <= event.read_back_ns <= one.clock.now_ns()


@pytest.mark.slow
def test_a_read_back_that_says_nothing_proves_nothing(rig):
    one = rig(do(activity("works"), activity("no_answer"))).armed()
    one.host.go("s", "do")
    event = one.answer()
    assert event.in_place is None
    assert "neither true nor false" in event.detail


@pytest.mark.slow
def test_an_undo_is_done_when_its_read_back_says_so(rig, tmp_path):
    (tmp_path / "thing").touch()
    job = Job("s", "undo", activity("works", timeout_s=0.5), activity("exists", path=str(tmp_path / "thing")))
    one = rig(job).armed()
    one.host.go("s", "undo")
    event = one.answer()
    assert isinstance(event, UndoEnded)
    assert not event.undone
    assert "still in place" in event.detail
    (tmp_path / "thing").unlink()
    one.host.go("s", "undo")
    assert one.answer().undone


def test_a_program_that_fails_did_not_simply_happen(rig):
    one = rig(do(program("/bin/false"))).armed()
    one.host.go("s", "do")
    event = one.once()
    assert event.effect is Effect.INDETERMINATE
    assert "exit 1" in event.detail


def test_a_hanging_action_is_killed_with_its_stray_grandchildren(rig, tmp_path):
    pid_file = tmp_path / "pid"
    one = rig(do(activity("starts_a_stray", pid_file=str(pid_file)))).armed()
    one.host.go("s", "do")
    stray = pid_in(pid_file)
    assert os.getsid(stray) == stray  # In a session of its own: only its mark finds it.
    one.host.kill(0)
    assert one.once().effect is Effect.INDETERMINATE
    until(lambda: is_gone(stray), "the stray lives on")


@pytest.mark.slow
def test_what_an_ended_action_started_on_purpose_stays(rig, tmp_path):
    pid_file = tmp_path / "pid"
    one = rig(do(activity("starts_a_stray", pid_file=str(pid_file), then_hang=False))).armed()
    one.host.go("s", "do")
    assert one.answer().effect is Effect.HAPPENED
    service = pid_in(pid_file)
    one.host.close()
    assert not is_gone(service)
    os.kill(service, signal.SIGKILL)


@pytest.mark.slow
def test_a_child_that_holds_the_pipe_does_not_hide_the_end_of_its_host(rig, tmp_path):
    pid_file = tmp_path / "pid"
    one = rig(do(activity("forks_and_lives_on", pid_file=str(pid_file)))).armed()
    one.host.go("s", "do")
    assert one.answer().effect is Effect.HAPPENED
    child = pid_in(pid_file)
    os.kill(one.host.pid, signal.SIGKILL)
    one.host.go("s", "do")
    assert isinstance(one.answer(), StepEnded)
    end_all(child, grace_s=0)
    os.kill(child, signal.SIGKILL)


@pytest.mark.slow
def test_sigterm_first_and_sigkill_after_the_grace(rig, tmp_path):
    started, tidied = tmp_path / "started", tmp_path / "tidied"
    one = rig(do(activity("tidies_up_on_sigterm", started=str(started), tidied=str(tidied)))).armed()
    one.host.go("s", "do")
    until(started.exists)
    one.host.kill(5 * NS)
    assert one.once().effect is Effect.INDETERMINATE
    assert tidied.exists()


@pytest.mark.slow
@pytest.mark.parametrize("func", ["ignores_sigterm", "hangs", "holds_the_interpreter_lock"])
def test_nothing_outlives_the_grace(rig, tmp_path, func):
    started = tmp_path / "started"
    one = rig(do(activity(func, started=str(started)))).armed()
    one.host.go("s", "do")
    until(started.exists)
    pid = one.host.pid
    began_s = time.monotonic()
    one.host.kill(NS // 20)
    assert time.monotonic() - began_s < 0.5  # It never waits.
    event = one.once()
    assert event.effect is Effect.INDETERMINATE
    assert time.monotonic() - began_s < 5.0
    assert is_gone(pid)


def test_a_host_killed_from_outside_is_replaced_at_the_next_go(rig, tmp_path):
    started = tmp_path / "started"
    one = rig(do(activity("hangs", started=str(started))), Job("t", "do", activity("works"), None)).armed()
    one.host.go("s", "do")
    until(started.exists)
    first = one.host.pid
    os.kill(first, signal.SIGKILL)
    assert "SIGKILL" in one.once().detail
    one.host.go("t", "do")
    _, event = one.inbox.get(timeout=GIVE_UP_S)
    assert isinstance(event, HostStarted)  # Recorded, so that a watchdog can find the new one.
    assert event.pid == one.host.pid != first
    assert one.once().effect is Effect.HAPPENED


@pytest.mark.slow
def test_respawn_arms_a_new_host_ahead_of_its_go(rig, tmp_path):
    started = tmp_path / "started"
    one = rig(do(activity("hangs", started=str(started))), Job("t", "do", activity("works"), None)).armed()
    one.host.go("s", "do")
    until(started.exists)
    one.host.kill(0)
    one.host.respawn()
    one.host.wait_armed(GIVE_UP_S)
    one.host.go("t", "do")
    answers = [one.answer(), one.answer()]
    assert {(e.step, e.effect) for e in answers} == {("s", Effect.INDETERMINATE), ("t", Effect.HAPPENED)}


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (activity("x", module="no.such.module"), "no"),
        pytest.param(
            activity("no_such_function"), "has no function 'no_such_function'", marks=pytest.mark.slow
        ),
        (activity("needs", node="a"), "missing a required argument: 'count'"),
        pytest.param(
            activity("needs", node="a", count=1, color="red"),
            "unexpected keyword argument 'color'",
            marks=pytest.mark.slow,
        ),
        pytest.param(program("/no/such/program"), "/no/such/program", marks=pytest.mark.slow),
        (activity("x", module="tests.hosts.explodes"), "this module exits"),
    ],
)
def test_what_cannot_be_armed_is_refused_in_one_clear_line(rig, made, words):
    one = rig(do(made))
    with pytest.raises(Refused, match="cannot be armed") as refused:
        one.host.wait_armed(GIVE_UP_S)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value).strip()
    assert refused.value.todo


@pytest.mark.slow
def test_a_host_that_is_never_ready_is_refused_in_time(rig):
    one = rig(do(activity("x", module="tests.hosts.sleeps")))
    with pytest.raises(Refused, match="not ready within 0.5 s"):
        one.host.wait_armed(0.5)


@pytest.mark.slow
def test_a_secret_in_an_error_does_not_reach_the_record(rig, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2-hunter2")
    one = rig(do(activity("raises", text="login with hunter2-hunter2 failed\nand password=abc123"))).armed()
    one.host.go("s", "do")
    detail = one.answer().detail
    assert "hunter2" not in detail
    assert "abc123" not in detail
    assert "\n" not in detail


@pytest.mark.slow
def test_a_recorded_session_is_killed_only_if_the_pid_is_still_that_process(rig, tmp_path):
    pid_file = tmp_path / "pid"
    one = rig(do(activity("starts_a_stray", pid_file=str(pid_file)))).armed()
    one.host.go("s", "do")
    stray = pid_in(pid_file)
    pid, ticks = one.host.pid, one.host.start_ticks
    kill_session(pid, ticks - 1)  # As if the pid had been taken by another process since.
    assert is_alive(pid, ticks)
    kill_session(pid, ticks)
    until(lambda: is_gone(stray))
    assert not is_alive(pid, ticks)
    assert list(members(pid)) == []
    assert one.once().effect is Effect.INDETERMINATE


def test_no_session_is_session_0():
    """Under `docker exec` everything, the shell and the runner too, is in what the kernel calls 0."""
    assert list(members(0)) == []


def test_an_undo_that_raised_is_answered_soon_so_that_it_can_be_tried_again(rig):
    """Its read-back is not watched until its whole minute is up: nobody undoes meanwhile."""
    undo = Job("s", "undo", activity("raises", timeout_s=60.0), activity("is_there"))
    began_s = time.monotonic()
    host = rig(undo).armed()
    host.host.go("s", "undo")
    event = host.once()
    assert isinstance(event, UndoEnded) and not event.undone and "no" in event.detail
    assert time.monotonic() - began_s < GIVE_UP_S
