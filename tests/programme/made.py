"""A project with 37 simulated drills of the past: folders, and a register entered day by day."""

from __future__ import annotations

import json
from datetime import date, timedelta

from gameday.evidence.register import Register
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
    for number in range(SIMULATED):
        _simulated(project, number)
    return project


def _simulated(project, number):
    """One drill of the past: its folder, and what the register says of it."""
    plan = PLANS[number % len(PLANS)]
    run = f"sim-{number:02}"
    folder = write(simulate(1000 + number), project / "runs" / plan / run)
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
