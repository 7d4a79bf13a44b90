"""Helpers for tests that run whole drills: start one as a process, wait for events, look at the end."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import ClassVar

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


def _take_slot():
    """Wait until fewer whole drills run on this machine than it has cores; the slot, an open locked file.

    A drill on a machine that many others load as well does what it should: it halts. So as many run at once as there
    are cores, whatever the number of test workers. The drill's process inherits the lock, so it ends when that does.
    """
    while True:
        for number in range(os.cpu_count() or 1):
            slot = open(Path(tempfile.gettempdir()) / f"gameday-drill-slot-{number}", "w")  # noqa: SIM115
            try:
                fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                slot.close()
            else:
                return slot
        time.sleep(0.05)


class Run:
    """One `gameday run` in a process of its own."""

    _alive: ClassVar[
        list[subprocess.Popen]
    ] = []  # Those of this test worker: a second one beside it waits for nobody.

    def __init__(self, project: Path, plan: str, *more: str, env: dict | None = None) -> None:
        self._alive[:] = [process for process in self._alive if process.poll() is None]
        slot = contextlib.nullcontext() if self._alive else _take_slot()
        with slot as lock:
            self._start(project, plan, more, env, () if lock is None else (lock.fileno(),))

    def _start(
        self, project: Path, plan: str, more: tuple[str, ...], env: dict | None, pass_fds: tuple[int, ...]
    ):
        self.folder = project / "runs" / f"run-{time.monotonic_ns()}"
        self._read = 0
        self._kinds: list[tuple[str, dict]] = []
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
            pass_fds=pass_fds,
        )
        self._alive.append(self.process)

    def kinds(self) -> list[tuple[str, dict]]:
        """All whole records so far as (kind, data); each line of the history is read and parsed once."""
        try:
            with open(self.folder / "history.jsonl", "rb") as history:
                history.seek(self._read)
                new = history.read()
        except OSError:
            return list(self._kinds)
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            try:
                item = json.loads(line)
            except ValueError:
                continue
            self._kinds.append((item["kind"], item["data"]))
        return list(self._kinds)

    def wait_for(self, is_it, timeout_s: float = 60.0) -> None:
        """Wait until an event satisfies `is_it(kind, data)`; fails at once when the run ended without it."""
        give_up, seen = time.monotonic() + timeout_s, 0
        while True:
            gone = self.process.poll() is not None
            kinds = self.kinds()
            if any(is_it(kind, data) for kind, data in kinds[seen:]):
                return
            seen = len(kinds)
            over = gone and not kinds or any(kind == "RunEnded" for kind, _ in kinds)
            assert not over, f"the drill ended first\n{self.explain()}\n{self.end()}"
            assert time.monotonic() < give_up, self.explain()
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
