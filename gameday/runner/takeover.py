"""Finish the undos of a run whose runner is gone. The watchdog and `gameday recover` share this.

Fence first: the runner, then every process group it recorded, each checked by start time because
pids are reused. Then go on in the same history, with the same engine, from the state it folds to.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gameday.engine.apply import apply
from gameday.engine.state import State, begin
from gameday.errors import GameDayError, HistoryError, Refused
from gameday.history.codec import Roots
from gameday.history.events import Outcome, RunEnded, RunnerLost
from gameday.history.read import read_records
from gameday.history.record import Trace
from gameday.history.redact import NOTHING, Redactor
from gameday.history.store import HistoryWriter
from gameday.hosts.clock import RunClock, utc_text
from gameday.hosts.clockwatch import ClockWatch
from gameday.hosts.inbox import Inbox
from gameday.hosts.processes import kill_session
from gameday.plan.model import Plan
from gameday.plan.stored import plan_digest, read_plan
from gameday.runner.anchor import enter_end
from gameday.runner.control import ControlSocket
from gameday.runner.crew import ActionHosts, Crew
from gameday.runner.desk import Desk
from gameday.runner.fence import kill_hosts
from gameday.runner.loop import Loop
from gameday.runner.machinelease import MachineLease

LOCK_WAIT_S = 3.0


@dataclass(frozen=True, slots=True)
class Rescue:
    """A run to be finished, and the armed hosts to do it with.

    `plan` is the bound plan, `names` what this machine's lease on the target is called.
    """

    run_dir: Path
    plan: Plan
    hosts: ActionHosts
    clock: RunClock
    inbox: Inbox
    redact: Redactor = NOTHING
    names: tuple[str, ...] = ()


def fold(plan: Plan, trace: Trace) -> State:
    """Return the state that a history leads to."""
    state = begin(plan)
    for record in trace.records:
        state = apply(state, record.at_ns, record.event)
    return state


def take_over(rescue: Rescue, *, by: str, reason: str, runner: tuple[int, int] | None) -> State:
    """Kill what is left of the runner, undo what it owes, and close the history.

    Args:
        rescue: The run and the hosts.
        by: `watchdog`, or who asked for the recovery.
        reason: Why the runner is taken for gone.
        runner: Its pid and start time, to be killed first; None when a person says it is gone.

    Raises:
        HistoryError: The history cannot be opened, because somebody still writes it.
    """
    if runner is not None:
        kill_session(*runner, only_leader=True)
    # Before its hosts are killed: while somebody else undoes this run, they are not ours to kill.
    history = _open(rescue.run_dir, rescue.redact)
    lease = MachineLease(rescue.names)
    with suppress(
        Refused
    ):  # It keeps other drills away until all is undone, but never keeps us from undoing.
        lease.take()
    try:
        state = _go_on(rescue, history, by, reason)
    finally:
        lease.release()
        history.close()
    from gameday.runner.conclude import conclude  # noqa: PLC0415 - half a second, when nothing waits any more

    with suppress(GameDayError):  # The faults are gone, which counts; `gameday report` says the rest.
        enter_end(rescue.run_dir, str(conclude(rescue.run_dir).verdict))
    return state


def _go_on(rescue: Rescue, history: HistoryWriter, by: str, reason: str) -> State:
    """Go on from the history's last record to the end, and return how the run stands then."""
    trace = read_records(rescue.run_dir)
    kill_hosts(rescue.plan, trace)
    state = fold(rescue.plan, trace)
    if _is_settled(trace, state):
        return state  # It died after its last record: that run is what it says it is.
    crew = Crew(rescue.plan, clock=rescue.clock, inbox=rescue.inbox, hosts=rescue.hosts)
    desk = Desk(rescue.clock, rescue.inbox)

    def show() -> None:
        desk.state = loop.state

    for host in rescue.hosts:  # Should this take-over die too, whoever comes next can end them.
        history.record(rescue.clock.now_ns(), utc_text(), by, host.started(), sync=False, safe=True)
    loop = Loop(state, history, crew, rescue.clock, rescue.inbox, by, beat=show)
    loop.take(rescue.clock.now_ns(), RunnerLost(by=by, reason=reason))
    watch = ClockWatch(rescue.clock, rescue.inbox)
    watch.start()
    with _listening(rescue, desk):
        state = loop.run()
    watch.stop()
    now_ns = rescue.clock.now_ns()
    history.seal(now_ns, utc_text())
    ended = RunEnded(Outcome.CRASHED, state.stuck, state.failed_over)
    history.record(now_ns, utc_text(), by, ended, sync=True, safe=True)
    return state


def _is_settled(trace: Trace, state: State) -> bool:
    over = any(isinstance(record.event, RunEnded) for record in trace.records)
    return over and not (state.owed or state.stuck or state.running or state.undoing)


@contextmanager
def _listening(rescue: Rescue, desk: Desk) -> Iterator[None]:
    """Let people say what they undid by hand; where no socket can be had, go on without."""
    control = None
    with suppress(GameDayError, OSError):
        control = ControlSocket(rescue.run_dir, rescue.clock, rescue.inbox, desk)
    try:
        yield
    finally:
        if control is not None:
            control.close()


def _open(run_dir: Path, redact: Redactor) -> HistoryWriter:
    roots = Roots(plan_digest(read_plan(run_dir)))
    give_up_s = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            return HistoryWriter(run_dir, roots, redact)
        except HistoryError:
            if time.monotonic() > give_up_s:
                raise
            time.sleep(0.02)
