"""Truth: does what gameday reports agree with an outside watcher that shares no code with it?

    python -m tests.bench.truth [RTA [LAG [SYNC]]]      drills of each kind; 20, 10 and 10 by default

- primary-loss: the watcher's own downtime interval meets the reported RTA interval, and the reported
  width is at most 2 x (period + timeout);
- replication-lag: the reported RPA interval meets the window of the watcher's own orders that were
  acknowledged and are absent, read by `psql` from the recovered primary afterwards;
- primary-loss-sync: not one acknowledged order is lost, neither the watcher's nor the ledger's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from gameday.lab.programs import find_bin_dir
from tests.conftest import mend, run_lab
from tests.drills import SHORT, Run, make_project
from tests.killpoints import lab_values

WATCHER = Path(__file__).with_name("watcher.py")
WIDTH_MAX_S = 2 * (0.1 + 0.4)
APART_NS = 1_000_000_000
Judge = Callable[..., tuple[bool, str]]


class Watched:
    """What the watcher saw of one drill."""

    def __init__(self, path: Path) -> None:
        rows = [
            tuple(map(int, line.split())) for line in path.read_text().splitlines() if line.count(" ") == 3
        ]
        self.rows = sorted(rows, key=lambda row: row[1])
        bad = [n for n, row in enumerate(self.rows) if not row[3]]
        self.first = bad[0] if bad else None
        if self.first is None:
            return
        last = self.first
        for n in bad:
            if self.rows[n][1] - self.rows[last][2] > APART_NS:
                break  # The second gap is that of failing back.
            last = n
        self.last = last

    def downtime_s(self) -> tuple[float, float]:
        first, last = self.rows[self.first], self.rows[self.last]
        before, after = self.rows[self.first - 1], self.rows[self.last + 1]
        return max(last[1] - first[2], 0) / 1e9, (after[2] - before[1]) / 1e9

    def lost(self, present: set[int]) -> list[tuple[int, int, int, int]]:
        return [row for row in self.rows if row[3] and row[0] not in present]

    def window_s(self, lost: list) -> tuple[float, float]:
        """How far back acknowledged orders of the watcher's own are gone."""
        acked = [row for row in self.rows[: self.first] if row[3]]
        before = [row for row in acked if row[2] < lost[0][2]]
        sent = before[-1][1] if before else acked[0][1]
        return max(acked[-1][2] - lost[0][2], 0) / 1e9, (self.rows[self.first][2] - sent) / 1e9


def present(lab: dict, marker: str) -> set[int]:
    """The watcher's orders that are there, read by psql from the primary."""
    state = json.loads(Path(lab["lab.state_file"]).read_text())
    out = subprocess.run(
        [
            str(find_bin_dir() / "psql"),
            state["nodes"]["a"]["dsn"],
            "-Atc",
            f"select number from orders where marker = '{marker}'",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return {int(line) for line in out.stdout.split()}


class Failed(Exception):
    """A drill that did not pass: it counts as not agreeing, and says why."""


def watched_drill(project: Path, lab: dict, plan: str, number: int) -> tuple[Watched, dict, set[int]]:
    marker, path = f"watch-{plan}-{number}", project / f"watch-{plan}-{number}.txt"
    watcher = subprocess.Popen(
        [sys.executable, str(WATCHER), lab["lab.url"], marker, str(path)], stdin=subprocess.PIPE
    )
    run = Run(project, plan)
    code, out = run.end(120)
    watcher.communicate()
    there = present(lab, marker)
    mend(lab)
    if code != 0:
        raise Failed(f"the drill ended with {code}\n{out}")
    found = json.loads((run.folder / "findings.json").read_text())
    return Watched(path), found, there


def meets(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def show(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f} s"


def rta(seen: Watched, found: dict, _there: set[int]) -> tuple[bool, str]:
    mine, theirs = (found["rta_s"]["min"], found["rta_s"]["max"]), seen.downtime_s()
    width_s = mine[1] - mine[0]
    good = meets(mine, theirs) and width_s <= WIDTH_MAX_S
    return good, f"reported {show(mine)}, {width_s:.3f} s wide, watcher {show(theirs)}"


def lag(seen: Watched, found: dict, there: set[int]) -> tuple[bool, str]:
    lost = seen.lost(there)
    mine = (found["rpa_s"]["min"], found["rpa_s"]["max"])
    theirs = seen.window_s(lost) if lost else (0.0, 0.0)
    holds = "contains" if mine[0] <= theirs[0] and theirs[1] <= mine[1] else "meets"
    counts = f"{len(lost)} of the watcher's, {found['ledger']['lost']} of the ledger's"
    return bool(lost) and meets(mine, theirs), f"reported {show(mine)} {holds} {show(theirs)} ({counts})"


def sync(seen: Watched, found: dict, there: set[int]) -> tuple[bool, str]:
    lost, acked = len(seen.lost(there)), sum(row[3] for row in seen.rows)
    ledger = found["ledger"]["lost"]
    return lost == 0 and ledger == 0, f"{lost} of {acked} of the watcher's lost, {ledger} of the ledger's"


KINDS = (("primary-loss", rta), ("replication-lag", lag), ("primary-loss-sync", sync))


def hold_against(project: Path, lab: dict, plan: str, judge: Judge, count: int) -> int:
    """Run `count` watched drills of one plan and return how many did not agree."""
    agreed = 0
    for number in range(count):
        try:
            good, words = judge(*watched_drill(project, lab, plan, number))
        except Failed as failed:
            good, words = False, str(failed)
        agreed += good
        print(f"{plan} {number + 1:2}: {words}: {'agrees' if good else 'DIFFERS'}", flush=True)
    print(f"{plan}: {agreed} of {count} agree")
    return count - agreed


def main() -> int:
    counts = [int(word) for word in sys.argv[1:]] + [20, 10, 10][len(sys.argv) - 1 :]
    with tempfile.TemporaryDirectory(prefix="truth-") as name:
        folder = Path(name) / "lab"
        assert run_lab(folder, "up").returncode == 0
        os.environ["GAMEDAY_LAB_DIR"] = str(folder)
        try:
            project = make_project(Path(name) / "project", **SHORT)
            lab = lab_values(folder)
            wrong = sum(
                hold_against(project, lab, plan, judge, count)
                for (plan, judge), count in zip(KINDS, counts, strict=True)
            )
        finally:
            run_lab(folder, "down")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
