"""Faults put into the runner itself: whatever breaks, the fault is undone or named, and the exit code tells.

The drills run against the target of the halt bench (a small HTTP server that notes every fault put in
and taken out), with actions of the project's own, so each takes a second or two.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench.halt import Target, fault, plan
from tests.drills import ROOT

HERE = Path(__file__).parent
HOLD = {"hold": "20s"}
DEFECT = """
import os, sys
import gameday.runner.loop as loop
honest = loop.step
def step(state, at_ns, event):
    if os.path.exists(os.environ["BREAK_DIR"] + "/defect"):
        raise ZeroDivisionError("a defect of ours")
    return honest(state, at_ns, event)
loop.step = step
from gameday.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def target():
    found = Target()
    yield found
    found.close()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A library that breaks the disk and the clock, built here and now."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler here (cc, gcc or clang): cannot break fsync and the clock")
    out = tmp_path_factory.mktemp("library") / "breakage.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", out, HERE / "breakage.c"], check=True, timeout=60
    )
    return out


class Broken:
    """One drill whose runner can be broken."""

    def __init__(self, target, folder, steps, *, prefix=(), code=None, env=None, runs=None):
        self.target, self.folder = target, folder
        target.ask("POST", "/good")
        (folder / "experiments").mkdir()
        (folder / "experiments" / "halt.yaml").write_text(plan(target.url, steps))
        for path in (ROOT / "tests" / "bench" / "halt_actions.py", HERE / "broken_actions.py"):
            shutil.copy(path, folder)
        self.run_dir = (runs or folder) / "run"
        gameday = ["-c", code] if code else ["-m", "gameday"]
        words = ["run", "experiments/halt.yaml", "--plain", "--run-dir", str(self.run_dir)]
        self.process = subprocess.Popen(
            [*prefix, sys.executable, *gameday, *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "BREAK_DIR": str(folder), **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def switch(self, name):
        (self.folder / name).touch()

    def wait_in(self, *names, timeout_s=60):
        give_up = time.monotonic() + timeout_s
        while not set(names) <= set(self.target.ask("GET", "/instants")["in"]):
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < give_up, "the fault never came"
            time.sleep(0.01)

    def wait_event(self, kind, timeout_s=60):
        give_up = time.monotonic() + timeout_s
        while not any(found == kind for found, _ in self.events()):
            assert time.monotonic() < give_up, self.events()[-5:]
            time.sleep(0.01)

    def events(self):
        try:
            lines = (self.run_dir / "history.jsonl").read_bytes().split(b"\n")[:-1]
        except OSError:
            return []
        return [(item["kind"], item["data"]) for item in map(json.loads, lines)]

    def end(self, timeout_s=90):
        out, _ = self.process.communicate(timeout=timeout_s)
        assert "Traceback" not in out
        return self.process.returncode, out

    def is_in(self, name):
        return self.target.ask("GET", f"/fault/{name}")

    def wait_out(self, name, timeout_s=30):
        give_up = time.monotonic() + timeout_s
        while self.is_in(name):
            assert time.monotonic() < give_up, f"{name} is still in place: {self.events()[-8:]}"
            time.sleep(0.02)


def step(target, name, do="put", undo="remove", **more):
    """A fault whose action and undo are of the project's own."""
    where = {"url": target.url, "name": name}
    found = fault(target.url, name, {"action": f"broken_actions.{do}", "with": where})
    extra = {"seconds": 1.5} if undo == "slow_remove" else {}
    found["undo"] = {"action": f"broken_actions.{undo}", "with": {**where, **extra}}
    return {**found, **more}


def stuck(run):
    return next(data["stuck"] for kind, data in run.events() if kind == "RunEnded")


def halted_by(run):
    return next(data["by"] for kind, data in run.events() if kind == "Halted")


# --- the disk --------------------------------------------------------------------------------


def can_mount():
    probe = subprocess.run(
        ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    )
    return shutil.which("unshare") is not None and probe.returncode == 0


def on_small_disk(target, tmp_path, size, steps):
    """A drill whose run folder lies on a disk of its own, in a namespace of its own."""
    if not can_mount():
        pytest.skip("no user namespaces here: cannot mount a small disk (unshare -Urm)")
    runs = tmp_path / "small"
    runs.mkdir()
    project = tmp_path / "project"
    project.mkdir()
    script = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'
    prefix = ("unshare", "-Urm", "sh", "-c", script, "sh", size, str(runs))
    return Broken(target, project, steps, prefix=prefix, runs=runs)


def test_a_disk_that_becomes_full_halts_the_run_and_every_fault_is_undone(target, tmp_path):
    run = on_small_disk(target, tmp_path, "6m", [step(target, "a"), step(target, "b"), HOLD])
    run.wait_in("a", "b")
    inside = Path(f"/proc/{run.process.pid}/root{run.run_dir}")  # Its mounts are its own.
    try:
        with (inside / "filler").open("wb", buffering=0) as filler:
            while filler.write(b"\0" * 4096):
                pass
    except OSError:
        pass
    code, out = run.end()
    assert not run.is_in("a") and not run.is_in("b")
    assert code == 4, out
    assert "No space left" in out


def test_a_disk_too_small_for_the_record_means_nothing_is_injected(target, tmp_path):
    run = on_small_disk(target, tmp_path, "600k", [step(target, "a"), HOLD])
    code, out = run.end()
    assert code == 3, out
    assert "No space left" in out and "Without a record nothing is injected" in out
    assert target.ask("GET", "/instants")["in"] == {}


def preload(library):
    return {"LD_PRELOAD": str(library)}


def test_an_fsync_that_fails_halts_the_run_and_every_fault_is_undone(target, tmp_path, library):
    run = Broken(
        target,
        tmp_path,
        [step(target, "a"), {"hold": "1s"}, step(target, "late"), HOLD],
        env=preload(library),
    )
    run.wait_in("a")
    run.switch("fsync-fails")
    code, out = run.end()
    assert not run.is_in("a")
    assert "late" not in target.ask("GET", "/instants")["in"], "injected without a record"
    assert code == 4, out
    assert halted_by(run) == "history"


@pytest.mark.slow
def test_an_fsync_that_fails_from_the_start_means_nothing_is_injected(target, tmp_path, library):
    (tmp_path / "fsync-fails").touch()
    run = Broken(target, tmp_path, [step(target, "a"), HOLD], env=preload(library))
    code, out = run.end()
    assert code == 3, out
    assert target.ask("GET", "/instants")["in"] == {}


@pytest.mark.slow
def test_a_disk_that_hangs_does_not_keep_the_fault_in(target, tmp_path, library):
    run = Broken(target, tmp_path, [step(target, "a"), HOLD], env=preload(library))
    run.wait_in("a")
    run.wait_event("StepEnded")
    run.switch("fsync-hangs")
    began = time.monotonic()
    run.process.send_signal(signal.SIGINT)
    run.wait_out("a")
    took = time.monotonic() - began
    (tmp_path / "fsync-hangs").unlink()
    run.end()
    assert took < 3.5, "the undo waited for the disk"  # Four seconds is what each fsync takes.


# --- hosts -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("how", ["garbage", "silence", "vanish"])
def test_garbage_silence_and_death_of_a_host_end_in_an_undo(target, tmp_path, how):
    run = Broken(target, tmp_path, [step(target, "a", do=how, timeout="2s"), HOLD])
    code, out = run.end()
    assert not run.is_in("a")
    assert halted_by(run) == "step" and stuck(run) == []
    assert code in (1, 4), out
    ended = [data for kind, data in run.events() if kind == "StepEnded"]
    assert (
        len([data for data in ended if data["step"].endswith("-a")]) == 1
        and ended[0]["effect"] == "indeterminate"
    )


@pytest.mark.slow
def test_a_host_that_forks_and_lives_on_is_dead_before_its_fault_is_undone(target, tmp_path):
    run = Broken(target, tmp_path, [step(target, "a", do="fork_and_live_on", timeout="30s"), HOLD])
    run.wait_in("a")
    run.process.send_signal(signal.SIGINT)
    code, out = run.end()
    assert code == 4, out
    last_put = target.ask("GET", "/instants")["in"]["a"]
    time.sleep(0.2)
    assert target.ask("GET", "/instants")["in"]["a"] == last_put, "it is still injecting"
    assert not run.is_in("a") and stuck(run) == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["fork_and_live_on", "execute_and_live_on"])
def test_what_outlives_host_and_runner_that_died_together_is_dead_before_the_undo(target, tmp_path, how):
    run = Broken(target, tmp_path, [step(target, "a", do=how, timeout="30s"), HOLD])
    run.wait_in("a")
    hosts = [data["pid"] for kind, data in run.events() if kind == "HostStarted" and data["role"] == "action"]
    for pid in (run.process.pid, *hosts):
        os.kill(pid, signal.SIGKILL)
    run.wait_event("RunEnded")
    last_put = target.ask("GET", "/instants")["in"]["a"]
    time.sleep(0.2)
    assert target.ask("GET", "/instants")["in"]["a"] == last_put, "it is still injecting"
    assert not run.is_in("a") and stuck(run) == []


# --- undos -----------------------------------------------------------------------------------


def test_undos_that_raise_or_hang_are_named_and_stop_no_other(target, tmp_path):
    steps = [
        step(target, "fine"),
        step(target, "raises", undo="raise_instead", undo_timeout="1s"),
        step(target, "hangs", undo="never", undo_timeout="1s"),
        HOLD,
    ]
    run = Broken(target, tmp_path, steps)
    run.wait_in("fine", "raises", "hangs")
    run.process.send_signal(signal.SIGINT)
    run.process.send_signal(signal.SIGINT)  # A person who asks twice.
    code, out = run.end()
    assert code == 5, out
    assert not run.is_in("fine") and run.is_in("raises") and run.is_in("hangs")
    assert sorted(name.partition("-")[2] for name in stuck(run)) == ["hangs", "raises"]
    assert "A PERSON IS NEEDED" in out and "hangs" in out and "raises" in out


@pytest.mark.slow
def test_a_second_halt_during_an_undo_does_not_cut_it_short(target, tmp_path):
    run = Broken(target, tmp_path, [step(target, "a", undo="slow_remove"), HOLD])
    run.wait_in("a")
    run.process.send_signal(signal.SIGINT)
    run.wait_event("UndoStarted")
    for word in ("again", "and again"):
        subprocess.run(
            [sys.executable, "-m", "gameday", "halt", str(run.run_dir), "--reason", word],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=30, check=True,
        )  # fmt: skip
    run.process.send_signal(signal.SIGTERM)
    code, out = run.end()
    assert code == 4, out
    assert not run.is_in("a") and stuck(run) == []
    assert sum(kind == "UndoStarted" for kind, _ in run.events()) == 1


# --- the runner itself -----------------------------------------------------------------------


def test_after_a_defect_of_our_own_the_watchdog_undoes(target, tmp_path):
    run = Broken(target, tmp_path, [step(target, "a"), HOLD], code=DEFECT)
    run.wait_in("a")
    run.switch("defect")
    code, out = run.end()
    assert code == 70, out
    assert "a defect of gameday itself" in out
    run.wait_out("a")
    run.wait_event("RunEnded")
    assert stuck(run) == []


@pytest.mark.slow
def test_a_wall_clock_that_steps_changes_no_duration(target, tmp_path, library):
    run = Broken(target, tmp_path, [step(target, "a", **{"for": "1s"}), {"hold": "1s"}], env=preload(library))
    run.wait_in("a")
    run.switch("clock-steps")
    code, out = run.end()
    assert not run.is_in("a") and stuck(run) == []
    assert code in (0, 4), out
    records = [json.loads(line) for line in (run.run_dir / "history.jsonl").read_text().splitlines()]
    utc = [record["utc"] for record in records]
    assert utc != sorted(utc), "the wall clock did not step"
    at = {record["kind"]: record["at_ns"] for record in reversed(records)}  # The first of each kind.
    assert 0 < at["UndoStarted"] - at["StepStarted"] < 60e9
    assert not any(kind == "Halted" for kind, _ in run.events())
