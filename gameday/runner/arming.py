"""What must be known and ready before anything may happen. Nothing here changes the target.

The target says who it is, and that must be what the plan names; values such as `${lab.url}` are
found; targets are resolved once, within the selector and the caps of plan and policy, and frozen.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gameday.errors import NotAuthorised, Refused, TargetAbsent
from gameday.history.capacityevents import ArtefactRead
from gameday.history.events import TargetsResolved
from gameday.hosts.httpprobe import Answer, exchange
from gameday.hosts.names import RESOLVER
from gameday.hosts.secretvalues import ENV, from_environment, hidden
from gameday.plan.bind import bind, needed
from gameday.plan.byhand import TABLE_TOP, is_table_top
from gameday.plan.experiment import secret_values
from gameday.plan.experimentstep import is_experiment
from gameday.plan.model import Plan
from gameday.plan.permit import limits_of, waiver_for
from gameday.plan.policy import LAB, Policy, Rule, Rules, default_policy
from gameday.plan.radius import (
    BY_POLICY,
    Labels,
    Reach,
    cap_of,
    exceeded,
    faults,
    may_be_faults,
    most_at_once,
    parse_cap,
    reach_of,
    targets_of,
    why_not,
)
from gameday.runner.artefact import read_artefact

TIMEOUT_S = 3.0
EXCLUDED_MAX = 200
TARGET_TODO = 'See that the target runs, and answers there with {"environment": …, "name": …}.'
LAB_TODO = "Start the lab with `gameday lab up`; `gameday lab status` says how it is."


@dataclass(frozen=True, slots=True)
class Resolved:
    """The plan with its values filled in, and what was found about the target.

    `system` names it from everywhere, `names` are all that name it from here: see `names_of`. `events`
    tell the history what was found.
    """

    plan: Plan
    values: Mapping[str, str]
    targets: TargetsResolved
    system: str
    names: tuple[str, ...]
    events: tuple[TargetsResolved | ArtefactRead, ...] = ()


def lab_state_file(project: Path) -> Path:
    """Return where the lab of this project says what it is."""
    folder = os.environ.get("GAMEDAY_LAB_DIR")
    return (Path(folder) if folder else project / ".gameday" / "lab") / "lab.json"


def find_values(plan: Plan, project: Path) -> dict[str, str]:
    """Return the values that the plan asks for, and where the lab is when it is the target.

    Raises:
        TargetAbsent: The lab is asked for and is not up, or the environment lacks a variable.
    """
    secret = from_environment(plan) | hidden(secret_values(plan, project))
    wanted = needed(plan)
    if not any(name.startswith("lab.") for name in wanted):
        return secret
    path = lab_state_file(project)
    try:
        lab = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TargetAbsent("the lab is not up", todo=LAB_TODO) from None
    except (OSError, ValueError) as error:
        raise TargetAbsent(f"the lab's state in {path} cannot be read: {error}", todo=LAB_TODO) from error
    kind = str(lab.get("system", "pair"))
    if plan.target.lab not in ("", kind):
        todo = f"`gameday lab down && gameday lab up --system {plan.target.lab}` brings that one up."
        raise TargetAbsent(f"the lab that is up is {kind}, the plan is for {plan.target.lab}", todo=todo)
    values = {f"lab.{key}": item for key, item in lab.items() if isinstance(item, str) and key != "token"}
    values["lab.state_file"] = str(path.resolve())
    return values | secret


def resolve(plan: Plan, project: Path, policy: Policy | None = None, now: datetime | None = None) -> Resolved:
    """Find the target, check that it is the one the plan names, and freeze what may be touched.

    Args:
        plan: The plan, unbound.
        project: The project's folder.
        policy: The policy in force; None for that of a lab without one.
        now: The moment, for waivers; None for this one.

    Raises:
        Refused: The target is absent, is another environment, or lacks a target; or what the faults
            touch is outside the selector, protected, or too much.
    """
    values = find_values(plan, project)
    bound = bind(plan, values)
    identity = _identity(plan, bound, project)
    environment = identity.get("environment")
    if environment != plan.target.environment:
        raise NotAuthorised(
            f"the target says its environment is {environment!r}, "
            f"the plan is for {plan.target.environment!r}",
            todo="Run it where it belongs, or name the right environment under `target:`.",
        )
    reach = freeze(plan, labels_of(identity), policy or default_policy(), now or datetime.now(UTC))
    found = TargetsResolved(
        environment=str(environment),
        identity=json.dumps(identity, sort_keys=True),
        targets=reach.units,
        population=reach.population,
        values=tuple(sorted(item for item in values.items() if not item[0].startswith(ENV))),
        parts=reach.targets,
        excluded=reach.excluded[:EXCLUDED_MAX],
    )
    url = bound.target.identity_url
    signed = bound.capacity and read_artefact(bound.capacity.artefact, project)
    events = (found, signed) if signed else (found,)
    return Resolved(bound, values, found, system_of(identity, url), names_of(identity, url), events)


def _identity(plan: Plan, bound: Plan, project: Path) -> dict[str, Any]:
    """Return what the target says of itself. An experiment names no target that could be asked.

    It is then known by the environment that policy or command line name. In a lab two experiments may
    run side by side; elsewhere nobody knows that they do not touch the same.
    """
    if not (is_experiment(plan) or is_table_top(plan)):
        todo = LAB_TODO if "${lab." in plan.target.identity_url else TARGET_TODO
        return _get_json(bound.target.identity_url, what="the target's identity", todo=todo)
    environment = plan.target.environment
    where = hashlib.sha256(os.fsencode((project / plan.source).resolve())).hexdigest()[:12]
    name = f"{plan.source} {where}" if environment in (LAB, TABLE_TOP) else "experiments"
    return {"environment": environment, "name": name}


def system_of(identity: Mapping[str, Any], identity_url: str) -> str:
    """Return what names the system under drill from everywhere: what it says of itself, else its URL."""
    said = identity.get("id") or identity.get("name")
    return f"{identity.get('environment')}/{said}" if said else identity_url


def names_of(identity: Mapping[str, Any], identity_url: str) -> tuple[str, ...]:
    """Return all that names the system from this machine, so that two spellings of it share something.

    That is what it says of itself. A system that has no name is known by every address of its URL.
    """
    system = system_of(identity, identity_url)
    if system != identity_url:
        return (system,)
    parts = urlsplit(identity_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = RESOLVER.addresses(parts.hostname or "", port, time.monotonic() + TIMEOUT_S)
    except OSError as error:
        raise TargetAbsent(f"the target's address cannot be looked up: {error.strerror}") from error
    return tuple(sorted({f"{info[4][0]} port {port}" for info in found}))


def labels_of(identity: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return every target that an identity names, with its labels.

    `nodes` is a list of names, or an object of labels by name; `targets` an object by full name.
    """
    found: dict[str, dict[str, str]] = {}
    nodes, more = identity.get("nodes"), identity.get("targets")
    if isinstance(nodes, list):
        nodes = {str(name): {} for name in nodes}
    for prefix, group in (("node:", nodes), ("", more)):
        for name, labels in group.items() if isinstance(group, dict) else ():
            pairs = labels.items() if isinstance(labels, dict) else ()
            found[f"{prefix}{name}"] = {str(key): str(value) for key, value in pairs}
    return found


def freeze(plan: Plan, labels: Labels, policy: Policy, now: datetime) -> Reach:
    """Return what the faults may touch, resolved once.

    Raises:
        TargetAbsent: A fault's target does not exist, or nothing matches the selector.
        NotAuthorised: A fault's target is outside the selector or protected, or there are too many.
    """
    rules = policy.rules(plan.target.environment) or Rules()
    nodes = sorted(name for name in labels if name.startswith("node:"))
    for step in faults(plan):
        for name in targets_of(step):
            if name.startswith("node:") and nodes and name not in labels:
                known = ", ".join(nodes)
                raise TargetAbsent(
                    f"fault {step.name!r}: the target {name!r} does not exist; it has {known}",
                    todo="Name one of those in the fault's `with:`.",
                )
    _check_selector(plan, labels)
    waived = {rule for rule in (Rule.PROTECT, Rule.ONLY) if waiver_for(policy, rule, plan, now)}
    protect = () if Rule.PROTECT in waived else rules.protect
    only = () if Rule.ONLY in waived else rules.only
    _check_touched(plan, labels, protect, only)
    reach = reach_of(plan, labels, protect, only)
    _check_caps(plan, reach, labels, limits_of(policy, plan, now))
    return reach


def _check_touched(plan: Plan, labels: Labels, protect: tuple[str, ...], only: tuple[str, ...]) -> None:
    """Each fault must be allowed in all respects; what the policy protects no step may touch."""
    counted = faults(plan)
    for step in plan.steps:
        is_one = step in counted
        if not is_one and (step.do is None or not step.target):
            continue
        for name in targets_of(step):
            reason = why_not(plan, name, labels, protect, only)
            if reason and (is_one or reason.startswith(BY_POLICY)):
                raise NotAuthorised(
                    f"{'fault' if is_one else 'step'} {step.name!r}: {name} is {_lower(reason)}",
                    todo="`gameday plan` shows the selector, the lists, and where each of them comes from.",
                )


def _lower(reason: str) -> str:
    return reason if reason.startswith(("protected", "outside", "not")) else f"refused: {reason}"


def _check_selector(plan: Plan, labels: Labels) -> None:
    """An empty target set is a refusal, never a drill that touches nothing and passes."""
    select = dict(plan.blast_radius.select) if plan.blast_radius else {}
    if not select:
        return
    wanted = select.items()
    if not any(wanted <= dict(mine).items() for mine in labels.values()):
        said = ", ".join(f"{key}={value}" for key, value in wanted)
        known = "; ".join(f"{name} {dict(mine)}" for name, mine in sorted(labels.items())) or "no targets"
        raise TargetAbsent(
            f"nothing matches blast_radius.select {said}; the target has {known}",
            todo="Correct the selector, or the labels in the target's identity.",
        )


def _check_caps(plan: Plan, reach: Reach, labels: Labels, limits: tuple[str | None, int | None]) -> None:
    cap, at_once = limits
    radius = plan.blast_radius
    reasons = [exceeded(cap_of(radius), reach, "blast_radius.max")] if radius else []
    counted = may_be_faults(plan)
    whole = reach_of(plan, labels, steps=counted)
    if cap is not None and whole.units:
        reasons.append(exceeded(parse_cap(cap), whole, "the policy's `targets`"))
    planned = most_at_once(plan, labels)
    possible = most_at_once(plan, labels, counted)
    for limit, whose, together in (
        (radius.at_once if radius else None, "the plan", planned),
        (at_once, "the policy", possible),
    ):
        if limit is not None and len(together) > limit:
            names = ", ".join(together)
            said = f"{len(together)} targets may be under fault at once ({names})"
            reasons.append(f"{said}, {whose} allows {limit}")
    for reason in filter(None, reasons):
        raise NotAuthorised(reason, todo="Look at what changed in the target, then correct the plan.")


def check_whole(values: Mapping[str, str]) -> None:
    """Refuse a lab with a fault left in it. Ask once the lease is ours: a drill that runs is no leftover.

    Raises:
        Refused: It is not whole, or does not answer.
    """
    control, path = values.get("lab.control"), values.get("lab.state_file")
    if not control or not path:
        return
    try:
        token = json.loads(Path(path).read_text(encoding="utf-8"))["token"]
    except (OSError, ValueError, KeyError, TypeError) as error:  # It went down since it was found.
        raise TargetAbsent(f"the lab's state in {path} cannot be read: {error}", todo=LAB_TODO) from error
    state = _get_json(f"{control}/state", what="the lab's state", token=token)
    if not state.get("whole"):
        reasons = "; ".join(map(str, state.get("why_not_whole", ()))) or "it does not say why"
        raise Refused(
            f"the lab is not whole: {reasons}",
            todo="Finish an earlier run with `gameday recover`, or start afresh: "
            "`gameday lab down && gameday lab up`.",
        )


def _get_json(url: str, *, what: str, token: str = "", todo: str = LAB_TODO) -> dict[str, Any]:
    """Ask `url` itself, within one deadline: no redirect and no proxy may speak for the target."""
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        found = json.loads(_body(exchange(url, headers=headers, timeout_s=TIMEOUT_S)))
    except (ValueError, RecursionError, http.client.HTTPException) as error:
        raise TargetAbsent(f"{what} at {url} cannot be read: {error}", todo=todo) from error
    if not isinstance(found, dict):
        raise TargetAbsent(f"{what} at {url} is not a JSON object")
    return found


def _body(answer: Answer) -> bytes:
    if answer.error:
        raise ValueError(answer.error)
    if answer.status != http.client.OK:
        raise ValueError(f"HTTP {answer.status}, expected 200; redirects are not followed")
    return answer.body


def runtime_dir() -> Path:
    """Return a short folder of this user's own for sockets, mode 0700.

    It lies in XDG_RUNTIME_DIR; where that is gone or another's (su, sudo -E, cron), with temporary files.

    Raises:
        Refused: It belongs to somebody else, or cannot be made.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    path = Path(tempfile.gettempdir()) / f"gameday-{os.getuid()}"
    if base and _is_mine(Path(base)):
        path = Path(base) / "gameday"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise Refused(
            f"{path}: {error.strerror}; sockets need a private folder of this user",
            todo="Set XDG_RUNTIME_DIR to a folder of this user's own.",
        ) from error
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or path.is_symlink():
        raise Refused(f"{path} is not a private folder of this user", todo="Remove it and try again.")
    return path


def _is_mine(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid() and os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False
