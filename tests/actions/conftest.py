"""A folder of fault records for each test, and real processes to be hurt; nothing may be left behind."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from gameday import procfs
from gameday.actions import faults, procs


@pytest.fixture(autouse=True)
def fault_dir(tmp_path, monkeypatch):
    """Records of this test alone. Whatever fault it left is ended, and the test fails for it."""
    folder = tmp_path / "faults"
    monkeypatch.setenv("GAMEDAY_FAULT_DIR", str(folder))
    yield folder
    left = [r.stem for r in folder.glob("*.json") if faults.workers(r.stem)] if folder.exists() else []
    for name in left:
        faults.end(name)
    assert not left, f"faults left behind: {left}"


@pytest.fixture
def unique(request, tmp_path):
    """A name that no other process on this machine has, good for faults and command lines."""
    return f"t{abs(hash((str(tmp_path), time.monotonic_ns()))):x}"


class Victim:
    """A Python program in a process of its own, which answers a line with a line."""

    def __init__(self, code: str, mark: str, **more) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-c", code, mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **more,
        )
        self.ticks = procfs.start_ticks(self.process.pid)
        wait(lambda: mark in procs.command_line(self.process.pid), what="the victim's command line")

    @property
    def pid(self):
        return self.process.pid

    def ask(self, word: str = "") -> str:
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


ECHO = "import sys\nfor line in sys.stdin: print('echo', line.strip())"


@pytest.fixture
def victim(unique):
    """Start victims; they are ended with the test."""
    started = []

    def start(code: str = ECHO, mark: str = unique, **more) -> Victim:
        started.append(Victim(code, mark, **more))
        return started[-1]

    yield start
    for each in started:
        each.close()


def wait(is_so, timeout_s: float = 10.0, what: str = "it") -> None:
    give_up = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < give_up, f"{what} did not come about within {timeout_s:g} s"
        time.sleep(0.01)


def cpu_s(name: str) -> float:
    """Processor time that the living processes of a fault have used."""
    total = 0
    for pid, _ in faults.workers(name):
        fields = procfs.stat(pid)
        total += int(fields[11]) + int(fields[12]) if fields else 0
    return total / 100
