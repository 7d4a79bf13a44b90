"""SIGKILL the runner after every event of a drill that is no sample; nothing may stay behind.

    make killpoints                               three drills cut short, every event of each
    python -m tests.killpoints latency            this drill alone
    python -m tests.killpoints latency 7 12       only these events of it
    python -m tests.killpoints --seed 5 --modes runner,both --jobs 2

After each event the runner is killed. At a seeded third of them also:

    watchdog  the watchdog is killed: the drill goes on with another one, or halts
    both      the runner and the watchdog are killed: `gameday recover` undoes what is owed
    stop      the runner is stopped: the watchdog takes it for dead, kills it, and undoes

Each time: every fault is gone (within five seconds of the watchdog noticing, or the line says LATE: an
undo has its own time, and the machine may be busy; or when `recover` has ended), the target is whole,
the history reads back, and `gameday runs` says crashed (unless the drill had written its last record).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from gameday.actions import http
from gameday.runner.guard import BEAT_LATE_S
from gameday.runner.listing import outcome_of
from tests.bench.halt import HERE as BENCH
from tests.bench.halt import Target, fault, plan
from tests.conftest import mend, run_lab
from tests.drills import ROOT, SHORT, Run, make_project

RESCUE_MAX_S, GIVE_UP_S = 5.0, 60.0
MODES = ("runner", "watchdog", "both", "stop")
PLANS = ("primary-loss", "latency", "parallel-faults")


def lab_values(folder: Path) -> dict:
    state = json.loads((folder / "lab.json").read_text())
    values = {f"lab.{k}": v for k, v in state.items() if isinstance(v, str) and k != "token"}
    values["lab.state_file"] = str(folder / "lab.json")
    return values


class LabSite:
    """Drills on the lab. Whole: one writable primary, the users' path on it, its standby streaming, no fault."""

    def __init__(self, project: Path, lab: dict) -> None:
        self.project, self.lab = project, lab

    def why_not_whole(self) -> str:
        state = http.lab(self.lab, "GET", "/state")
        return "" if state["whole"] else json.dumps(state)

    def mend(self) -> None:
        mend(self.lab)


class BenchSite:
    """A game day with faults in parallel and one with an end of its own, on the target of the halt bench."""

    def __init__(self, project: Path, target: Target) -> None:
        self.project, self.target = project, target
        (project / "experiments").mkdir(parents=True)
        shutil.copy(BENCH / "halt_actions.py", project)

        def one(name: str, **more) -> dict:
            do = {"action": "halt_actions.put", "with": {"url": target.url, "name": name}}
            return {**fault(target.url, name, do), **more}

        steps = [
            one("a"),
            {"parallel": [one("b"), one("c", **{"for": "200ms"})]},
            {"hold": "200ms"},
        ]
        text = plan(target.url, [*steps, {"undo": "bench:b"}, {"hold": "200ms"}])
        (project / "experiments" / "parallel-faults.yaml").write_text(text)

    def why_not_whole(self) -> str:
        found = self.target.ask("GET", "/instants")
        left = sorted(set(found["in"]) - set(found["out"]))
        return f"still in place: {left}" if left else ""

    def mend(self) -> None:
        self.target.ask("POST", "/good")


def wait_whole(site, run: Run, until_s: float) -> None:
    while why := site.why_not_whole():
        assert time.monotonic() < until_s, f"{why}\n{run.explain()}"
        time.sleep(0.02)


def watchdog_of(run: Run) -> int | None:
    """The pid of the last watchdog in the history; None before there is one."""
    pids = [d["pid"] for k, d in run.kinds() if k == "HostStarted" and d["role"] == "watchdog"]
    return pids[-1] if pids else None


def kill_at(site, plan_name: str, number: int, mode: str = "runner") -> str | None:
    """Kill at the event of that number, and see that nothing stays; None when the drill ended before."""
    run = Run(site.project, plan_name)
    try:
        return _look_at(site, run, plan_name, number, mode)
    finally:
        if run.process.poll() is None:  # One that hangs must not spoil the points after it.
            run.kill()
            run.end()


def _look_at(site, run: Run, plan_name: str, number: int, mode: str) -> str | None:
    if not run.wait_lines(number):
        run.end()
        site.mend()
        return None
    watchdog = watchdog_of(run)
    if mode == "watchdog":
        took = _without_watchdog(site, run, watchdog)
    elif mode == "both":
        took = _without_both(site, run, watchdog)
    else:
        took = _without_runner(site, run, watchdog, stop=mode == "stop")
    last = [kind for kind, _ in run.kinds() if kind != "SegmentSealed"][number - 1]
    trace = run.trace()
    assert not trace.faults, f"{trace.faults}\n{run.explain()}"
    site.mend()
    limit_s = RESCUE_MAX_S + (BEAT_LATE_S if mode == "stop" else 0.0)
    late = f" LATE: over {limit_s:g} s" if mode in ("runner", "stop") and took > limit_s else ""
    return f"{plan_name} event {number:3} {last:16} {mode:8}: whole after {took:5.2f} s{late}"


def _without_runner(site, run: Run, watchdog: int | None, *, stop: bool) -> float:
    run.kill(signal.SIGSTOP if stop and watchdog else signal.SIGKILL)
    began = time.monotonic()
    if watchdog is None:  # It died before there was one; then nothing can have been injected.
        run.end()
    else:
        run.wait_rescued(GIVE_UP_S)
        run.end()
    wait_whole(site, run, began + GIVE_UP_S)
    took = time.monotonic() - began
    over = any(kind == "RunEnded" and data["outcome"] != "crashed" for kind, data in run.kinds())
    assert outcome_of(run.trace()) == "crashed" or over, run.explain()
    while watchdog is not None and not (run.folder / "report.html").exists():
        assert time.monotonic() - began < GIVE_UP_S, f"no report\n{run.explain()}"
        time.sleep(0.02)
    return took


def _without_watchdog(site, run: Run, watchdog: int | None) -> float:
    """The drill must come to an end by itself, and leave nothing; it may fail, halt or need fail-back."""
    began = time.monotonic()
    if watchdog is not None:
        os.kill(watchdog, signal.SIGKILL)
    code, out = run.end()
    assert code in (0, 1, 3, 4, 5), f"exit {code}: {out}\n{run.explain()}"
    ended = [data for kind, data in run.kinds() if kind == "RunEnded"]
    assert ended and not ended[-1]["stuck"], run.explain()
    wait_whole(site, run, time.monotonic() + 1.0)
    return time.monotonic() - began


def _without_both(site, run: Run, watchdog: int | None) -> float:
    run.kill(signal.SIGSTOP)  # So that it cannot replace the watchdog, nor inject any more.
    if watchdog is not None:
        os.kill(watchdog, signal.SIGKILL)
    run.kill(signal.SIGKILL)
    run.end()
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "gameday", "recover", str(run.folder)],
        cwd=site.project, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode in (1, 3, 4, 5), f"recover: exit {done.returncode}: {said}\n{run.explain()}"
    assert done.returncode != 3 or "nothing is" in said, f"recover: {said}\n{run.explain()}"
    wait_whole(site, run, time.monotonic() + 1.0)
    return time.monotonic() - began


def modes_at(seed: int, plan_name: str, number: int, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The runner at every event, the rest at a third of them that the seed picks."""
    picked = random.Random(f"{seed}-{plan_name}-{number}").random() < 1 / 3
    return tuple(mode for mode in wanted if mode == "runner" or picked)


def sweep(site, plan_name: str, numbers, seed: int, modes: tuple[str, ...]) -> None:
    """Kill at each of the numbers until the drill is over; print a line for each kill."""
    for number in numbers:
        for mode in modes_at(seed, plan_name, number, modes):
            try:
                said = kill_at(site, plan_name, number, mode)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                said = f"LEFT BEHIND: {plan_name} event {number} {mode}: {error}"
                site.mend()
            if said is None:
                return
            print(said, flush=True)


def sweep_part(options) -> None:
    """Sweep the events whose number falls to this part, on a lab and a target of its own."""
    part, parts = map(int, options.part.split("/"))
    numbers = options.numbers or range(1, 500, options.every)
    mine = [number for place, number in enumerate(numbers) if place % parts == part]
    with tempfile.TemporaryDirectory(prefix="killpoints-") as name:
        folder, target = Path(name), Target()
        os.environ["GAMEDAY_LAB_DIR"] = str(folder / "lab")
        on_lab = options.plan != "parallel-faults"
        assert not on_lab or run_lab(folder / "lab", "up").returncode == 0
        try:
            for plan_name in [options.plan] if options.plan else PLANS:
                if plan_name == "parallel-faults":
                    site = BenchSite(folder / "bench", target)
                else:
                    site = LabSite(make_project(folder / plan_name, **SHORT), lab_values(folder / "lab"))
                sweep(site, plan_name, mine, options.seed, tuple(options.modes.split(",")))
        finally:
            target.close()
            if on_lab:
                run_lab(folder / "lab", "down")


def sweep_all(jobs: int) -> tuple[list[str], bool]:
    """Run every part in a process of its own; a drill waits more than it computes. Return what they said."""
    lines: list[str] = []
    command = [sys.executable, "-m", "tests.killpoints", *sys.argv[1:]]
    parts = [
        subprocess.Popen([*command, "--part", f"{n}/{jobs}"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for n in range(jobs)
    ]

    def listen(process: subprocess.Popen) -> None:
        for line in process.stdout:
            lines.append(line)
            print(line, end="", flush=True)

    listeners = [threading.Thread(target=listen, args=(process,)) for process in parts]
    for thread in listeners:
        thread.start()
    for thread in listeners:
        thread.join()
    return lines, all(process.wait() == 0 for process in parts)


LINE = re.compile(r"(LEFT BEHIND: )?(\S+) event +\d+ (?:\S+ +)?(runner|watchdog|both|stop) *:")


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.killpoints")
    asked.add_argument("plan", nargs="?", choices=PLANS)
    asked.add_argument("numbers", nargs="*", type=int)
    asked.add_argument("--seed", type=int, default=3)
    asked.add_argument("--modes", default=",".join(MODES))
    asked.add_argument("--every", type=int, default=1, help="only every Nth event")
    asked.add_argument("--jobs", type=int, default=4, help="how many at a time, each on a lab of its own")
    asked.add_argument("--part", help=argparse.SUPPRESS)
    options = asked.parse_args()
    if options.part:
        sweep_part(options)
        return 0
    began = time.monotonic()
    lines, whole = sweep_all(options.jobs)
    found = [(match, line) for line in lines if (match := LINE.match(line))]
    for (plan_name, mode), group in sorted(Counter((m[2], m[3]) for m, _ in found).items()):
        mine = [(m, line) for m, line in found if (m[2], m[3]) == (plan_name, mode)]
        left, late = sum(bool(m[1]) for m, _ in mine), sum("LATE" in line for _, line in mine)
        print(f"{plan_name:16} {mode:9} {group:4} kill points, {left} left something behind, {late} late")
    left = sum(bool(match[1]) for match, _ in found)
    minutes = (time.monotonic() - began) / 60
    ending = f"{left or 'nothing'} was left behind" if whole else "a part of them ended before its time"
    print(f"{len(found)} kill points in {minutes:.1f} minutes, seed {options.seed}: {ending}")
    return 1 if left or not found or not whole else 0


if __name__ == "__main__":
    sys.exit(main())
