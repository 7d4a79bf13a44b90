"""How long a drill takes to halt after the cause of an alert, wherever in the scrape's interval it comes.

    python -m tests.bench.alert [RUNS]

Real Prometheus (scrape 2 s, rules 1 s), the lab, one drill for each run with a stop condition on the
alert. The cause comes at RUNS moments spread evenly over the interval between two scrapes, counted from
the scrape that was just seen. Times are those of one clock (boot time): the cause is set here, the halt is
what the history says.

Goal: every halt within scrape interval + rule interval + 1 s.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import run_lab
from tests.monitoring import Monitoring

SCRAPE_S, RULE_S = 2.0, 1.0
GOAL_S = SCRAPE_S + RULE_S + 1.0
RUNS = 20


def one(folder: Path, monitoring: Monitoring, phase_s: float) -> float:
    """Run one drill, bring the cause `phase_s` after a scrape, and return how long the halt took."""
    from tests.runner.test_monitoring import drill, halted_after_s  # noqa: PLC0415 - as its tests make them

    monitoring.heat = 1.0
    monitoring.wait_for(lambda: monitoring.value('ALERTS{alertname="Hot"}') is None)
    run = drill(folder, f"name: red, prometheus: {{url: '{monitoring.url}', alert: Hot}}")
    run.wait_for(lambda kind, data: kind == "StepEnded" and data["in_place"])
    seen = monitoring.requests["200"]
    while monitoring.requests["200"] == seen:
        time.sleep(0.005)
    time.sleep(phase_s)
    caused_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    monitoring.heat = 9.0
    code, out = run.end()
    assert code == 1, out
    return halted_after_s(run, caused_ns)


def main(words: list[str]) -> int:
    """Print each halt and the worst; return 1 when one was later than the goal."""
    runs = int(words[0]) if words else RUNS
    with tempfile.TemporaryDirectory(prefix="gd-alert-") as name:
        folder = Path(name)
        os.environ |= {"GAMEDAY_LAB_DIR": str(folder / "lab"), "GAMEDAY_KEY": str(folder / "runner.key")}
        done = run_lab(folder / "lab", "up")
        if done.returncode:
            sys.exit(f"the lab did not start: {done.stderr}")
        (folder / "monitoring").mkdir()
        monitoring = Monitoring(folder / "monitoring", scrape=f"{SCRAPE_S:g}s", rule=f"{RULE_S:g}s")
        found = []
        try:
            for number in range(runs):
                phase_s = SCRAPE_S * number / runs
                (folder / str(number)).mkdir()
                found.append(one(folder / str(number), monitoring, phase_s))
                print(f"cause {phase_s:4.2f} s after a scrape: halted {found[-1]:5.2f} s later", flush=True)
        finally:
            monitoring.close()
            run_lab(folder / "lab", "down")
    late = sum(took > GOAL_S for took in found)
    print(
        f"{len(found)} halts after {min(found):.2f} to {max(found):.2f} s, median "
        f"{statistics.median(found):.2f} s; at most {GOAL_S:g} s: {f'{late} MISSED' if late else 'held'}"
    )
    return int(late > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
