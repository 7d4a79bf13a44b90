"""What every control of ours does at each of Chaos Toolkit's levels: tell the companion.

An experiment may use the guard, the evidence, or both; the first that is called does the telling.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from chaoslib.exceptions import InterruptExecution, InvalidActivity

from gameday.chaostoolkit import link, papers
from gameday.chaostoolkit.rollback import why_not
from gameday.errors import GameDayError, PlanError
from gameday.hosts.words import one_line

logger = logging.getLogger("chaostoolkit")
_EFFECT = {"succeeded": "happened", "skipped": "did_not_happen"}


def check(control: dict[str, Any], module: str) -> None:
    """Check what a control is told, as `chaos validate` asks.

    Raises:
        InvalidActivity: Something in it is wrong; every problem is listed.
    """
    told = dict((control.get("provider") or {}).get("arguments") or {})
    guard, evidence = (told, {}) if module == papers.GUARD else ({}, told)
    named = {objective.get("measured_by") for objective in evidence.get("objectives") or ()}
    probes = {"tcp": {"host": "127.0.0.1", "port": 1}, "every": "1s", "timeout": "1s"}
    if named:  # The probes that objectives name stand in the guard, which is checked for itself.
        guard = {"probes": {str(name): probes for name in named}}
    try:
        papers.terms_of(guard, evidence)
        papers.plan_of({"title": "it"}, guard, evidence, None, Path.cwd())
    except PlanError as error:
        raise InvalidActivity(f"{module}: {papers.problems(error)}") from error


def begin(
    module: str,
    experiment: dict[str, Any],
    configuration: dict[str, Any] | None,
    secrets: dict[str, Any] | None,
) -> None:
    """Start the companion.

    Raises:
        InterruptExecution: There is none, so nothing is injected.
    """
    try:
        found = link.begin(module, experiment, configuration or {}, secrets or {})
    except (GameDayError, OSError) as error:
        raise InterruptExecution(f"gameday: {error}") from error
    if found.teller == module:
        logger.info("gameday records this experiment in %s", found.folder)


def tell(module: str, do: str, **more: Any) -> None:
    """Tell the companion what happens, unless the other control does.

    Raises:
        InterruptExecution: It does not answer: nothing goes on without guard and record.
    """
    found = link.current()
    if found is None or found.teller != module:
        return
    try:
        found.ask(do, **more)
    except GameDayError as error:
        raise InterruptExecution(f"gameday: {error}") from error


def started(module: str, activity: dict[str, Any], experiment: dict[str, Any]) -> None:
    """Tell that an action of the method begins: on disk before its effect."""
    number = _place(activity, experiment)
    if number is not None and activity.get("type") == "action":
        tell(module, "started", step=papers.step_id(number))


def ended(module: str, activity: dict[str, Any], state: Any, experiment: dict[str, Any]) -> None:
    """Tell how an activity ended. One that was interrupted has no status: it may have done anything."""
    run = state if isinstance(state, dict) else {}
    status = str(run.get("status") or "interrupted")
    number = _place(activity, experiment)
    if number is not None and activity.get("type") == "action":
        detail = one_line(" ".join(map(str, (run.get("exception") or [])[-1:])))
        tell(module, "ended", step=papers.step_id(number), detail=detail or status,
             effect=_EFFECT.get(status, "indeterminate"))  # fmt: skip
        return
    if activity in ((experiment.get("steady-state-hypothesis") or {}).get("probes") or ()):
        return  # What the hypothesis says is told once for all its probes.
    kind = f"chaos: {activity.get('type') or 'activity'}"
    tell(module, "note", by=kind, text=one_line(f"{activity.get('name')}: {status}"))


def hypothesis(module: str, state: Any) -> None:
    """Keep what Chaos Toolkit's own hypothesis said last, and tell when it says something else.

    A continuous one speaks many times a second.
    """
    found = link.current()
    if found is not None and found.teller == module and isinstance(state, dict):
        found.met = bool(state.get("steady_state_met"))
        probes = [run for run in state.get("probes") or () if isinstance(run, dict)]
        off = [str((run.get("activity") or {}).get("name")) for run in probes if not run.get("tolerance_met")]
        said = "met" if found.met else f"NOT met: {', '.join(off) or 'nothing was read'}"
        if said != found.said:
            found.said = said
            tell(module, "note", by="chaos: hypothesis", text=one_line(f"the hypothesis is {said}"))


def rolled_back(module: str, state: Any) -> None:
    """Tell how Chaos Toolkit's rollbacks went, by what they really did."""
    runs = [run for run in state or () if isinstance(run, dict)]
    failed = [text for run in runs if (text := _why_not(run))]
    played = f"rollbacks played: {len(runs)}; Chaos Toolkit reads none of them back"
    ok = bool(runs) and not failed
    tell(module, "rolled back", ok=ok, detail="; ".join(failed) or (played if runs else "none was played"))


def _why_not(run: dict[str, Any]) -> str:
    activity = run.get("activity") or {}
    name = activity.get("name")
    if run.get("status") != "succeeded":
        return f"{name}: {run.get('status') or 'interrupted'}"
    why = why_not(activity.get("provider") or {}, run.get("output"))
    return f"{name}: {why}" if why else ""


def finish(module: str, journal: Any) -> None:
    """End the record, wait for its findings, and put them into the journal."""
    found = link.current()
    if found is None or found.teller != module:
        return
    journal = journal if isinstance(journal, dict) else {}
    try:
        status = str(journal.get("status") or "completed")
        report = found.ask("end", patience_s=link.END_S, status=status, met=found.met)
    except GameDayError as error:
        logger.critical("gameday: the record was not finished: %s", error)
        link.end()
        return
    journal["gameday"] = {key: report[key] for key in ("folder", "verdict", "halted_by", "findings")}
    if report["halted_by"]:
        logger.critical("gameday halted this experiment: %s", report["halted_by"])
    logger.info("gameday: %s; `gameday check %s` recomputes it", report["verdict"], report["folder"])
    link.end()


def _place(activity: dict[str, Any], experiment: dict[str, Any]) -> int | None:
    """Return the place of an activity in the method; None when it is of the hypothesis or a rollback."""
    method = experiment.get("method") or []
    for number, other in enumerate(method):
        if other is activity:
            return number
    others = [*(experiment.get("rollbacks") or []),
              *((experiment.get("steady-state-hypothesis") or {}).get("probes") or [])]  # fmt: skip
    if any(other is activity for other in others):
        return None
    named = (
        n for n, other in enumerate(method) if activity.get("name") in (other.get("name"), other.get("ref"))
    )
    return next(named, None)
