"""Every read and every check of a drill, and no write. Its result can never count as a pass."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from gameday.history.events import Reading, Sample
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.load import LoadHost
from gameday.hosts.probes import ProbeCrew
from gameday.plan.model import NS, Plan
from gameday.runner.approvals import given_beforehand, terms_of
from gameday.runner.arming import Resolved, resolve
from gameday.runner.crew import ActionHosts
from gameday.runner.lever import Lever

SAMPLE_S = 1.5


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Whether a drill could start now, and what was looked at."""

    ready: bool
    lines: tuple[str, ...]


def rehearse(plan: Plan, project: Path) -> Rehearsal:
    """Do all that a drill does before its first write, and read every probe that does not write.

    Raises:
        Refused: The target is absent or another one, the lever is engaged, or something cannot be armed.
    """
    Lever(project).check()
    papers = given_beforehand(plan, terms_of(plan, project), project, "")
    found = resolve(plan, project)
    frozen = found.targets.targets
    count = f"{len(frozen)} of {found.targets.population} targets: {', '.join(frozen) or 'none'}"
    lines = [f"ok    target is {found.targets.environment}; {count}"]
    lines += [
        f"ok    approved as {p.given.role} by {p.given.principal}, until {p.given.expires_utc}"
        for p in papers
        if p.given.verified
    ]
    clock, inbox = RunClock(), new_inbox()
    with tempfile.TemporaryDirectory(prefix="gameday-rehearsal-") as name:
        folder = Path(name)
        hosts = ActionHosts(found.plan, log_dir=folder, configuration=found.values, clock=clock, inbox=inbox)
        try:
            hosts.wait_armed()
            lines.append(f"ok    {sum(1 for _ in hosts)} action hosts can be armed, undos among them")
            lines += _try_loads(found.plan, project, folder)
        finally:
            hosts.close()
        probes_ready, more = _read_probes(found, folder)
    return Rehearsal(probes_ready, (*lines, *more))


def _try_loads(plan: Plan, project: Path, folder: Path) -> list[str]:
    lines = []
    for load in plan.load:
        host = LoadHost(load, project=project, folder=folder / load.name, clock=RunClock(), inbox=new_inbox())
        try:
            host.arm(30.0)
            lines.append(f"ok    load profile {load.profile} can be run; no request was sent")
        finally:
            host.close()
    return lines


def _read_probes(found: Resolved, folder: Path) -> tuple[bool, list[str]]:
    clock, inbox = RunClock(), new_inbox()
    silent = tuple(probe for probe in found.plan.probes if not probe.writes)
    crew = ProbeCrew(
        silent, run="rehearsal", clock=clock, inbox=inbox, log_dir=folder, configuration=found.values
    )
    slowest_ns = max((probe.every_ns for probe in silent), default=0)
    crew.start()
    time.sleep(min(max(SAMPLE_S, 2 * slowest_ns / NS), 30.0))
    crew.stop(2.0)
    samples: list[Sample] = []
    while not inbox.empty():
        event = inbox.get()[1]
        if isinstance(event, Sample):
            samples.append(event)
    ready, lines = True, []
    for probe in found.plan.probes:
        if probe.writes:
            lines.append(f"skip  probe {probe.name} writes, so it was not tried")
            continue
        mine = [s for s in samples if s.probe == probe.name]
        good = sum(s.reading is Reading.GOOD for s in mine)
        well = bool(mine) and good == len(mine)
        ready = ready and well
        detail = next((s.detail for s in mine if s.detail), "")
        lines.append(
            f"{'ok  ' if well else 'BAD '}  probe {probe.name}: {good} of {len(mine)} good {detail}".rstrip()
        )
    return ready, lines
