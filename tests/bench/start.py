"""How long a person waits for `gameday --help` and for `gameday validate` of a native plan.

    python -m tests.bench.start [RUNS]

Each in a process of its own, in turn with an empty program of the same interpreter and with one that
imports only the libraries that reading a plan needs (pydantic, PyYAML): what is above the second is
ours. The first run of each is thrown away: it writes the byte code, as an installation does. Figures
are wall and processor time; the median of one machine under other work says little, the least more.

Goals (the least of all runs): help in 150 ms, validate in 300 ms.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOALS_MS = {"help": 150, "validate": 300}
GAMEDAY = [sys.executable, "-c", "from gameday.cli.main import program; program()"]
CASES = {
    "empty program": [sys.executable, "-c", "pass"],
    "libraries": [sys.executable, "-c", "import pydantic.main, pydantic.json_schema, yaml, argparse"],
    "help": [*GAMEDAY, "--help"],
    "validate": [*GAMEDAY, "validate", "experiments/primary-loss.yaml"],
}


def spent_ms(argv: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Return wall and processor time of one process."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(argv, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, check=True)
    wall_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall_s * 1000, used_s * 1000


def main(words: list[str]) -> int:
    """Print the figures; return 1 when a goal is missed."""
    runs = int(words[0]) if words else 15
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
    for number in range(runs + 1):
        for name, argv in CASES.items():
            spent = spent_ms(argv, env)
            if number:
                found[name].append(spent)
    base = min(wall for wall, _ in found["libraries"])
    print(f"{'':14} {'wall, ms':>20} {'processor, ms':>20}   ratio to the libraries (least)")
    print(f"{'':14} {'least':>10}{'median':>10} {'least':>10}{'median':>10}")
    missed = False
    for name, pairs in found.items():
        walls, cpus = [w for w, _ in pairs], [c for _, c in pairs]
        goal = GOALS_MS.get(name)
        late = goal is not None and min(walls) > goal
        missed |= late
        judged = "" if goal is None else f"   goal {goal} ms: {'MISSED' if late else 'held'}"
        print(
            f"{name:14} {min(walls):10.0f}{statistics.median(walls):10.0f} {min(cpus):10.0f}"
            f"{statistics.median(cpus):10.0f}   {min(walls) / base:5.2f}{judged}"
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
