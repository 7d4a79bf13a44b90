"""Every read and every check of a drill, and no write. Its result can never count as a pass."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.load import LoadHost
from gameday.hosts.probes import ProbeCrew
from gameday.plan.model import Plan
from gameday.plan.policy import Policy
from gameday.runner.crew import ActionHosts, configuration_of
from gameday.runner.preflight import BAD, OK, Check, LookHost, monitoring
from gameday.runner.ready import make_ready


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Whether a drill could start now, and what was looked at."""

    ready: bool
    lines: tuple[str, ...]


def rehearse(plan: Plan, project: Path, policy: Policy | None = None) -> Rehearsal:
    """Do all that a drill does before its first write, and read every probe that does not write.

    What is found is judged by the run's own rules: a rehearsal that is ready is a run that would start.

    Raises:
        PlanError: The policy file is wrong.
        Refused: The policy, a lever or the target says no, or something cannot be armed.
    """
    with ExitStack() as stack:
        what = f"rehearsal of {plan.source}"
        ready = make_ready(plan, project, policy, stack, operator="rehearsal", run=what)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gameday-rehearsal-")))
        found = ready.found
        told = configuration_of(found.values, folder)
        hosts = ActionHosts(
            found.plan,
            log_dir=folder,
            configuration=told,
            clock=RunClock(),
            inbox=new_inbox(),
            project=project,
        )
        stack.callback(hosts.close)
        look = LookHost(found.plan, log_dir=folder, configuration=told, spawner=hosts.spawner)
        stack.callback(look.close)
        hosts.wait_armed()
        armed = f"{sum(1 for _ in hosts)} can be armed, undos among them"
        checks = [*ready.checks, Check("action hosts", OK, armed)]
        checks += look.look()
        checks += _try_loads(found.plan, project, folder)
        crew = ProbeCrew(
            found.plan.probes,
            run="rehearsal",
            clock=RunClock(),
            inbox=new_inbox(),
            log_dir=folder,
            configuration=told,
            spawner=hosts.spawner,
        )
        stack.callback(crew.stop, 2.0)
        checks += monitoring(found.plan, crew, ready.rules)
    return Rehearsal(all(check.state != BAD for check in checks), tuple(map(str, checks)))


def _try_loads(plan: Plan, project: Path, folder: Path) -> list[Check]:
    checks = []
    for load in plan.load:
        alone = replace(
            load, processes=1, workers=0
        )  # The file is tried here; workers are not needed for it.
        host = LoadHost(
            alone, project=project, folder=folder / load.name, clock=RunClock(), inbox=new_inbox()
        )
        try:
            host.arm(30.0)
            checks.append(Check("generator", OK, f"{load.profile} can be run; no request was sent"))
        finally:
            host.close()
    return checks
