"""SIGKILL the runner after every event of a drill; nothing may stay behind.

    make killpoints                          every event of primary-loss and latency, cut short
    python -m tests.killpoints latency 7 12  only these events of this drill

After each kill: the watchdog has undone everything within 5 s, the lab is whole, the history reads
back, a report is there, and `gameday runs` says crashed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from gameday.actions import http
from gameday.runner.listing import outcome_of
from tests.conftest import mend, run_lab
from tests.drills import SHORT, Run, make_project

RESCUE_MAX_S = 5.0


def lab_values(folder: Path) -> dict:
    state = json.loads((folder / "lab.json").read_text())
    values = {f"lab.{k}": v for k, v in state.items() if isinstance(v, str) and k != "token"}
    values["lab.state_file"] = str(folder / "lab.json")
    return values


def wait_whole(lab: dict, run: Run, until_s: float) -> None:
    """Wait for: one writable primary, the users' path on it, its standby streaming, no fault."""
    while not (state := http.lab(lab, "GET", "/state"))["whole"]:
        assert time.monotonic() < until_s, f"{state}\n{run.explain()}"
        time.sleep(0.02)


def kill_at(project: Path, lab: dict, plan: str, number: int) -> str | None:
    """Kill the runner once the history has `number` events; None when the drill ended before."""
    run = Run(project, plan)
    if not run.wait_lines(number):
        run.end()
        mend(lab)
        return None
    run.kill()
    killed_s = time.monotonic()
    took = run.wait_rescued()
    run.end()
    wait_whole(lab, run, killed_s + RESCUE_MAX_S)
    assert took <= RESCUE_MAX_S, f"undone after {took:.2f} s\n{run.explain()}"
    trace = run.trace()
    assert not trace.faults, trace.faults
    assert outcome_of(trace) == "crashed"
    give_up = time.monotonic() + 5
    while not (run.folder / "report.html").exists():
        assert time.monotonic() < give_up, "no report"
        time.sleep(0.02)
    last = trace.records[-2].event if len(trace.records) > 1 else None
    mend(lab)
    return f"{plan} event {number:3}: whole after {took:.2f} s ({type(last).__name__})"


def main() -> int:
    plans = sys.argv[1:2] or ["primary-loss", "latency"]
    wanted = [int(word) for word in sys.argv[2:]]
    with tempfile.TemporaryDirectory(prefix="killpoints-") as name:
        folder = Path(name) / "lab"
        assert run_lab(folder, "up").returncode == 0
        os.environ["GAMEDAY_LAB_DIR"] = str(folder)
        try:
            project = make_project(Path(name) / "project", **SHORT)
            for plan in plans:
                numbers = wanted or range(
                    6, 500
                )  # before the sixth there is no watchdog, and nothing to take back
                for number in numbers:
                    said = kill_at(project, lab_values(folder), plan, number)
                    if said is None:
                        break
                    print(said, flush=True)
        finally:
            run_lab(folder, "down")
    print("nothing was left behind")
    return 0


if __name__ == "__main__":
    sys.exit(main())
