"""A run as a Chaos Toolkit journal, for tools that read those (chaostoolkit-reporting among them).

A journal knows less than a history: it has no intervals, no unknown, and no halt. So the steady state
counts as met only where a finding passed, and a run that failed or was not decided has deviated. It is a
copy for other tools, never the record.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gameday.checkers.findings import Verdict
from gameday.evidence.account import StepRun, UndoRun, account_of
from gameday.evidence.casefile import Case
from gameday.evidence.words import shown
from gameday.history.events import Effect
from gameday.plan.experimentstep import JOURNAL, is_experiment
from gameday.plan.model import Activity, Step

FALLBACK_VERSION = "1.44.0"
_STATUS = {"completed": "completed", "halted": "interrupted", "crashed": "aborted", "refused": "aborted"}


def own_journal(run_dir: Path, case: Case) -> bytes | None:
    """Return the journal that Chaos Toolkit's own runner wrote, where the run was one experiment; else None.

    It was cleaned of secrets before it was written.
    """
    path = run_dir / JOURNAL
    if not is_experiment(case.plan) or path.is_symlink():
        return None
    try:
        return path.read_bytes()
    except OSError:
        return None  # It ended before it began.


def chaos_journal(case: Case) -> str:
    """Return the journal as JSON text."""
    account = account_of(case.view, case.findings)
    before, after = _met(case, "steady state before"), _met(case, "steady state after")
    run = [_ran(case, step) for step in account.steps if step.step.do is not None]
    undos = [_undone(case, undo) for undo in account.undos if undo.step.undo is not None]
    software = dict(case.started.software) if case.started is not None else {}
    passed = case.findings.verdict is Verdict.PASS
    status = _STATUS.get(case.findings.outcome, "failed")
    journal = {
        "chaoslib-version": software.get("chaostoolkit-lib") or FALLBACK_VERSION,
        "platform": "unknown",
        "node": shown(case.started.machine) if case.started is not None else "unknown",
        "experiment": _experiment(case),
        "start": _naive(case.began_utc),
        "status": status if passed or status != "completed" else "failed",
        "deviated": not passed,
        "steady_states": {"before": _state(case, before), "after": _state(case, after), "during": []},
        "run": run,
        "rollbacks": undos,
        "end": _naive(case.ended_utc),
        "duration": case.view.last_ns / 1e9,
    }
    return json.dumps(journal, indent=1, ensure_ascii=False) + "\n"


def _experiment(case: Case) -> dict[str, Any]:
    about = dict(case.plan.about)
    return {
        "version": "1.0.0",
        "title": shown(case.plan.title),
        "description": shown(about.get("hypothesis") or case.plan.title),
        "tags": [shown(case.plan.kind), shown(case.plan.service), shown(case.plan.target.environment)],
        "steady-state-hypothesis": {
            "title": shown(about.get("hypothesis") or "the steady state holds"),
            "probes": [],
        },
        "method": list(_activities((s.do, s) for s in case.plan.steps)),
        "rollbacks": list(_activities((s.undo, s) for s in case.plan.steps)),
    }


def _activities(pairs: Iterator[tuple[Activity | None, Step]]) -> Iterator[dict[str, Any]]:
    for activity, step in pairs:
        if activity is not None:
            yield _activity(activity, step)


def _activity(activity: Activity, step: Step) -> dict[str, Any]:
    try:
        provider = json.loads(activity.provider)
    except ValueError:
        provider = {}
    if not isinstance(provider, dict) or "type" not in provider:
        provider = {"type": "process", "path": "unknown"}
    return {"type": "action", "name": shown(activity.name or step.name), "provider": provider}


def _state(case: Case, met: bool | None) -> dict[str, Any]:
    probes = [
        {
            "activity": {
                "type": "probe",
                "name": shown(slo.name),
                "tolerance": f"at least {slo.objective_ppm / 10_000:g} % good over {slo.window_ns / 1e9:g} s",
                "provider": {"type": "process", "path": "gameday"},
            },
            "tolerance_met": met is True,
        }
        for slo in case.plan.slos
        if slo.name in case.plan.steady_state.slos
    ]
    return {"steady_state_met": met, "probes": probes}


def _met(case: Case, name: str) -> bool | None:
    """Return whether the steady state held; None when nobody can tell."""
    finding = next((f for f in case.findings.findings if f.name == name), None)
    known = {Verdict.PASS: True, Verdict.FAIL: False}
    return known.get(finding.verdict) if finding is not None else None


def _ran(case: Case, run: StepRun) -> dict[str, Any]:
    assert run.step.do is not None
    happened = run.ended is not None and run.ended.effect is Effect.HAPPENED
    end_ns = run.end_ns if run.end_ns is not None else case.view.last_ns
    return _entry(case, _activity(run.step.do, run.step), run.start_ns, end_ns, succeeded=happened) | {
        "output": shown(run.ended.detail) if run.ended is not None else None
    }


def _undone(case: Case, undo: UndoRun) -> dict[str, Any]:
    assert undo.step.undo is not None
    end_ns = undo.end_ns if undo.end_ns is not None else case.view.last_ns
    activity = _activity(undo.step.undo, undo.step)
    return _entry(case, activity, undo.start_ns, end_ns, succeeded=undo.gone_ns is not None) | {
        "output": shown(undo.detail)
    }


def _entry(
    case: Case, activity: dict[str, Any], start_ns: int, end_ns: int, *, succeeded: bool
) -> dict[str, Any]:
    return {
        "activity": activity,
        "output": None,
        "status": "succeeded" if succeeded else "failed",
        "start": _naive(case.utc_at(start_ns)),
        "end": _naive(case.utc_at(end_ns)),
        "duration": max(end_ns - start_ns, 0) / 1e9,
    }


def _naive(utc: str) -> str:
    """Return a time as chaoslib writes it: ISO 8601 with microseconds and an offset."""
    whole, _, part = utc.removesuffix("Z").partition(".")
    return f"{whole}.{part[:6].ljust(6, '0')}+00:00"
