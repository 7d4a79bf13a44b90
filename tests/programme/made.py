"""A project with 37 simulated drills of the past: folders, and a register entered day by day."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from itertools import count, islice

from gameday.evidence.register import Register
from gameday.history.events import RunEnded, RunnerLost, UndoEnded, UndoStarted
from tests.drills import SHORT, make_project
from tests.simulated import simulate, write

SERVICES = {
    "primary-loss": "orders",
    "latency": "orders",
    "cpu-pressure": "payments",
    "replication-lag": "search",
}
PLANS = (*SERVICES, "no-longer-there")
SIMULATED, FIRST, EVERY_DAYS = 37, date(2025, 7, 2), 13


def make_programme(folder):
    """Make the project, and return its folder."""
    project = make_project(folder, **SHORT)
    for path in (project / "experiments").iterdir():
        if path.stem not in SERVICES:
            path.unlink(missing_ok=True)
            continue
        path.write_text(path.read_text().replace("service: orders", f"service: {SERVICES[path.stem]}"))
    for number, drill in enumerate(islice(_drills(), SIMULATED)):
        _simulated(project, number, drill)
    return project


def _drills():
    """Drills of which none owes an undo: what is owed would keep the real ones from starting."""
    for seed in count(1083):
        drill = simulate(seed)
        if isinstance(drill.trace.records[-1].event, RunEnded):
            yield _taken_back(drill)


def _taken_back(drill):
    """The drill with its fault taken back at the end, as a runner does; left alone where it crashed."""
    trace = drill.trace
    events = [record.event for record in trace.records]
    if not isinstance(events[-1], RunEnded) or any(isinstance(e, UndoStarted | RunnerLost) for e in events):
        return drill
    *before, clock, end = trace.records
    at = clock.at_ns
    undo = (UndoStarted("1-fault", "end"), UndoEnded("1-fault", undone=True, read_back_ns=at))
    undone = [replace(clock, at_ns=at, event=event) for event in undo]
    records = [replace(r, seq=n) for n, r in enumerate([*before, *undone, clock, end], start=1)]
    return replace(drill, trace=replace(trace, records=tuple(records)))


def _simulated(project, number, drill):
    """One drill of the past: its folder, and what the register says of it."""
    plan = PLANS[number % len(PLANS)]
    run = f"sim-{number:02}"
    folder = write(drill, project / "runs" / plan / run)
    at = f"{FIRST + timedelta(days=EVERY_DAYS * number)}T10:00:00Z"
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    kinds = {line["kind"] for line in lines}
    end = "crashed" if "RunnerLost" in kinds else "halted" if "Halted" in kinds else "finished"
    verdict = json.loads((folder / "findings.json").read_text())["verdict"]
    register = Register(project / "register")
    register.enter(
        {"kind": "started", "run": run, "plan": f"experiments/{plan}.yaml",
         "service": SERVICES.get(plan, "archive"), "drill_kind": "dr"}, at_utc=at,
    )  # fmt: skip
    register.enter({"kind": end, "run": run, "verdict": verdict}, at_utc=at)
