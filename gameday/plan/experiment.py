"""A Chaos Toolkit experiment as a plan: one step that carries out its method, with its rollbacks as the undo.

    phase running    step `experiment`   hypothesis · method · hypothesis · rollbacks, in one action host
    phase undoing    undo `experiment`   whatever rollbacks are still owed, in a host of its own

An experiment is a program for one process: its activities, controls and background threads may share what
they import. So all of it runs in one host, by Chaos Toolkit's own runner, and comes to the same outcome;
around it stands what every drill has. The host can be killed with all it started, the undo host is armed
beforehand and plays what was not played, and so does the watchdog once the runner is dead.

The plan names the file by its digest, and what it would import or run, for the policy. Its content is not
in the plan, because secrets may be written out in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.errors import PlanError, UsageError
from gameday.plan.experimentbeside import read_beside
from gameday.plan.experimentfile import ExperimentFile, read_experiment
from gameday.plan.experimentshape import SPELLINGS, Shape
from gameday.plan.experimentstep import JOURNAL, KIND, PROVIDER, experiment_in
from gameday.plan.model import NS, Activity, Plan, SteadyState, Step, StepKind, Target
from gameday.plan.policy import LAB, NO_FILE, Policy

STEP = "experiment"
TTL_NS = 600 * NS  # Beside the pauses and timeouts that it states, where the policy sets no ttl.
UNDO_NS = 300 * NS
PATIENCE_NS = 10 * NS
UNKNOWN = "unknown"
VAULT = ("vault_token", "vault_role_secret")  # Configuration that opens a vault is secret too.
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says beside the file. Empty and None: as the file, the policy or default says."""

    environment: str = ""
    rollbacks: str = ""
    hypothesis: str = ""
    frequency_s: float = 1.0
    fail_fast: bool = False
    compat: bool = False
    variables: tuple[str, ...] = ()
    variable_files: tuple[str, ...] = ()
    dry: str = ""
    control_files: tuple[str, ...] = ()
    settings: str = ""
    folder: Path | None = None  # Where it runs; None for the one that the command is given in.


def load_experiment(path: Path, project: Path, shown: str, options: Options, policy: Policy) -> Plan:
    """Return the plan of an experiment file.

    Args:
        path: The file.
        project: The project's folder; the file and the working folder are named relative to it.
        shown: How complaints name the file.
        options: What the command line says.
        policy: The policy in force, which says the environment and the ttl.

    Raises:
        PlanError: Something is wrong with it; every problem is listed with its place.
        UsageError: An option is wrong.
    """
    read = read_experiment(path, shown)
    shape = Shape(read)
    if not shape.check():
        raise PlanError(tuple(sorted(set(read.source.problems))))
    data = read.source.data
    environment = options.environment or policy.experiments or (LAB if policy.file == NO_FILE else UNKNOWN)
    provider = provider_of(path, project, read, options)
    rules = policy.rules(environment)
    ttl_ns = (rules.ttl_ns if rules else None) or own_ttl_ns(data)
    step = step_of(data, provider, ttl_ns)
    return Plan(
        title=plain(str(data["title"])),
        kind=KIND,
        service="",
        source=shown,
        about=_about(data),
        target=Target(environment, ""),
        objectives=(),
        recovery="plan",
        load=(),
        probes=(),
        slos=(),
        steady_state=SteadyState((), 0, 0, PATIENCE_NS),
        stop_conditions=(),
        blast_radius=None,
        steps=(step,),
        ledger=None,
        warnings=tuple(_warnings(shape, data, step, environment, policy, options)),
    )


def plain(text: str) -> str:
    """Return a text in which nothing waits to be filled in."""
    return _VARIABLE.sub(r"\1", text)


def secret_values(plan: Plan, project: Path) -> tuple[str, ...]:
    """Return the secrets that a plan's experiments write out or take from the environment.

    A file that cannot be read any more has none: whoever runs it finds out.
    """
    found: list[str] = []
    for step in plan.steps:
        provider = experiment_in(step.do)
        if provider is None:
            continue
        try:
            data = read_experiment(project / provider["file"]).source.data
        except PlanError:
            continue
        if not isinstance(data, dict):
            continue
        given = data.get("configuration")
        vault = [given.get(name) for name in VAULT] if isinstance(given, dict) else []
        found += [value for value in _leaves([data.get("secrets"), vault]) if value]
    return tuple(dict.fromkeys(found))


def _leaves(data: Any) -> Iterator[str]:
    if isinstance(data, dict) and data.get("type") == "env":
        yield os.environ.get(str(data.get("key")), "")
    elif isinstance(data, dict) and data.get("type") != "vault":
        for item in data.values():
            yield from _leaves(item)
    elif isinstance(data, list):
        for item in data:
            yield from _leaves(item)
    elif isinstance(data, str):
        yield data


# --- parts ---------------------------------------------------------------------------------------


def provider_of(
    path: Path, project: Path, read: ExperimentFile, options: Options, journal: str = JOURNAL
) -> dict[str, Any]:
    """Return what a host needs to carry out an experiment, with digests of all files that it will read.

    Raises:
        UsageError: A file of variables, controls or settings cannot be read.
    """
    beside = read_beside(options.control_files, options.settings)
    runtime = read.source.data.get("runtime") or beside.runtime
    rollbacks = options.rollbacks or (runtime.get("rollbacks") or {}).get("strategy") or "default"
    hypothesis = options.hypothesis or (runtime.get("hypothesis") or {}).get("strategy") or "default"
    return {
        "type": PROVIDER,
        "file": _relative(path, project),
        "sha256": read.sha256,
        "folder": _relative(options.folder or Path.cwd(), project),
        "journal": journal,
        "rollbacks": rollbacks,
        "hypothesis": SPELLINGS.get(hypothesis, hypothesis),
        "frequency_s": options.frequency_s,
        "fail_fast": options.fail_fast,
        "compat": options.compat,
        "variables": list(options.variables),
        "variable_files": [
            [_relative(Path(name), project), _digest(name)] for name in options.variable_files
        ],
        "dry": options.dry,
        "control_files": [[_relative(Path(name), project), sha256] for name, sha256 in beside.control_files],
        "settings": [[_relative(Path(name), project), sha256] for name, sha256 in beside.settings],
        "acts": _acts(read.source.data, options.dry),
        "uses": sorted({tuple(use) for use in _uses([read.source.data, *beside.controls])}),
    }


def _relative(path: Path, project: Path) -> str:
    return os.path.relpath(path.resolve(), project.resolve())


def _digest(name: str) -> str:
    try:
        return hashlib.sha256(Path(name).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(
            f"--var-file {name}: {error.strerror}", todo="Name a file that can be read."
        ) from None


def _uses(data: Any) -> Iterator[tuple[str, str]]:
    """Yield each provider's type, and its module: of activities, tolerances, controls and configuration."""
    if isinstance(data, list):
        for item in data:
            yield from _uses(item)
    if not isinstance(data, dict):
        return
    provider = data.get("provider")
    if isinstance(provider, dict) and isinstance(provider.get("type"), str):
        module = provider.get("module") if provider["type"] == "python" else ""
        yield provider["type"], str(module or "")
    for key, item in data.items():
        if key != "provider":
            yield from _uses(item)


def step_of(
    data: dict[str, Any], provider: dict[str, Any], ttl_ns: int, undo_timeout_ns: int | None = None
) -> Step:
    """Return the step that carries an experiment out, with its rollbacks as the undo."""
    undo_ns = undo_timeout_ns or UNDO_NS + int(_stated_s(data.get("rollbacks")) * NS)
    text = _text(provider)
    undo = Activity("rollbacks", text, undo_ns) if owes_rollbacks(data, provider["rollbacks"]) else None
    return Step(
        id=STEP,
        name=plain(str(data["title"]))[:200],
        kind=StepKind.CHANGE,
        group=0,
        deadline_ns=ttl_ns,
        target=f"experiment:{plain(Path(provider['file']).name)}",
        do=Activity("method", text, ttl_ns),
        undo=undo,
        undo_deadline_ns=undo_ns,
        ttl_ns=ttl_ns if undo else None,
        survives="runner killed" if undo else "",
    )


def owes_rollbacks(data: dict[str, Any], strategy: str) -> bool:
    """Tell whether an experiment has an undo: rollbacks that may be played."""
    return bool(data.get("rollbacks")) and strategy != "never"


def _text(provider: dict[str, Any]) -> str:
    """Return a provider as JSON text in which nothing looks like a value to be filled in."""
    text = json.dumps(provider, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.replace("${", "\\u0024{")


def own_ttl_ns(data: dict[str, Any]) -> int:
    """Return how long an experiment may take where neither plan nor policy says."""
    return TTL_NS + int(_stated_s(data.get("method")) * NS)


def _stated_s(items: Any) -> float:
    """Return how long activities may take by what they say themselves: pauses and timeouts."""
    total = 0.0
    for item in items if isinstance(items, list) else ():
        pauses, provider = item.get("pauses") or {}, item.get("provider") or {}
        said = [pauses.get("before"), pauses.get("after"), item.get("timeout"), provider.get("timeout")]
        total += sum(float(value) for value in said if isinstance(value, int | float))
    return total


def _about(data: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    hypothesis = data.get("steady-state-hypothesis") or {}
    given = data.get("tags") or ()
    tags = given if isinstance(given, str) else ", ".join(given)
    about = {"hypothesis": str(hypothesis.get("title") or ""), "tags": tags}
    about["description"] = str(data["description"])
    return tuple(sorted((key, plain(value)) for key, value in about.items() if value))


def _warnings(
    shape: Shape, data: dict[str, Any], step: Step, environment: str, policy: Policy, options: Options
) -> Iterator[str]:
    yield from shape.warnings
    if step.undo is None and _acts(data, options.dry):
        why = "its rollbacks are never played" if data.get("rollbacks") else "it has no rollbacks"
        yield f"{why}: what its actions do is not taken back, not even after a halt"
    if environment == UNKNOWN:
        yield f"no environment is named: give --environment, or `experiments:` in {policy.file}"
    elif not options.environment and not policy.experiments:
        yield f"there is no policy file, so it is taken to be for {environment!r}"


def _acts(data: dict[str, Any], dry: str) -> bool:
    """Tell whether the method may change the world. An action's own `dry` hinders nothing."""
    method = [item for item in data.get("method") or () if isinstance(item, dict)]
    if dry in ("actions", "activities"):
        method = [item for item in method if "dry" in item]
    return any(item.get("type") == "action" or "ref" in item for item in method)
