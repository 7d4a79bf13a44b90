"""What must be known and ready before anything may happen. Nothing here changes the target.

The target says who it is, and that must be what the plan names; values such as `${lab.url}` are
found; targets are resolved once and frozen; a lease keeps two drills off one target.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.errors import NotAuthorised, Refused, TargetAbsent
from gameday.history.events import TargetsResolved
from gameday.plan.bind import bind, needed
from gameday.plan.model import Plan, StepKind

TIMEOUT_S = 3.0
LAB_TODO = "Start the lab with `gameday lab up`; `gameday lab status` says how it is."


@dataclass(frozen=True, slots=True)
class Resolved:
    """The plan with its values filled in, and what was found about the target."""

    plan: Plan
    values: Mapping[str, str]
    targets: TargetsResolved


def lab_state_file(project: Path) -> Path:
    """Return where the lab of this project says what it is."""
    folder = os.environ.get("GAMEDAY_LAB_DIR")
    return (Path(folder) if folder else project / ".gameday" / "lab") / "lab.json"


def find_values(plan: Plan, project: Path) -> dict[str, str]:
    """Return the values that the plan asks for, and where the lab is when it is the target.

    Raises:
        TargetAbsent: The lab is asked for and is not up.
    """
    wanted = needed(plan)
    if not any(name.startswith("lab.") for name in wanted):
        return {}
    path = lab_state_file(project)
    try:
        lab = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TargetAbsent("the lab is not up", todo=LAB_TODO) from None
    except (OSError, ValueError) as error:
        raise TargetAbsent(f"the lab's state in {path} cannot be read: {error}", todo=LAB_TODO) from error
    values = {f"lab.{key}": item for key, item in lab.items() if isinstance(item, str) and key != "token"}
    values["lab.state_file"] = str(path.resolve())
    return values


def resolve(plan: Plan, project: Path) -> Resolved:
    """Find the target, check that it is the one the plan names, and freeze what may be touched.

    Raises:
        Refused: The target is absent, is another environment, is not whole, or lacks a target.
    """
    values = find_values(plan, project)
    bound = bind(plan, values)
    identity = _get_json(bound.target.identity_url, what="the target's identity")
    environment = identity.get("environment")
    if environment != plan.target.environment:
        raise NotAuthorised(
            f"the target says its environment is {environment!r}, "
            f"the plan is for {plan.target.environment!r}",
            todo="Run it where it belongs, or name the right environment under `target:`.",
        )
    population = tuple(f"node:{name}" for name in identity.get("nodes", ()))
    targets = _targets(plan, population)
    _check_whole(values)
    found = TargetsResolved(
        environment=str(environment),
        identity=json.dumps(identity, sort_keys=True),
        targets=targets,
        population=len(population) or len(targets),
        values=tuple(sorted(values.items())),
    )
    return Resolved(bound, values, found)


def _targets(plan: Plan, population: tuple[str, ...]) -> tuple[str, ...]:
    faults = [step for step in plan.steps if step.kind is StepKind.FAULT]
    for step in faults:
        if step.target.startswith("node:") and population and step.target not in population:
            known = ", ".join(population)
            raise TargetAbsent(
                f"fault {step.name!r}: the target {step.target!r} does not exist; it has {known}",
                todo="Name one of those in the fault's `with:`.",
            )
    targets = tuple(sorted({step.target for step in faults}))
    radius = plan.blast_radius
    nodes = [name for name in targets if name.startswith("node:")]
    if radius is not None and len(nodes) > radius.max_targets:
        raise Refused(
            f"the faults touch {len(nodes)} nodes ({', '.join(nodes)}), "
            f"the blast radius allows {radius.max_targets}"
        )
    if radius is not None and radius.max_of is not None and population and radius.max_of != len(population):
        raise Refused(
            f"blast_radius.max is written for {radius.max_of} nodes, the target has {len(population)}",
            todo="Look at what changed in the target, then correct the plan.",
        )
    return targets


def _check_whole(values: Mapping[str, str]) -> None:
    """A target with a fault left in it is no place to start from."""
    control, path = values.get("lab.control"), values.get("lab.state_file")
    if not control or not path:
        return
    token = json.loads(Path(path).read_text(encoding="utf-8")).get("token", "")
    state = _get_json(f"{control}/state", what="the lab's state", token=token)
    if not state.get("whole"):
        reasons = "; ".join(map(str, state.get("why_not_whole", ()))) or "it does not say why"
        raise Refused(
            f"the lab is not whole: {reasons}",
            todo="Finish an earlier run with `gameday recover`, or start afresh: "
            "`gameday lab down && gameday lab up`.",
        )


def _get_json(url: str, *, what: str, token: str = "") -> dict[str, Any]:
    request = urllib.request.Request(url)  # noqa: S310 - the scheme is checked by the plan
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:  # noqa: S310
            found = json.loads(reply.read(1 << 20))
    except (OSError, ValueError, urllib.error.URLError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise TargetAbsent(f"{what} at {url} cannot be read: {reason}", todo=LAB_TODO) from error
    if not isinstance(found, dict):
        raise TargetAbsent(f"{what} at {url} is not a JSON object")
    return found


class Lease:
    """Held while a drill runs against a target, so that a second one is refused."""

    def __init__(self, identity_url: str) -> None:
        name = hashlib.sha256(identity_url.encode()).hexdigest()[:16]
        self._path = runtime_dir() / f"lease-{name}"
        self._fd: int | None = None

    def take(self) -> None:
        """Take the lease.

        Raises:
            Refused: Another drill holds it.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 200, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise Refused(
                f"another drill is running against this target (process {holder})",
                todo="Wait for it, or halt it with `gameday halt`.",
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give the lease back; harmless when it was never taken."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def runtime_dir() -> Path:
    """Return a short folder of this user's own for sockets and leases, mode 0700.

    Raises:
        Refused: It belongs to somebody else.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    path = Path(base) / "gameday" if base else Path(tempfile.gettempdir()) / f"gameday-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or path.is_symlink():
        raise Refused(f"{path} is not a private folder of this user", todo="Remove it and try again.")
    return path
