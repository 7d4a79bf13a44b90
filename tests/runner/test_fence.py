"""Whoever takes over kills what the hosts left, also where host and runner died together."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import pytest

from gameday.history.events import Effect, HostStarted, KillAsked, StepEnded, StepStarted
from gameday.history.record import Record, Trace
from gameday.hosts.clock import RunClock
from gameday.procfs import boot_id
from gameday.hosts.inbox import new_inbox
from gameday.hosts.processes import is_alive
from gameday.procfs import start_ticks
from gameday.plan.model import StepKind
from gameday.runner.crew import ActionHosts
from gameday.runner.fence import kill_hosts
from tests.drills import ROOT
from tests.engine.world import fault, plan
from tests.hosts.test_action_host import activity, pid_in, until


def trace(*events, actor="runner"):
    return Trace(tuple(Record(n, n, "", actor, event) for n, event in enumerate(events)))


class Rig:
    """The hosts of a plan whose two steps of one runbook share a host."""

    def __init__(self, folder, *actions):
        book = {"undo": None, "in_place": None, "kind": StepKind.FAILOVER, "runbook": "r.yaml"}
        steps = [
            replace(fault(f"s{n}", n), do=action, id=f"s{n}", **book) for n, action in enumerate(actions)
        ]
        self.plan = plan(*steps)
        self.inbox = new_inbox()
        self.hosts = ActionHosts(
            self.plan, log_dir=folder, configuration={}, clock=RunClock(), inbox=self.inbox
        )
        self.hosts.wait_armed()
        (self.host,) = self.hosts

    def die(self):
        """The host dies at once, as with its runner, and nobody sees to what it started."""
        os.kill(self.host.pid, signal.SIGKILL)
        until(lambda: not is_alive(self.host.pid, self.host.start_ticks))


@pytest.fixture
def rig(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    made, pids = [], []

    def make(*actions):
        made.append(Rig(tmp_path, *actions))
        return made[-1]

    yield make, pids
    for one in made:
        one.hosts.close()
    for pid in pids:
        if start_ticks(pid) is not None:
            os.kill(pid, signal.SIGKILL)


def stray(tmp_path, name, **more):
    return activity("starts_a_stray", pid_file=str(tmp_path / name), **more)


def alive(pid):
    return is_alive(pid, start_ticks(pid) or 0)


def test_what_left_the_session_of_a_dead_host_is_found_and_what_ended_by_itself_stays(rig, tmp_path):
    make, pids = rig
    one = make(stray(tmp_path, "service", then_hang=False), stray(tmp_path, "stray"))
    started = one.host.started()
    one.host.go("s0", "do")
    ended = one.inbox.get(timeout=20)[1]
    assert ended.effect is Effect.HAPPENED
    one.host.go("s1", "do")
    service, child = pid_in(tmp_path / "service"), pid_in(tmp_path / "stray")
    pids += [service, child]
    one.die()
    history = trace(started, StepStarted("s0"), ended, StepStarted("s1"))
    other_boot = replace(started, boot_id="another")
    kill_hosts(one.plan, trace(other_boot, *(r.event for r in history.records[1:])))
    assert alive(child), "recorded on another boot: that pid and that marker say nothing here"
    kill_hosts(one.plan, history)
    until(lambda: not alive(child), "what the dead host had started lives on")
    assert alive(service), "what an ended step left running on purpose is not the run's to kill"


@pytest.mark.slow
def test_a_step_that_was_being_killed_is_killed_again(rig, tmp_path):
    make, pids = rig
    one = make(stray(tmp_path, "stray"))
    one.host.go("s0", "do")
    child = pid_in(tmp_path / "stray")
    pids.append(child)
    one.die()
    ended = StepEnded("s0", Effect.INDETERMINATE)
    kill_hosts(one.plan, trace(one.host.started(), StepStarted("s0"), KillAsked("s0", "do", "halt"), ended))
    until(lambda: not alive(child), "the kill that the runner had begun was not finished")


@pytest.mark.slow
def test_a_host_that_was_replaced_after_the_last_record_is_found_by_its_family(rig, tmp_path):
    make, _ = rig
    one = make(stray(tmp_path, "stray"))
    recorded = one.host.started()
    one.host.respawn()
    one.host.wait_armed(20)
    new = one.host.started()
    assert new.pid != recorded.pid
    kill_hosts(one.plan, trace(recorded))
    until(lambda: not is_alive(new.pid, new.start_ticks), "the new host lives on")


def test_a_hostile_history_kills_nobody_else():
    """Markers and pids of a history are text that somebody may have edited."""
    started = [
        HostStarted("s", "action", pid, ticks, boot_id(), marker)
        for pid, ticks in ((os.getpid(), 1), (1, 0), (0, 0), (-1, 0), (os.getppid(), 1))
        for marker in ("", "x", "[0-9a-f]{16}", "-" * 16, ".*" * 8)
    ]
    began = time.monotonic()
    kill_hosts(plan(), trace(*started))
    assert time.monotonic() - began < 10
