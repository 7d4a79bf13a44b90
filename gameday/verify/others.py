"""The other findings: the steady state before and after, effects, loads, what is left, why it halted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .offered import offered
from .run import PLAN, Run
from .segments import PPM, Total
from .strictjson import get, maybe, rows, texts

ACHIEVED_MIN_PPM = OFFERED_MIN_PPM = 980_000
BUSY_MAX_PPM = 900_000
HALTED_OUTSIDE = ("baseline", "history", "load", "watchdog", "safety lever", "lease", "approval")


@dataclass(frozen=True, slots=True)
class Other:
    """A finding without an interval."""

    name: str
    verdict: str
    numbers: dict[str, Any] = field(default_factory=dict)


def before(run: Run) -> Other:
    """Return whether the steady state held before the first fault."""
    return Other("steady state before", "pass" if "running" in run.phases else "unknown")


def after(run: Run) -> Other:
    """Return whether it was held again at the end."""
    name, finished = "steady state after", run.phases.get("finished")
    if not run.started:
        return Other(name, "not_tested")
    if finished is None or run.is_lost:
        return Other(name, "unknown")
    reason = get(finished.data, "reason", str, "PhaseChanged")
    if reason == "the steady state held":
        return Other(name, "pass")
    if reason.startswith("the load was stopped by the halt") or run.is_interrupted:
        return Other(name, "unknown")
    return Other(name, "fail")


def effects(run: Run) -> list[Other]:
    """Return for each fault of the plan whether its own read-back saw it."""
    injected = {fault.step["id"]: fault for fault in run.faults}
    found = []
    for step in run.steps:
        if step.get("kind") == "fault":
            fault = injected.get(step["id"])
            verdict = "not_tested" if fault is None else "pass" if fault.took_effect is True else "unknown"
            found.append(Other(f"fault took effect: {get(step, 'name', str, PLAN)}", verdict))
    return found


def loads(run: Run) -> list[Other]:
    """Return for each load whether what was offered was achieved."""
    reports = run.history.all("LoadReported")
    lost = any(r.data.get("state") == "lost" for r in reports)
    found = []
    for load in rows(run.plan, "load", PLAN):
        name = get(load, "name", str, PLAN)
        if name == tried_load(run):
            continue  # Each trial of a capacity sign-off says that for itself.
        total = run.history.loads.totals.get(name, Total())
        asked, slack = offered(run, load, total)
        shorts = sum(r.data.get("state") == "short" and r.data.get("load") == name for r in reports)
        numbers = {
            "asked": asked, "intended": total.intended, "started_on_time": total.started, "late": total.late,
            "dropped": total.dropped, "good": total.good, "bad": total.bad,
            "generator_busy_max_ppm": total.busy_ppm, "times_short": shorts,
        }  # fmt: skip
        short = shorts > 0
        if asked is not None:
            short = (total.intended + slack) * PPM < asked * OFFERED_MIN_PPM
        found.append(Other(f"load {name}", _load(total, lost=lost, short=short), numbers))
    return found


def tried_load(run: Run) -> str:
    """Return which load a capacity sign-off tries; empty for other drills."""
    capacity = maybe(run.plan, "capacity", dict, PLAN)
    return get(capacity, "load", str, PLAN) if capacity else ""


def _load(total: Total, *, lost: bool, short: bool) -> str:
    if lost or short or not total.intended or not total.good + total.bad:
        return "unknown"
    if total.started * PPM // total.intended >= ACHIEVED_MIN_PPM:
        return "pass"
    return "unknown" if total.busy_ppm > BUSY_MAX_PPM or total.late > total.dropped else "fail"


def left(run: Run) -> tuple[Other, set[str]]:
    """Return whether anything that may have been put in place is left, and which steps."""
    if not run.started:
        return Other("no fault is left", "pass"), set()
    injected = {fault.step["id"] for fault in run.faults}
    owed: dict[str, list[str]] = {}
    for step in run.steps:
        name = step["id"]
        owes = step.get("undo") is not None or bool(step.get("undo_by_hand"))
        if not owes or name not in run.started or (step.get("kind") == "fault" and name not in injected):
            continue
        for target in texts(step, "supersedes", PLAN):
            owed.pop(target, None)
        owed.setdefault(step.get("target") or name, []).append(name)
    undone = {
        r.data.get("step") for r in run.history.all("UndoEnded") if get(r.data, "undone", bool, "UndoEnded")
    }
    stuck = set(texts(run.end.data, "stuck", "RunEnded")) if run.end else set()
    found = ({step for steps in owed.values() for step in steps} - undone) | stuck
    unread = {
        step["id"]
        for step in run.steps
        if step.get("kind") == "fault" and step.get("undo") is not None and step.get("in_place") is None
    }
    clean = "unknown" if undone & unread else "pass"  # Only an undo that was read back shows anything.
    return Other("no fault is left", "fail" if found else clean), found


def halt(run: Run) -> list[Other]:
    """Return why the run halted, if it did."""
    if run.halted is None:
        return []
    outside = run.is_interrupted or run.is_lost or run.halted_by in HALTED_OUTSIDE
    numbers: dict[str, Any] = {"halted_at_ns": run.halted.at_ns}
    gone = [
        maybe(r.data, "read_back_ns", int, "UndoEnded") or r.at_ns
        for r in run.history.all("UndoEnded")
        if r.data.get("undone") is True
    ]
    if gone:
        numbers |= {"last_fault_gone_ns": max(gone), "halt_to_gone_ns": max(max(gone) - run.halted.at_ns, 0)}
    return [Other("no stop condition was breached", "unknown" if outside else "fail", numbers)]
