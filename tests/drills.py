"""Helpers for tests that run whole drills: start one as a process, wait for events, look at the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from gameday.history.read import read_records

ROOT = Path(__file__).resolve().parent.parent


def make_project(folder: Path, **changes: str) -> Path:
    """A project folder with the repository's drills, each text in `changes` replaced in every plan."""
    for part in ("experiments", "loadprofiles", "runbooks"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for plan in (folder / "experiments").glob("*.yaml"):
        text = plan.read_text()
        for old, new in changes.items():
            text = text.replace(old, new)
        plan.write_text(text)
    return folder


SHORT = {
    "baseline: 5s": "baseline: 1s",
    "stabilise: 5s": "stabilise: 1s",
    "hold: 6s": "hold: 2s",
    "window: 5s": "window: 1s",
    "objective: 95%": "objective: 80%",
}


class Run:
    """One `gameday run` in a process of its own."""

    def __init__(self, project: Path, plan: str, *more: str, env: dict | None = None) -> None:
        self.folder = project / "runs" / f"run-{time.monotonic_ns()}"
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gameday",
                "run",
                f"experiments/{plan}.yaml",
                "--plain",
                "--run-dir",
                str(self.folder),
                *more,
            ],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def kinds(self) -> list[tuple[str, dict]]:
        try:
            lines = (self.folder / "history.jsonl").read_bytes().split(b"\n")[:-1]
        except OSError:
            return []
        out = []
        for line in lines:
            try:
                item = json.loads(line)
            except ValueError:
                continue
            out.append((item["kind"], item["data"]))
        return out

    def wait_for(self, is_it, timeout_s: float = 40.0) -> None:
        """Wait until an event satisfies `is_it(kind, data)`."""
        give_up = time.monotonic() + timeout_s
        while not any(is_it(kind, data) for kind, data in self.kinds()):
            assert time.monotonic() < give_up, self.explain()
            if self.process.poll() is not None and not self.kinds():
                raise AssertionError(f"the drill did not start: {self.end()}")
            time.sleep(0.005)

    def wait_lines(self, count: int, timeout_s: float = 60.0) -> bool:
        """Wait until the history has `count` events that are no seals; False when it ended before."""
        give_up = time.monotonic() + timeout_s
        while True:
            kinds = [k for k, _ in self.kinds() if k != "SegmentSealed"]
            if len(kinds) >= count:
                return True
            if kinds and kinds[-1] == "RunEnded":
                return False
            if not kinds and self.process.poll() is not None:
                raise AssertionError(f"the drill did not start: {self.end()}")
            assert time.monotonic() < give_up, self.explain()
            time.sleep(0.001)

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.process.pid, number)

    def end(self, timeout_s: float = 60.0) -> tuple[int, str]:
        out, _ = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, out

    def wait_rescued(self, timeout_s: float = 20.0) -> float:
        """Wait for the watchdog's last event; return how long it took from now."""
        began = time.monotonic()
        while not any(kind == "RunEnded" for kind, _ in self.kinds()):
            assert time.monotonic() - began < timeout_s, self.explain()
            time.sleep(0.01)
        return time.monotonic() - began

    def explain(self) -> str:
        events = "\n".join(f"{k} {d}" for k, d in self.kinds()[-25:])
        return f"run folder {self.folder}\n{events}"

    def trace(self):
        return read_records(self.folder)
