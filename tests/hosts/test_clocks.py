"""The wall clock is read when asked and when it steps; a run goes on after a restart by what it says."""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass

import pytest

from gameday.history.events import ClockRead, Phase, RunStarted
from gameday.history.record import Record, Trace
from gameday.hosts.clock import RunClock, boot_ns, utc_text, wall_ns
from gameday.hosts.clockwatch import ClockWatch
from gameday.hosts.inbox import new_inbox
from gameday.plan.model import NS
from gameday.procfs import boot_id
from gameday.runner.recover import _origin


@dataclass
class Wall:
    """A wall clock that can be stepped."""

    offset_ns: int = 0


@pytest.fixture
def watched():
    wall, inbox = Wall(), new_inbox()
    watch = ClockWatch(RunClock(), inbox, offset=lambda: wall.offset_ns, every_s=0.02)
    watch.start()
    yield wall, inbox, watch
    watch.stop()


def test_it_is_read_at_the_beginning_when_asked_and_when_it_steps(watched):
    wall, inbox, watch = watched
    first = inbox.get(timeout=5)[1]
    assert isinstance(first, ClockRead)
    assert first.boot_id == boot_id()
    wall.offset_ns = 30_000_000  # Slewed, which is no step.
    with pytest.raises(queue.Empty):
        inbox.get(timeout=0.1)
    wall.offset_ns -= 2 * NS
    assert isinstance(inbox.get(timeout=5)[1], ClockRead)
    watch.in_phase(Phase.BASELINE)
    assert isinstance(inbox.get(timeout=5)[1], ClockRead)
    watch.in_phase(Phase.BASELINE)
    with pytest.raises(queue.Empty):
        inbox.get(timeout=0.1)


def test_utc_text_is_read_back_to_the_nanosecond():
    assert abs(wall_ns(utc_text()) - time.time_ns()) < NS
    assert wall_ns("2026-01-01T00:00:00.000000007Z") == 1_767_225_600_000_000_007
    assert wall_ns("yesterday") == 0


def test_after_a_restart_of_the_machine_the_runs_clock_goes_on_by_the_wall_clock():
    seconds, rest = divmod(time.time_ns() - 60 * NS, NS)
    utc = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"
    started = RunStarted("run", "0" * 64, "5", "another boot", "0", (), "", "")
    origin_ns = _origin(started, Trace((Record(1, 7 * NS, utc, "runner", started),)))
    assert 66 * NS < boot_ns() - origin_ns < 90 * NS
    here = RunStarted("run", "0" * 64, "5", boot_id(), "0", (), "", "")
    assert _origin(here, Trace((Record(1, 7 * NS, utc, "runner", here),))) == 5
