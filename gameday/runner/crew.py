"""Everything that touches the world during a run, and who carries out which command.

The deciding thread calls `carry_out` and never waits there: hosts answer through the inbox.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from gameday.engine.decide import Decision
from gameday.history.events import (
    Effect,
    KillAsked,
    LedgerAsked,
    PurgeAsked,
    StepEnded,
    StepStarted,
    SyntheticPurged,
    UndoEnded,
    UndoStarted,
)
from gameday.history.loadevents import LoadAsked
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import Inbox
from gameday.hosts.ledgers import Ledgers
from gameday.hosts.loadcrew import LoadCrew
from gameday.hosts.patience import IDLE_S, PREPARING_MOST_S
from gameday.hosts.spawner import Spawner
from gameday.hosts.worker import ActionHost, Job
from gameday.plan.bind import RUN_DIR
from gameday.plan.experimentstep import experiment_in
from gameday.plan.model import Plan, Step, StepKind

_ACTING = (StepKind.FAULT, StepKind.FAILOVER, StepKind.CHANGE)


class ActionHosts:
    """The armed action hosts of a run: one to do and one to undo each fault, one a runbook."""

    def __init__(
        self,
        plan: Plan,
        *,
        log_dir: Path,
        configuration: Mapping[str, str],
        clock: RunClock,
        inbox: Inbox,
        project: Path | None = None,
        rescue: bool = False,
    ) -> None:
        """Spawn the hosts. With `rescue` only those that a watchdog needs: undos and completions.

        All hosts of the spawner, those of probes too, work in the `project` folder.
        """
        self._by_job: dict[tuple[str, str], ActionHost] = {}
        self._hosts: list[ActionHost] = []
        log = log_dir / ("watchdog-forkserver.log" if rescue else "forkserver.log")
        self.spawner = Spawner(log, project)
        for name, jobs in _allot(plan, rescue=rescue).items():
            host = ActionHost(
                name,
                tuple(jobs),
                log=log_dir / f"{name}.log",
                configuration=configuration,
                clock=clock,
                inbox=inbox,
                spawner=self.spawner,
            )
            self._hosts.append(host)
            for job in jobs:
                self._by_job[job.step, job.role] = host

    def __iter__(self) -> Iterator[ActionHost]:
        return iter(self._hosts)

    def wait_armed(self) -> None:
        """Wait until each host has imported and validated what it may have to do.

        Raises:
            Refused: One of them cannot; nothing was injected.
        """
        for host in self._hosts:
            host.wait_armed(IDLE_S, PREPARING_MOST_S)

    def get(self, step: str, role: str) -> ActionHost | None:
        """Return the host of a step's action (`do`) or undo (`undo`)."""
        return self._by_job.get((step, role))

    def close(self) -> None:
        """End every host."""
        for host in self._hosts:
            host.close()
        self.spawner.close()


def configuration_of(values: Mapping[str, str], run_dir: Path) -> dict[str, str]:
    """Return what actions are told beside their arguments: the values found, and where the record is."""
    return {**values, RUN_DIR: str(run_dir.resolve())}


def host_names(plan: Plan, *, rescue: bool) -> dict[tuple[str, str], str]:
    """Return which host does a step's action (`do`) or undo (`undo`)."""
    return {(job.step, job.role): name for name, jobs in _allot(plan, rescue=rescue).items() for job in jobs}


def _allot(plan: Plan, *, rescue: bool) -> dict[str, list[Job]]:
    """Return the jobs of each host. Steps of a runbook run one after another and share a host."""
    prefix = "watchdog-" if rescue else ""
    jobs: dict[str, list[Job]] = {}
    runbooks = list(dict.fromkeys(step.runbook for step in plan.steps if step.runbook))
    for step in plan.steps:
        wanted = step.complete if rescue else step.kind in _ACTING
        if step.do is not None and wanted:
            shared = step.runbook is not None and _alone(plan, step) and experiment_in(step.do) is None
            name = f"runbook-{runbooks.index(step.runbook) + 1}" if shared and step.runbook else step.id
            jobs.setdefault(f"{prefix}{name}", []).append(_job(step, "do"))
        if step.undo is not None:
            jobs.setdefault(f"{prefix}undo-{step.id}", []).append(_job(step, "undo"))
    return jobs


def _alone(plan: Plan, step: Step) -> bool:
    return sum(other.group == step.group for other in plan.steps) == 1


def _job(step: Step, role: str) -> Job:
    activity = step.do if role == "do" else step.undo
    assert activity is not None
    # Only a fault's own action is judged by its read-back; `in_place` of a fail-over step belongs
    # to the undo that it will owe.
    read_back = step.in_place if role == "undo" or step.kind is StepKind.FAULT else None
    return Job(step=step.id, role=role, activity=activity, in_place=read_back)


class Crew:
    """Carries out what the engine decides."""

    def __init__(
        self,
        plan: Plan,
        *,
        clock: RunClock,
        inbox: Inbox,
        hosts: ActionHosts,
        loads: Mapping[str, LoadCrew] | None = None,
        ledgers: Ledgers | None = None,
    ) -> None:
        self._steps = {step.id: step for step in plan.steps}
        self._clock = clock
        self._inbox = inbox
        self._hosts = hosts
        self._loads = dict(loads or {})
        self._ledgers = ledgers

    def carry_out(self, command: Decision) -> None:
        """Hand one recorded command to whoever does it. Never waits."""
        match command:
            case StepStarted():
                self._at_step(command.step)
                self._start(command.step)
            case UndoStarted():
                self._at_step(f"undo of {command.step}")
                self._undo(command.step)
            case KillAsked():
                host = self._hosts.get(command.step, command.role)
                if host is not None:
                    host.kill(self._steps[command.step].grace_ns)
            case LoadAsked():
                self._load(command)
            case LedgerAsked() if self._ledgers is not None:
                self._ledgers.ask(command.occasion, command.resume)
            case PurgeAsked():
                self._purge()
            case _:
                pass

    def _start(self, name: str) -> None:
        if self._steps[name].kind not in _ACTING:
            return
        host = self._hosts.get(name, "do")
        if host is None:
            self._post(StepEnded(name, Effect.DID_NOT_HAPPEN, detail="no host is armed for this step"))
        else:
            host.go(name, "do")

    def _undo(self, name: str) -> None:
        if self._steps[name].undo_by_hand:
            return  # A person does it, and says so at the desk.
        host = self._hosts.get(name, "undo")
        if host is None:
            self._post(UndoEnded(name, undone=False, detail="no host is armed for this undo"))
        else:
            host.go(name, "undo")

    def _at_step(self, step: str) -> None:
        for load in self._loads.values():
            load.at_step(step)

    def _load(self, command: LoadAsked) -> None:
        load = self._loads.get(command.load)
        if load is None:
            return
        match command.ask:
            case "start":
                load.start(command.rate_per_1000s, command.users)
            case "change" | "ease":
                load.change(command.rate_per_1000s, command.users)
            case _:
                load.stop()

    def _purge(self) -> None:
        if self._ledgers is None:
            self._post(SyntheticPurged(0, 0, ok=False, detail="no ledger writer knows how to purge"))
        else:
            self._ledgers.purge()

    def _post(self, event: StepEnded | UndoEnded | SyntheticPurged) -> None:
        self._inbox.put((self._clock.now_ns(), event))
