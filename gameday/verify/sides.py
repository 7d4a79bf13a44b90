"""The load before, during and after the fault: how many requests there were, and whether anybody saw.

    before   until the steps' begin (or the first fault's command if that is earlier), for as long as the plan
             wants the baseline held, but not from before the baseline's begin
    during   from the first fault's command until no fault is left
    after    what load there is from then on

A fault is over when its undo was read back. If a step that superseded its undo was started, it is over
when every service that was lost had come back; failing that, when the last undo of all was read back.
The finding sets no limit: it is unknown where for more than half of the time before or during there was no
load at all. Recomputed here are the three stretches, all requests and failures in them,
and the verdict; rates, percentiles and intervals are for information and stand as stated.
"""

from __future__ import annotations

from typing import Any

from .others import Other
from .recovery import outage_of
from .run import PLAN, Run
from .segments import Answers
from .strictjson import get, maybe, rows, texts

BUCKET_NS = 100_000_000


def compared(run: Run) -> list[Other]:
    """Return the finding on each load that has names of requests; none without a baseline and a fault."""
    answers = run.history.loads.answers
    begun_ns, steps_ns = run.phase_ns("baseline"), run.phase_ns("running")
    if (
        begun_ns is None
        or steps_ns is None
        or not run.faults
        or not any(a.is_named for a in answers.values())
    ):
        return []
    fault_ns = run.faults[0].at_ns
    ended_ns = max((a.start[n] for a in answers.values() for n in range(len(a.start))), default=0) + BUCKET_NS
    over_ns = _over_ns(run)
    over_ns = ended_ns if over_ns is None else max(fault_ns, min(over_ns, ended_ns))
    steps_ns = min(steps_ns, fault_ns)
    held_ns = get(get(run.plan, "steady_state", dict, PLAN), "baseline_ns", int, PLAN)
    begun_ns = max(begun_ns, steps_ns - held_ns) if held_ns else begun_ns
    sides = {"before": (begun_ns, steps_ns), "during": (fault_ns, over_ns), "after": (over_ns, ended_ns)}
    found = []
    for load in rows(run.plan, "load", PLAN):
        name = get(load, "name", str, PLAN)
        mine = answers.get(name)
        if mine is not None and mine.is_named:
            found.append(_compared(f"load {name}: before and during the fault", mine, sides))
    return found


def _compared(name: str, answers: Answers, sides: dict[str, tuple[int, int]]) -> Other:
    numbers: dict[str, Any] = {}
    seen: list[bool] = []
    for side, (from_ns, until_ns) in sides.items():
        inside = [n for n, at_ns in enumerate(answers.start) if from_ns <= at_ns < until_ns]
        failed = sum(answers.failed[n] for n in inside)
        slices = {(answers.start[n] - from_ns + BUCKET_NS // 2) // BUCKET_NS for n in inside}
        seen.append(2 * (len(slices) + 1) * BUCKET_NS >= until_ns - from_ns)
        numbers |= {
            f"{side}_from_ns": from_ns, f"{side}_until_ns": until_ns,
            f"{side}_requests": failed + sum(answers.good[n] for n in inside), f"{side}_failed": failed,
        }  # fmt: skip
    return Other(name, "pass" if seen[0] and seen[1] else "unknown", numbers)  # Before, during, after.


def _over_ns(run: Run) -> int | None:
    """Return when the last fault was over; None when one was not."""
    gone: dict[str, int] = {}
    for record in run.history.all("UndoEnded"):
        if get(record.data, "undone", bool, "UndoEnded"):
            read_ns = maybe(record.data, "read_back_ns", int, "UndoEnded")
            gone[get(record.data, "step", str, "UndoEnded")] = read_ns or record.at_ns
    superseded = {t for s in run.steps if s["id"] in run.started for t in texts(s, "supersedes", PLAN)}
    elsewhere_ns = _back_ns(run) or max(gone.values(), default=None)
    latest_ns = 0
    for step in (fault.step for fault in run.faults):
        over_ns = gone.get(step["id"])
        if over_ns is None and (step.get("target") or step["id"]) in superseded:
            over_ns = elsewhere_ns
        if over_ns is None:
            return None
        latest_ns = max(latest_ns, over_ns)
    return latest_ns


def _back_ns(run: Run) -> int | None:
    lost = [o for o in (outage_of(run, row) for row in rows(run.plan, "objectives", PLAN)) if o and o.onset]
    back = [outage.back[1] for outage in lost if outage.back]
    return max(back) if back and len(back) == len(lost) else None
