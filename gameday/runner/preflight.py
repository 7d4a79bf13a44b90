"""What is checked before any effect, one clear line each. It fails closed: one `bad` and nothing starts.

Three parts, because they need different things:

* `at_home` needs nothing but this machine: leftovers, disk, clock, credentials, code in the way;
* `of_target` says what arming found out about the target;
* `look_back` and `monitoring` need armed hosts: each fault's own read-back must say that it is not in
  place, and each probe that does not write must be readable.

`gameday plan` shows the first, a rehearsal and a run all of them. A run records them.
"""

from __future__ import annotations

import os
import queue
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.machinery import PathFinder
from pathlib import Path

import gameday
from gameday.errors import Refused
from gameday.history.events import Reading, StepEnded
from gameday.history.policyevents import Preflighted
from gameday.hosts.clock import RunClock
from gameday.hosts.clockbound import read_clock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.patience import IDLE_S, PREPARING_MOST_S
from gameday.hosts.probes import ProbeCrew
from gameday.hosts.spawner import Spawner
from gameday.hosts.stores import Absent, secrets_in
from gameday.hosts.worker import ActionHost, Job
from gameday.plan.lasting import longest_ns
from gameday.plan.model import NS, Plan
from gameday.plan.permit import used, waiver_for
from gameday.plan.policy import Policy, Rule, Rules
from gameday.plan.radius import faults
from gameday.plan.units import as_text
from gameday.runner.arming import Resolved
from gameday.runner.leftovers import leftovers

OK, WARN, BAD, SKIP = "ok", "warn", "bad", "skip"
DISK_FREE_MIN = 200 << 20
DISK_TIMES = 10
SAMPLE_BYTES, BUCKET_BYTES, ENTRY_BYTES, EVENT_BYTES = 160, 500, 600, 600
BUCKETS_PER_S = 10
LOOK_MAX_S = 10.0
EXPIRES = "AWS_CREDENTIAL_EXPIRATION"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `todo` says what to do where it is bad."""

    name: str
    state: str
    detail: str
    todo: str = ""

    def __str__(self) -> str:
        """Return it as one line."""
        mark = "BAD" if self.state == BAD else self.state
        return f"{mark:4}  {self.name}: {self.detail}"


def refuse(checks: Iterable[Check]) -> None:
    """Refuse the start when a check is bad.

    Raises:
        Refused: At least one is; all of them are named.
    """
    bad = [check for check in checks if check.state == BAD]
    if bad:
        lines = "\n    ".join(f"{check.name}: {check.detail}" for check in bad)
        raise Refused(f"preflight:\n    {lines}", todo=next((c.todo for c in bad if c.todo), ""))


def as_event(checks: Iterable[Check]) -> Preflighted:
    """Return the checks as they stand in the history."""
    return Preflighted(tuple((check.name, check.state, check.detail) for check in checks))


# --- what needs this machine alone -----------------------------------------------------------


def at_home(plan: Plan, project: Path, policy: Policy, now: datetime) -> tuple[Check, ...]:
    """Check this machine and this project. Reads files only."""
    rules = policy.rules(plan.target.environment) or Rules()

    return (
        Check("policy", OK, policy.file),
        Check("code", *_shadowed(plan, project)),
        eased(policy, Rule.LEFTOVERS, plan, now, _leftovers(project)),
        eased(policy, Rule.DISK, plan, now, _disk(plan, project, policy)),
        eased(policy, Rule.CLOCK, plan, now, _clock(demanded=rules.synchronised_clock)),
        _credentials(plan, policy, os.environ, now),
        *_ledgers(plan),
    )


def eased(policy: Policy, rule: Rule, plan: Plan, now: datetime, check: Check) -> Check:
    """Return a check as it counts: a waiver turns what is bad into a warning that says who waived it."""
    waiver = waiver_for(policy, rule, plan, now) if check.state == BAD else None
    if waiver is None:
        return check
    return Check(check.name, WARN, f"{check.detail} (waived by {waiver.by}: {waiver.reason})")


def _ledgers(plan: Plan) -> list[Check]:
    """What ledgers take from the environment must be there before anything is begun."""
    checks = []
    for ledger in plan.ledgers:
        name = f"ledger {ledger.name or ledger.writer}"
        try:
            names = secrets_in(ledger.spec)
            if names:
                checks.append(Check(name, OK, f"set in the environment: {', '.join(names)}"))
        except Absent as error:
            checks.append(Check(name, BAD, str(error), "Set it, and start again."))
    return checks


def _shadowed(plan: Plan, project: Path) -> tuple[str, str]:
    """Files of the project must not stand in for what gameday, or Python itself, would import.

    Action hosts look for modules in the working folder first, because a project may bring its own.
    """
    home = Path(gameday.__file__).resolve().parent.parent
    here = [folder for folder in dict.fromkeys((project.resolve(), Path.cwd())) if folder != home]
    elsewhere = [path for path in sys.path if path and Path(path).resolve() not in here]
    wanted = {module.partition(".")[0] for _, kind, module in used(plan) if kind == "python"}
    for folder in here:
        for name in sorted(_modules_in(folder)):
            real = name in sys.stdlib_module_names or name in ("gameday", "chaoslib")
            if real or (name in wanted and PathFinder.find_spec(name, elsewhere) is not None):
                return BAD, f"{folder / name} would be imported instead of the real {name!r}"
    return OK, "nothing in the project stands in for what is imported"


def _modules_in(folder: Path) -> set[str]:
    found = {path.stem for path in folder.glob("*.py")}
    return found | {path.parent.name for path in folder.glob("*/__init__.py")}


def _leftovers(project: Path) -> Check:
    found = leftovers(project)
    if not found:
        return Check("leftovers", OK, "no earlier run of this project left anything behind")
    runs = "; ".join(f"{left.run} {left.reason}" for left in found[:3])
    return Check("leftovers", BAD, runs, f"Finish it first: `gameday recover {found[0].run}`.")


def history_bytes(plan: Plan, policy: Policy | None = None) -> int:
    """Return an estimate of what a run writes: every sample, bucket and entry of its longest duration.

    Probes sample while the start gate waits for signatures, whoever asks for them.
    """
    lasts_s = longest_ns(plan, policy) / NS
    per_s = sum(NS / probe.every_ns for probe in plan.probes) * SAMPLE_BYTES
    per_s += sum(load.workers or load.processes for load in plan.load) * BUCKETS_PER_S * BUCKET_BYTES
    per_s += sum(NS / ledger.every_ns for ledger in plan.ledgers) * ENTRY_BYTES
    return int((per_s + 4 * EVENT_BYTES) * lasts_s)


def _disk(plan: Plan, project: Path, policy: Policy) -> Check:
    needed = max(DISK_TIMES * history_bytes(plan, policy), DISK_FREE_MIN)
    try:
        free = shutil.disk_usage(project).free
    except OSError as error:
        return Check("disk", BAD, f"{project}: {error.strerror}")
    said = f"{free >> 20} MB free, {needed >> 20} MB wanted"
    return Check("disk", OK if free >= needed else BAD, said, "Make room: no record, no injection.")


def _clock(*, demanded: bool) -> Check:
    clock = read_clock()
    if clock.bound_ns is not None:
        return Check("clock", OK, f"synchronised within {clock.bound_ns / 1e6:.1f} ms")
    said = f"{clock.source}; times of day have no error bound, durations are not affected"
    return Check("clock", BAD if demanded else WARN, said, "The policy demands a synchronised clock.")


def _credentials(plan: Plan, policy: Policy, environment: Mapping[str, str], now: datetime) -> Check:
    """Credentials that say when they end must outlive the drill and its last undo."""
    text = environment.get(EXPIRES, "")
    if not text:
        return Check("credentials", OK, "none says that it expires")
    try:
        ends = datetime.fromisoformat(text)
        ends = ends if ends.tzinfo else ends.replace(tzinfo=UTC)
    except ValueError:
        said = f"{EXPIRES} is {text[:40]!r}, expected a time like 2026-11-24T21:00:00Z"
        return Check("credentials", BAD, said)
    ttls_ns = max((step.ttl_ns or 0 for step in faults(plan)), default=0)
    undos_ns = max((step.undo_deadline_ns for step in plan.steps if step.owes_undo), default=0)
    needed_ns = (longest_ns(plan, policy) + ttls_ns + undos_ns) // NS * NS
    left_s = int((ends - now) / timedelta(seconds=1))
    said = f"expire in {left_s} s; the drill, its ttl and its undos may need {as_text(needed_ns)}"
    state = OK if left_s * NS >= needed_ns else BAD
    return Check("credentials", state, said, "Renew them first: an undo without credentials is stuck.")


# --- what needs the target -------------------------------------------------------------------


def of_target(found: Resolved) -> tuple[Check, ...]:
    """Say what arming found out. It raised where that was bad."""
    targets = found.targets
    count = f"{len(targets.targets)} of {targets.population} targets: {', '.join(targets.targets) or 'none'}"
    checks = [Check("target", OK, f"it is {targets.environment}; {count}")]
    if "lab.control" in found.values:
        checks.append(Check("control", OK, "the lab's control interface answers; the lab is whole"))
    return tuple(checks)


class LookHost:
    """A host that reads back whether each fault is in place already. Spawned early, asked late."""

    def __init__(
        self, plan: Plan, *, log_dir: Path, configuration: Mapping[str, str], spawner: Spawner | None = None
    ) -> None:
        """Spawn it, by `spawner` where hosts share one."""
        self._inbox = new_inbox()
        self._faults = [step for step in faults(plan) if step.in_place is not None]
        jobs = tuple(Job(s.id, "look", s.in_place, None) for s in self._faults if s.in_place is not None)
        self._host: ActionHost | None = None
        if jobs:
            self._host = ActionHost(
                "preflight",
                jobs,
                log=log_dir / "preflight.log",
                configuration=configuration,
                clock=RunClock(),
                inbox=self._inbox,
                spawner=spawner,
            )

    @property
    def host(self) -> ActionHost | None:
        """The host, or None when no fault can be read back."""
        return self._host

    def look(self) -> Iterator[Check]:
        """Read each fault back: not in place is ok, in place is a leftover, no answer is bad.

        Raises:
            Refused: The host cannot be armed.
        """
        if self._host is None:
            return
        self._host.wait_armed(IDLE_S, PREPARING_MOST_S)
        for step in self._faults:
            self._host.go(step.id, "look")
            yield self._answer(step.id, f"fault {step.name!r}", step.target)

    def _answer(self, step: str, name: str, target: str) -> Check:
        until_s = time.monotonic() + LOOK_MAX_S
        while True:
            try:
                _, event = self._inbox.get(timeout=max(until_s - time.monotonic(), 0.0))
            except queue.Empty:
                return Check(name, BAD, f"{target} gave no read-back within {LOOK_MAX_S:g} s")
            if not isinstance(event, StepEnded) or event.step != step:
                continue
            if event.in_place is None:
                return Check(name, BAD, f"{target} cannot be read back: {event.detail or 'no answer'}")
            if event.in_place:
                todo = "Something left it there: `gameday runs`, then `gameday recover`."
                return Check(name, BAD, f"is in place on {target} already, before anything was done", todo)
            return Check(name, OK, f"{target} answers, it is not in place")

    def close(self) -> None:
        """End the host."""
        host, self._host = self._host, None
        if host is not None:
            host.close()


def monitoring(plan: Plan, crew: ProbeCrew, rules: Rules) -> Iterator[Check]:
    """Read each probe that does not write: it must be readable, and good where the policy says so."""
    longest_s = max((probe.timeout_ns / NS for probe in plan.probes), default=0.0)
    readings = crew.first_readings(longest_s + 1.0)
    for probe in plan.probes:
        name = f"probe {probe.name}"
        if probe.writes:
            yield Check(name, SKIP, "it writes, so it was not tried")
            continue
        reading, detail = readings[probe.name]
        said = f"{reading} {detail}".rstrip()
        if reading is Reading.GOOD:
            yield Check(name, OK, said)
        elif reading is Reading.UNREADABLE:
            yield Check(name, BAD, said, "What cannot be read cannot halt a drill in time.")
        elif probe.name in rules.not_red:
            yield Check(name, BAD, f"{said}; the policy lets nothing start while it is red")
        else:
            yield Check(name, WARN, f"{said}; the steady state decides")
