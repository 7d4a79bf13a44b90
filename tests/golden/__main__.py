"""Record the golden runs, or judge them anew.

python -m tests.golden               record: a whole drill, one that a limit halts, one whose runner dies
python -m tests.golden findings      write what the checkers say now of the runs there are
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

from gameday.runner.conclude import conclude
from tests.conftest import run_lab
from tests.drills import SHORT, Run, make_project
from tests.golden import HERE, NAMES, pack, unpack

HASTY = {**SHORT, "probe: payments-untouched, bad: 3": "probe: place-order, bad: 2"}


def record(folder: Path) -> None:
    """Run the three drills, one after another, on one lab."""
    whole = Run(make_project(folder / "whole", **SHORT), "primary-loss")
    code, out = whole.end(180)
    assert code == 0, out
    keep(whole, "primary-loss")
    halted = Run(make_project(folder / "hasty", **HASTY), "primary-loss")
    code, out = halted.end(180)
    assert code == 1, out
    keep(halted, "halted")
    crashed = Run(folder / "whole", "latency")
    crashed.wait_for(lambda kind, _: kind == "StepEnded")
    crashed.kill(signal.SIGKILL)
    crashed.wait_rescued()
    crashed.end(60)
    conclude(crashed.folder)
    keep(crashed, "crashed")


def keep(run: Run, name: str) -> None:
    kept = pack(run.folder, name)
    size = sum(path.stat().st_size for path in kept.iterdir())
    print(f"{name}: {size / 1024:.0f} KiB in {kept}")


def judge() -> None:
    """Write the findings of the recorded runs as the checkers make them now."""
    for name in NAMES:
        with tempfile.TemporaryDirectory() as folder:
            run_dir = unpack(name, Path(folder) / name)
            conclude(run_dir)
            (HERE / name / "findings.json").write_bytes((run_dir / "findings.json").read_bytes())
            print(name)


def main() -> None:
    if sys.argv[1:] == ["findings"]:
        judge()
        return
    with tempfile.TemporaryDirectory(prefix="golden-") as name:
        lab = Path(name) / "lab"
        assert run_lab(lab, "up").returncode == 0
        os.environ["GAMEDAY_LAB_DIR"] = str(lab)
        try:
            record(Path(name))
        finally:
            run_lab(lab, "down")


if __name__ == "__main__":
    main()
