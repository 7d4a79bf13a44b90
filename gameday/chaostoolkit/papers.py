"""A Chaos Toolkit experiment, and what a guard is told, as the plan that a history belongs to.

The plan is a record of what was meant, in the shape that checkers, report and verifier read; it is never
run. Each action of the method is a step. Chaos Toolkit's rollbacks are one flat list that belongs to no
action, so every step that may have left something owes all of them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gameday.errors import PlanError
from gameday.plan.border import validate
from gameday.plan.compile import Compiler, refuse
from gameday.plan.files import Files
from gameday.plan.foreign import Way, way_back
from gameday.plan.model import NS, Activity, Plan, Step, StepKind
from gameday.plan.schema import PlanIn
from gameday.plan.sense import check_references
from gameday.plan.source import Source
from gameday.plan.units import duration_ns

OURS = "gameday.chaostoolkit"
GUARD, EVIDENCE, LEDGER = f"{OURS}.guard", f"{OURS}.evidence", (f"{OURS}.actions", "start_ledger")
BY_HAND = "the experiment has no rollbacks: look at the target, and take it back by hand"
_STUCK = ("kill", "wait")
_GUARD_KEYS = ("probes", "slos", "stop_conditions", "steady_state")
_EVIDENCE_KEYS = (
    "objectives",
    "service",
    "environment",
    "tier",
    "scenario",
    "author",
    "owner",
    "change_ticket",
)
_DAY_NS = 86_400 * NS
_NEVER: dict[str, Any] = {"tcp": {"host": "127.0.0.1", "port": 1}, "every": "1s", "timeout": "1s"}


@dataclass(frozen=True, slots=True)
class Terms:
    """How the companion behaves, beside what the plan says."""

    patience_ns: int
    when_stuck: str
    rollback_timeout_ns: int
    plays_rollbacks: bool
    seals: bool
    folder: str
    operator: str


def arguments_of(experiment: dict[str, Any], module: str) -> dict[str, Any] | None:
    """Return what an experiment tells one of our controls; None when it does not use it."""
    for control in experiment.get("controls") or ():
        provider = control.get("provider") or {} if isinstance(control, dict) else {}
        if provider.get("module") == module:
            return dict(provider.get("arguments") or {})
    return None


def ledger_of(experiment: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the experiment tells the action that starts a ledger."""
    for activity in experiment.get("method") or ():
        provider = activity.get("provider") or {}
        if (provider.get("module"), provider.get("func")) == LEDGER:
            return dict(provider.get("arguments") or {})
    return None


def terms_of(guard: dict[str, Any], evidence: dict[str, Any]) -> Terms:
    """Return the terms of a companion.

    Raises:
        PlanError: One of them makes no sense.
    """
    source = Source("gameday control")
    found: dict[str, int] = {}
    for key, default in (("patience", "2s"), ("rollback_timeout", "60s")):
        try:
            found[key] = duration_ns(guard.get(key, default))
        except ValueError as error:
            source.complain((), f"{key}: {error}")
    for key, known in (("when_stuck", _STUCK), ("rollbacks", ("always", "as-chaos"))):
        if guard.get(key, known[0]) not in known:
            source.complain((), f"{key}: {guard[key]!r}: expected {' or '.join(known)}")
    mine = {*_GUARD_KEYS, "patience", "rollback_timeout", "when_stuck", "rollbacks"}
    theirs = {*_EVIDENCE_KEYS, "folder", "seal", "operator"}
    for given, known_keys, which in ((guard, mine, "guard"), (evidence, theirs, "evidence")):
        for key in sorted(set(given) - known_keys):
            source.complain((), f"{which}: unknown key {key!r}: it knows {', '.join(sorted(known_keys))}")
    refuse([source])
    return Terms(
        patience_ns=found["patience"],
        when_stuck=guard.get("when_stuck", "kill"),
        rollback_timeout_ns=found["rollback_timeout"],
        plays_rollbacks=guard.get("rollbacks", "always") == "always",
        seals=bool(evidence.get("seal", False)),
        folder=str(evidence.get("folder") or ""),
        operator=str(evidence.get("operator") or ""),
    )


def plan_of(
    experiment: dict[str, Any],
    guard: dict[str, Any],
    evidence: dict[str, Any],
    ledger: dict[str, Any] | None,
    project: Path,
) -> Plan:
    """Return the plan of an experiment.

    Args:
        experiment: As its author wrote it.
        guard: What the guard is told: probes, SLOs, stop conditions and steady state, as in a plan.
        evidence: What the evidence is told: objectives and papers, as in a plan.
        ledger: What the ledger is told; None without one.
        project: Where `chaos` was started.

    Raises:
        PlanError: Something in them is wrong; every problem is listed.
    """
    title = str(experiment.get("title") or "experiment")[:120]
    source = Source("gameday control", _as_written(experiment, guard, evidence, ledger, title))
    written = validate(PlanIn, source)
    if written is None:
        refuse([source])
    assert written is not None
    plan = Compiler(source, Files(project)).compile(written)
    if not source.problems:
        check_references(plan, source)
    refuse([source])
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60].strip("-") or "experiment"
    return replace(
        plan,
        source=f"{name}.chaos",
        probes=plan.probes if guard.get("probes") else (),
        stop_conditions=plan.stop_conditions if guard.get("stop_conditions") else (),
        blast_radius=None,
        steps=steps_of(experiment),
    )


def _as_written(
    experiment: dict[str, Any],
    guard: dict[str, Any],
    evidence: dict[str, Any],
    ledger: dict[str, Any] | None,
    title: str,
) -> dict[str, Any]:
    steady = {"slos": [], "baseline": "1ms", "stabilise": "1ms", **(guard.get("steady_state") or {})}
    data: dict[str, Any] = {
        "title": title,
        "hypothesis": str((experiment.get("steady-state-hypothesis") or {}).get("title") or ""),
        "kind": "dr" if evidence.get("objectives") else "game-day",
        "service": str(evidence.get("service") or title),
        "target": {"environment": str(evidence.get("environment") or "lab"), "identity": {"http": ""}},
        "notes": str(experiment.get("description") or ""),
        "probes": guard.get("probes") or {"none": _NEVER},
        "slos": guard.get("slos") or {},
        "steady_state": steady,
        "stop_conditions": guard.get("stop_conditions") or [{"duration": "1d"}],
        "blast_radius": {"max": "100%", "duration": "1d"},
        "objectives": evidence.get("objectives") or [],
        "recovery": "system",
        "steps": [{"hold": "1s"}],  # Never run: those of the experiment take its place.
    }
    more = {key: evidence[key] for key in _EVIDENCE_KEYS if key in evidence and key not in data}
    more |= {} if ledger is None else {"ledger": ledger}
    return _without_empty_papers(data | more)


def _without_empty_papers(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value not in (None, "")}


def steps_of(experiment: dict[str, Any]) -> tuple[Step, ...]:
    """Return a step for each action of the method, in their order."""
    rollbacks = [item for item in experiment.get("rollbacks") or () if isinstance(item, dict)]
    undo = None
    if rollbacks:
        spec = {"type": "chaostoolkit", "rollbacks": [_provider(item) for item in rollbacks]}
        undo = Activity("all rollbacks of the experiment", _json(spec), _DAY_NS)
    found = []
    for number, activity in enumerate(experiment.get("method") or ()):
        if activity.get("type") != "action":
            continue
        leaves = _leaves(activity)
        found.append(
            Step(
                id=step_id(number),
                name=str(activity.get("name") or f"action {number}"),
                kind=StepKind.FAULT if leaves else StepKind.CHANGE,
                group=number,
                deadline_ns=_DAY_NS,
                target="experiment" if leaves else "",
                do=Activity(str(activity.get("name")), _json(_provider(activity)), _DAY_NS),
                undo=undo if leaves else None,
                undo_by_hand=BY_HAND if leaves and undo is None else "",
                survives="chaos killed: the companion plays the rollbacks. Host lost: it stays.",
            )
        )
    return tuple(found)


def step_id(number: int) -> str:
    """Return the id of the method's activity in that place."""
    return f"method-{number}"


def _leaves(activity: dict[str, Any]) -> bool:
    """Tell whether an action may leave something that has to be taken back."""
    provider = _provider(activity)
    name = f"{provider.get('module')}.{provider.get('func')}"
    return way_back(name).way not in (Way.STEP, Way.UNDO, Way.SELF_HEALING)


def _provider(activity: dict[str, Any]) -> dict[str, Any]:
    provider = activity.get("provider")
    return provider if isinstance(provider, dict) else {"ref": activity.get("ref")}


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def problems(error: PlanError) -> str:
    """Return what is wrong with a control, without places in a file that nobody wrote."""
    return "; ".join(problem.message for problem in error.problems)
