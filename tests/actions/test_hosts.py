"""Fault processes and action hosts: a host that ends leaves the fault, one that is killed leaves it findable."""

from __future__ import annotations

import json
import queue
import time

import pytest

from gameday.actions import faults
from gameday.history.events import Effect, StepEnded, UndoEnded
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.worker import ActionHost, Job
from gameday.plan.catalogue import derive
from gameday.plan.model import NS, Activity
from tests.actions.conftest import wait


def activity(module, func, arguments):
    provider = {"type": "python", "module": module, "func": func, "arguments": arguments}
    return Activity(func, json.dumps(provider), 20 * NS)


@pytest.fixture
def hosts(tmp_path):
    """Action hosts for one fault, as a runner has them."""
    made = []

    def make(job):
        inbox = new_inbox()
        host = ActionHost(
            job.role,
            (job,),
            log=tmp_path / f"{job.role}.log",
            configuration={},
            clock=RunClock(),
            inbox=inbox,
        )
        made.append(host)
        host.wait_armed(30)
        return host, inbox

    yield make
    for host in made:
        host.close()


def jobs(name):
    do = activity(
        "gameday.actions.pressure", "cpu", {"percent": 10, "processes": 1, "name": name, "ttl_s": 60}
    )
    found = derive(do)
    module, _, func = found.undo.rpartition(".")
    undo = activity(module, func, found.undo_with)
    module, _, func = found.in_place.rpartition(".")
    in_place = activity(module, func, found.in_place_with)
    return Job("1-cpu", "do", do, in_place), Job("1-cpu", "undo", undo, in_place)


def answer(inbox, kind):
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        try:
            _, event = inbox.get(timeout=1)
        except queue.Empty:
            continue
        if isinstance(event, kind):
            return event
    raise AssertionError("no answer")


def undone(hosts, job):
    host, inbox = hosts(job)
    host.go(job.step, "undo")
    return answer(inbox, UndoEnded)


def test_the_fault_outlives_its_host_and_is_undone_by_another(hosts, unique):
    do, undo = jobs(unique)
    host, inbox = hosts(do)
    host.go(do.step, "do")
    ended = answer(inbox, StepEnded)
    assert (ended.effect, ended.in_place) == (Effect.HAPPENED, True)
    host.close()
    wait(lambda: not faults.procs.state_of((host.pid, host.start_ticks)), what="the host's end")
    assert faults.workers(unique)
    assert undone(hosts, undo).undone
    assert not faults.workers(unique)
    assert undone(hosts, undo).undone, "an undo twice is harmless"


def test_an_action_killed_while_it_starts_its_fault_is_undone(hosts, unique):
    do, undo = jobs(unique)
    host, inbox = hosts(do)
    host.go(do.step, "do")
    wait(lambda: faults.workers(unique), what="the fault's process")
    host.kill(0)
    ended = answer(inbox, StepEnded)
    assert ended.effect in (Effect.INDETERMINATE, Effect.HAPPENED)
    assert undone(hosts, undo).undone
    assert not faults.workers(unique)


def test_a_second_one_of_that_name_is_refused_and_the_first_stays_owed(hosts, unique):
    do, undo = jobs(unique)
    host, inbox = hosts(do)
    host.go(do.step, "do")
    answer(inbox, StepEnded)
    before = faults.workers(unique)
    host.go(do.step, "do")
    again = answer(inbox, StepEnded)
    assert (again.effect, again.in_place) == (Effect.HAPPENED, True)
    assert "in place already" in again.detail
    assert faults.workers(unique) == before
    assert undone(hosts, undo).undone
