"""What people carried out in the place of actions, and that a table-top shows nothing."""

from __future__ import annotations

from typing import Any

from .others import Other
from .run import PLAN, Run
from .strictjson import get

TABLE_TOP = "table-top"
MODE, PLANNED, OBJECTIVE = "mode", "planned.", "objective."


def is_table_top(run: Run) -> bool:
    """Tell whether people walked through it, and nothing else happened."""
    target = get(run.plan, "target", dict, PLAN)
    return target.get("environment") == TABLE_TOP and _about(run).get(MODE) == TABLE_TOP


def table_top(run: Run) -> list[Other]:
    """Return all findings of a table-top: each objective is not tested, and what was reported done."""
    services = [key.removeprefix(OBJECTIVE) for key in _about(run) if key.startswith(OBJECTIVE)]
    names = [TABLE_TOP, *(f"objective {service}" for service in services)]
    return [*(Other(name, "not_tested") for name in names), *by_hand(run)]


def by_hand(run: Run) -> list[Other]:
    """Return what became of the steps by hand: how many were reported done, and how long each took."""
    about = _about(run)
    if not about.get(MODE):
        return []
    said = {get(r.data, "step", str, r.kind): r.data for r in run.history.all("ManualReported")}
    steps = [step for step in run.steps if step.get("kind") == "manual"]
    done = [step for step in steps if said.get(step["id"], {}).get("done") is True]
    numbers: dict[str, Any] = {}
    for step in done:
        name = get(step, "id", str, PLAN)
        end = run.ended.get(name)
        if end is None:
            continue
        written = about.get(f"{PLANNED}{name}", "")
        planned = int(written) if written.isdecimal() else get(step, "deadline_ns", int, PLAN)
        numbers |= {f"{name} took_ns": end.at_ns - run.started[name], f"{name} planned_ns": planned}
    verdict = "pass"
    if len(done) < len(steps):
        verdict = "fail" if any(report.get("done") is not True for report in said.values()) else "unknown"
    return [Other("steps by hand", verdict, numbers)]


def _about(run: Run) -> dict[str, str]:
    """Return the plan's papers; they stand in it as pairs."""
    pairs = get(run.plan, "about", list, PLAN)
    return {pair[0]: pair[1] for pair in pairs if isinstance(pair, list) and len(pair) == 2}
