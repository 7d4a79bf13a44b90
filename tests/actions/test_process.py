"""Kill, stop, restart: a real process notices, and is brought back."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from gameday import procfs
from gameday.actions import faults, procs, process
from gameday.actions.http import ActionError
from tests.actions.conftest import wait


def service(mark):
    return [sys.executable, "-c", "import time; time.sleep(600)", mark]


@pytest.fixture
def served(unique):
    """A service that runs, and whatever was started in its place, gone at the end."""
    process.start(unique, service(unique))
    yield unique
    for found in procs.find(unique):
        procs.send(found, signal.SIGKILL)


def test_a_killed_process_is_gone_and_is_started_again(served):
    assert not process.is_gone(served)
    before = procs.find(served)
    process.kill(served, start=service(served))
    assert process.is_gone(served)
    process.start(served, start=service(served))
    assert not process.is_gone(served)
    assert procs.find(served) != before
    after = procs.find(served)
    process.start(served, start=service(served))
    assert procs.find(served) == after, "an undo twice starts one service, not two"


def test_a_service_that_an_undo_started_carries_no_mark_of_ours(served, monkeypatch):
    monkeypatch.setenv(faults.HOST_MARKER, "abc.1")
    process.kill(served)
    process.start(served, start=service(served))
    ((pid, _),) = procs.find(served)
    environment = procfs.environment(pid)
    assert not any(item.startswith(b"GAMEDAY_HOST=") for item in environment)
    assert os.getsid(pid) == pid


def test_a_restart_brings_another_process(served):
    before = procs.find(served)
    process.restart(served, start=service(served), grace_s=1.0)
    assert len(procs.find(served)) == 1
    assert procs.find(served) != before


def test_an_undo_waits_for_a_supervisor_and_says_when_none_comes(unique):
    with pytest.raises(ActionError, match="nobody started one"):
        process.start(unique, within_s=0.05)


def test_a_stopped_process_answers_nothing_until_it_goes_on(victim, unique):
    server = victim()
    assert server.ask("1") == "echo 1"
    assert not process.is_stopped(unique)
    process.stop(unique, name=unique)
    wait(lambda: process.is_stopped(unique))
    assert faults.workers(unique), "a timer stands beside it"
    process.resume(unique, name=unique)
    assert not process.is_stopped(unique)
    assert server.ask("2") == "echo 2"
    assert not faults.workers(unique)
    process.resume(unique, name=unique)
    assert server.ask("3") == "echo 3"


def test_a_stop_ends_by_itself_when_everybody_else_is_dead(victim, unique):
    victim()
    process.stop(unique, name=unique, ttl_s=0.3)
    wait(lambda: process.is_stopped(unique))
    wait(lambda: not process.is_stopped(unique), what="the end of its ttl")
    wait(lambda: not faults.workers(unique), what="the end of its timer")
    assert faults.read(unique)["state"] == "undone"


def test_empty_and_larger_targets_are_refused(victim, unique):
    with pytest.raises(ActionError, match="no process matches"):
        process.kill(unique)
    victim()
    victim()
    with pytest.raises(ActionError, match="at most 1 may be touched"):
        process.stop(unique, name=unique)
    assert not process.is_stopped(unique)
    with pytest.raises(ActionError, match="every process"):
        process.kill(" ")


def test_a_reused_pid_gets_no_signal(victim, unique):
    server = victim()
    procs.send((server.pid, server.ticks + 1), signal.SIGKILL)
    assert server.ask("alive") == "echo alive"


def test_the_caller_and_its_parents_are_never_chosen():
    chosen = {pid for pid, _ in procs.find("python|pytest|sh")}
    assert os.getpid() not in chosen
    assert os.getppid() not in chosen
