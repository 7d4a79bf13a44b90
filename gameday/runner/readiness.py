"""Gather what is known of a service's readiness, and keep what people sign for it.

    readiness/SERVICE/NAME-DIGEST.json[.sig]   what a person signed: service, item, name, when, until

Who may sign stands in allowed_signers, as for approvals. A file that is not what it says it is signs nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from gameday.canonical import canonical, from_json, to_json
from gameday.errors import GameDayError, RecordError, UsageError
from gameday.evidence import readiness as judge
from gameday.evidence.programme import Drilled
from gameday.evidence.readiness import NAMESPACE, Item, Shown, Signed
from gameday.hosts.clock import utc_text
from gameday.hosts.sshkeygen import sign, verify
from gameday.plan.approvals import is_principal
from gameday.plan.model import Plan, StepKind
from gameday.plan.stored import read_plan
from gameday.runner.anchor import write_anew
from gameday.runner.programme import plans_of, read_ground
from gameday.runner.standing import standing

FOLDER = "readiness"
FILE_MAX = 64 << 10


def read_readiness(
    project: Path, service: str, *, signers: Path, today: str, policy: str | None = None
) -> list[Item]:
    """Return the checklist of a service.

    Args:
        project: The project's folder.
        service: As plans name it.
        signers: The allowed_signers file.
        today: YYYY-MM-DD.
        policy: The policy file named on the command line.

    Raises:
        PlanError: The policy has errors.
        RecordError: The register or the file of findings cannot be read.
        UsageError: Nothing here knows the service.
    """
    ground = read_ground(project, policy)
    rules, folders = ground.policy, ground.folders
    # What is no plan is passed over: `gameday coverage` says what is wrong with it.
    every = (plan for _, plan in plans_of(project) if isinstance(plan, Plan))
    plans = [plan for plan in every if plan.service == service]
    mine = [drill for drill in ground.drills if drill.service == service]
    if not plans and not mine:
        raise UsageError(
            f"readiness: no plan and no drill here is of the service {service!r}",
            todo="`gameday coverage` lists the services.",
        )
    shown = [one for drill in mine for one in _shown(drill, folders)]
    found = [item for item in ground.tracked if item.added.service == service]
    signed = list(_signed(project, service, signers))
    return [
        judge.levels(plans),
        judge.exercised(shown, today, rules.retest_days),
        judge.failed_over(shown, today, rules.retest_days),
        judge.capacity(*_capacity(mine, folders, signers, project, today)),
        judge.nothing_overdue(found, today),
        *(judge.by_hand(item, signed, today) for item in rules.readiness),
    ]


def sign_item(
    project: Path, service: str, item: str, *, who: str, key: Path, signers: Path, until: str
) -> Signed:
    """Have a person sign that an item holds for a service, and keep it.

    Raises:
        UsageError: The name is none.
        NotAuthorised: The key is not theirs.
        OSError: It cannot be kept.
    """
    if not is_principal(who):
        raise UsageError(f"--as {who!r}: expected a name as in allowed_signers")
    signed = Signed(service, item, who, utc_text(), until)
    data = canonical(to_json(signed)) + b"\n"
    signature = sign(data, key, NAMESPACE)
    verify(data, signature, _bytes(signers), who, NAMESPACE)
    folder = project / FOLDER / hashlib.sha256(service.encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{who}-{hashlib.sha256(item.encode()).hexdigest()[:12]}.json"
    (folder / f"{name}.sig").unlink(missing_ok=True)
    write_anew(folder / name, data)
    write_anew(folder / f"{name}.sig", signature)
    return signed


def _signed(project: Path, service: str, signers: Path) -> Iterator[Signed]:
    """Yield what was signed for a service by those whose key it is; anything else signs nothing."""
    for path in sorted((project / FOLDER).glob("*/*.json")):
        try:
            data = _bytes(path)
            one = from_json(Signed, json.loads(data))
            signature = _bytes(path.with_name(f"{path.name}.sig"))
            verify(data, signature, _bytes(signers), one.principal, NAMESPACE)
        except (OSError, ValueError, RecursionError, GameDayError):
            continue
        if one.service == service:
            yield one


def _shown(drill: Drilled, folders: dict[str, Path]) -> Iterator[Shown]:
    if drill.end != "finished" or drill.verdict != "pass" or drill.run not in folders:
        return
    try:
        steps = read_plan(folders[drill.run]).steps
    except (RecordError, OSError):
        return  # Of another version: what was in it cannot be said.
    runbooks = any(step.runbook for step in steps)
    yield Shown(drill, runbooks, any(step.kind is StepKind.FAILOVER for step in steps))


def _capacity(
    drills: list[Drilled], folders: dict[str, Path], signers: Path, project: Path, today: str
) -> tuple[str, str]:
    """Return how the latest sign-off of a capacity stands, and why; empty where there is none."""
    ended = [d for d in drills if d.kind == "capacity" and d.end == "finished" and d.run in folders]
    if not ended:
        return "", ""
    last = max(ended, key=lambda drill: drill.started_utc)
    try:
        found = standing(folders[last.run], signers, project, artefact="", today=today)
    except (GameDayError, OSError) as error:
        return "UNKNOWN", str(error)
    return str(found.word), "; ".join(found.reasons)


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(FILE_MAX + 1)
    if len(data) > FILE_MAX:
        raise RecordError(f"{path}: is larger than {FILE_MAX >> 10} KiB")
    return data
