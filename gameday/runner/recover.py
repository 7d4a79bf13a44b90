"""`gameday recover`: by hand what the watchdog does by itself."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path

from gameday.errors import GameDayError, Refused
from gameday.history.events import HostStarted, RunEnded, RunStarted, TargetsResolved
from gameday.history.read import read_records
from gameday.history.record import Trace
from gameday.hosts.clock import RunClock, wall_ns
from gameday.hosts.inbox import new_inbox
from gameday.hosts.processes import is_alive
from gameday.hosts.secretvalues import from_environment, hidden, redactor, sweep
from gameday.plan.bind import bind
from gameday.plan.experiment import secret_values
from gameday.plan.experimentstep import experiment_in
from gameday.plan.model import Plan
from gameday.plan.stored import read_plan
from gameday.procfs import boot_id
from gameday.runner.arming import names_of
from gameday.runner.crew import ActionHosts, configuration_of
from gameday.runner.drill import RunEnd
from gameday.runner.takeover import Rescue, fold, take_over


def recover(run_dir: Path, runner_is_gone: str | None, *, by: str, project: Path | None = None) -> RunEnd:
    """Finish the undos of a run whose runner died, and return how it stands then.

    Args:
        run_dir: The run's folder.
        runner_is_gone: The name of the person who vouches that the runner is dead; needed when it
            ran on another machine, or before this machine last started.
        by: Who asks.
        project: Where the actions of the project's own are; None for the working folder.

    Raises:
        Refused: The runner is alive, or nobody can tell, or nothing is owed.
    """
    trace = read_records(run_dir)
    started = trace.first(RunStarted)
    found = trace.first(TargetsResolved)
    if started is None or found is None:
        raise Refused(f"the run in {run_dir} ended before it could touch anything; nothing is owed")
    _check_gone(trace, started, runner_is_gone)
    unbound = read_plan(run_dir)
    project = _home(unbound, run_dir, project)
    values = dict(found.values) | from_environment(unbound) | hidden(secret_values(unbound, project))
    plan = bind(unbound, values)
    state = fold(plan, trace)
    over = any(isinstance(r.event, RunEnded) for r in trace.records)
    if over and not (state.owed or state.stuck):
        raise Refused(f"the run in {run_dir} has ended and nothing is left to undo")
    clock = RunClock(_origin(started, trace))
    inbox = new_inbox()
    hosts = ActionHosts(
        plan,
        log_dir=run_dir / "hosts",
        configuration=configuration_of(values, run_dir),
        clock=clock,
        inbox=inbox,
        project=project,
        rescue=True,
    )
    try:
        hosts.wait_armed()
        who = f"{by}; {runner_is_gone} says the runner is gone" if runner_is_gone else by
        redact = redactor(values)
        rescue = Rescue(run_dir, plan, hosts, clock, inbox, redact, _names(found, plan))
        state = take_over(rescue, by="recover", reason=f"asked for by {who}", runner=_runner(trace))
    finally:
        hosts.close()
    sweep(run_dir / "hosts", redact)
    return RunEnd(run_dir, "crashed", state.stuck, state.failed_over, interrupted=False)


def _home(plan: Plan, run_dir: Path, project: Path | None) -> Path:
    """Return the project: where its experiments are, should it have any. They may lie in any folder."""
    here = project or Path.cwd()
    files = [inside["file"] for step in plan.steps if (inside := experiment_in(step.do)) is not None]
    for folder in (here, Path.cwd(), *run_dir.resolve().parents):
        if all((folder / name).is_file() for name in files):
            return folder
    return here


def _names(found: TargetsResolved, plan: Plan) -> tuple[str, ...]:
    """Return what the target's lease is called here; nothing where its address is not found any more."""
    try:
        return names_of(json.loads(found.identity), plan.target.identity_url)
    except GameDayError:
        return ()


def owed_by_hand(run_dir: Path) -> list[str]:
    """Return what people will be asked to undo by hand, with the command to say that it is done."""
    state = fold(read_plan(run_dir), read_records(run_dir))
    names = dict.fromkeys([*(owed.step for owed in state.owed), *state.stuck])
    steps = [state.step(name) for name in names if state.step(name).undo_by_hand]
    return [
        f"BY HAND: undo {step.name}: {step.undo_by_hand}\n"
        f"  then, from another terminal: gameday done {run_dir} --step {step.id} --note TEXT"
        for step in steps
    ]


def _runner(trace: Trace) -> tuple[int, int] | None:
    for record in trace.records:
        event = record.event
        if isinstance(event, HostStarted) and event.role == "runner" and event.boot_id == boot_id():
            return (event.pid, event.start_ticks)
    return None


def _check_gone(trace: Trace, started: RunStarted, runner_is_gone: str | None) -> None:
    elsewhere = started.machine != platform.node() or started.boot_id != boot_id()
    if elsewhere and not runner_is_gone:
        raise Refused(
            f"the run was started on {started.machine}, or before this machine last started",
            todo="When you know that its runner is dead: `gameday recover --runner-is-gone YOUR-NAME`.",
        )
    runner = _runner(trace)
    if runner is not None and runner[0] != os.getpid() and is_alive(*runner) and not runner_is_gone:
        raise Refused(
            f"the runner (process {runner[0]}) is alive",
            todo="Ask it to stop with `gameday halt`; it undoes its own faults.",
        )


def _origin(started: RunStarted, trace: Trace) -> int:
    """Go on with the run's clock; after a restart of the machine, as long after as the wall clocks say."""
    if started.boot_id == boot_id():
        return int(started.origin_boot_ns)
    last = max(trace.records, key=lambda record: record.at_ns)
    since_ns = max(time.time_ns() - wall_ns(last.utc), 0)
    return RunClock().origin_boot_ns - last.at_ns - since_ns
