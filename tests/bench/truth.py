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
from pathlib import Path

from gameday.lab.programs import find_bin_dir
from tests.conftest import mend, run_lab
from tests.drills import SHORT, Run, make_project
from tests.killpoints import lab_values

WATCHER = Path(__file__).with_name("watcher.py")
WIDTH_MAX_S = 2 * (0.1 + 0.4)
APART_NS = 1_000_000_000


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


def watched_drill(project: Path, lab: dict, plan: str, number: int) -> tuple[Watched, dict, set[int]]:
    marker, path = f"watch-{plan}-{number}", project / f"watch-{plan}-{number}.txt"
    watcher = subprocess.Popen(
        [sys.executable, str(WATCHER), lab["lab.url"], marker, str(path)], stdin=subprocess.PIPE
    )
    run = Run(project, plan)
    code, out = run.end(120)
    watcher.communicate()
    there = present(lab, marker)
    found = json.loads((run.folder / "findings.json").read_text())
    assert code == 0, out
    mend(lab)
    return Watched(path), found, there


def meets(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def show(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f} s"


def rta(project: Path, lab: dict, count: int) -> int:
    agreed = 0
    for number in range(count):
        seen, found, _ = watched_drill(project, lab, "primary-loss", number)
        mine, theirs = (found["rta_s"]["min"], found["rta_s"]["max"]), seen.downtime_s()
        good = meets(mine, theirs) and mine[1] - mine[0] <= WIDTH_MAX_S
        agreed += good
        print(
            f"RTA {number + 1:2}: reported {show(mine)}, watcher {show(theirs)}: {'agrees' if good else 'DIFFERS'}",
            flush=True,
        )
    print(f"RTA: {agreed} of {count} agree, none wider than {WIDTH_MAX_S:.1f} s")
    return count - agreed


def lag(project: Path, lab: dict, count: int) -> int:
    agreed = 0
    for number in range(count):
        seen, found, there = watched_drill(project, lab, "replication-lag", number)
        lost = seen.lost(there)
        mine = (found["rpa_s"]["min"], found["rpa_s"]["max"])
        theirs = seen.window_s(lost) if lost else (0.0, 0.0)
        good = bool(lost) and meets(mine, theirs)
        agreed += good
        print(
            f"RPA {number + 1:2}: reported {show(mine)}, truly lost {show(theirs)} ({len(lost)} of the watcher's, "
            f"{found['ledger']['lost']} of the ledger's): {'agrees' if good else 'DIFFERS'}",
            flush=True,
        )
    print(f"RPA: {agreed} of {count} agree")
    return count - agreed


def sync(project: Path, lab: dict, count: int) -> int:
    agreed = 0
    for number in range(count):
        seen, found, there = watched_drill(project, lab, "primary-loss-sync", number)
        lost = len(seen.lost(there))
        good = lost == 0 and found["ledger"]["lost"] == 0
        agreed += good
        acked = sum(row[3] for row in seen.rows)
        print(
            f"sync {number + 1:2}: {lost} of {acked} of the watcher's lost, {found['ledger']['lost']} of the ledger's",
            flush=True,
        )
    print(f"sync: nothing lost in {agreed} of {count}")
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
            wrong = (
                rta(project, lab, counts[0]) + lag(project, lab, counts[1]) + sync(project, lab, counts[2])
            )
        finally:
            run_lab(folder, "down")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
