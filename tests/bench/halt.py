"""Halt latency: from the instant the target goes bad to the instant the last fault is gone.

    python -m tests.bench.halt [RUNS [PEER_RUNS]] [--only CASE]...

gameday and `chaos run` with the safeguards of chaostoolkit-addons, one after the other, with the same
actions (`halt_actions`), the same target (`halt_target`), the same guard at 10 Hz and a single bad
sample as the limit. The other tool gets `--rollback-strategy=always`, without which it would take
nothing back. The clock is CLOCK_BOOTTIME of this machine:

    begins    the target's own note of when it went bad: some time after a request of the guard, spread evenly
              over its period (run k of n somewhere in the k-th n-th of it), in a random order
    gone      the target's own note of when the fault was taken out: the same for both tools
    verified  gameday's read-back that it is gone; judged against the goal. The other tool has none.

Then ten faults at once, the undo of the last one hanging: when were the other nine gone?
Where the other tool only halts when the action ends by itself, it gets at most PEER_SLOW runs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import halt_actions

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
F_S, GRACE_S, LONG_S = 0.1, 0.05, 20
PEER_SLOW, SLOW_S = 10, 5.0
SEED = 3


class Case:
    """One kind of action: a Chaos Toolkit provider, the same for both tools."""

    def __init__(self, name: str, func: str, more: dict, grace_s: float = 0.0) -> None:
        self.name, self.func, self.more, self.grace_s = name, func, more, grace_s

    def provider(self, url: str) -> dict:
        if self.func == "process":
            words = [str(HERE / "halt_actions.py"), url, "long", str(LONG_S)]
            return {"type": "process", "path": sys.executable, "arguments": words, "timeout": 60}
        arguments = {"url": url, "name": "long", **self.more}
        return {"type": "python", "module": "halt_actions", "func": self.func, "arguments": arguments}


def regex_length(seconds: float) -> int:
    """How long a text keeps the hostile regex busy for at least that long."""
    began = time.perf_counter()
    re.match(r"(a+)+$", "a" * 20 + "b")
    took, length = time.perf_counter() - began, 20
    while took < seconds:
        took, length = took * 2, length + 1
    return length


def cases() -> list[Case]:
    return [
        Case("python", "put_and_sleep", {"seconds": LONG_S}),
        Case("process", "process", {}),
        Case("blocking-c", "put_and_block", {"seconds": LONG_S}),
        Case("regex", "put_and_match", {"length": regex_length(LONG_S)}),
        Case("ignores-sigterm", "put_and_ignore", {"seconds": LONG_S}, GRACE_S),
    ]


class Target:
    """The target, in a process of its own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "halt_target.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def ask(self, method: str, path: str):
        return halt_actions.ask(method, self.url, path)

    def wait(self, is_it, timeout_s: float, what: str) -> dict:
        give_up = time.monotonic() + timeout_s
        while not is_it(found := self.ask("GET", "/instants")):
            if time.monotonic() > give_up:
                raise TimeoutError(f"{what}: {found}")
            time.sleep(0.02)
        return found

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(5)


def strays() -> list[int]:
    """Children and grandchildren of the process case that are still there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().rstrip(b"\0").endswith((b"halt-child", b"halt-grandchild")):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def phases(seed: str, runs: int) -> list[float]:
    """When after a request of the guard the target goes bad, for each run, in seconds."""
    draw = random.Random(seed)
    return draw.sample([F_S * (n + draw.random()) / runs for n in range(runs)], runs)


def breach(target: Target, names: tuple[str, ...], phase_s: float, patience_s: float) -> dict:
    """Let the target go bad once every fault is in, and return the instants once all are out."""
    target.wait(lambda found: set(names) <= set(found["in"]), 60, "the fault never came")
    time.sleep(0.4)
    target.ask("POST", f"/bad/{phase_s * 1000}")
    return target.wait(lambda found: set(names) <= set(found["out"]), patience_s, "the fault stayed")


# --- the other tool --------------------------------------------------------------------------


def experiment(url: str, case: Case) -> dict:
    def action(name: str, func: str, more: dict) -> dict:
        provider = {
            "type": "python",
            "module": "halt_actions",
            "func": func,
            "arguments": {"url": url, **more},
        }
        return {"type": "action", "name": name, "provider": provider}

    guard = {
        "name": "well",
        "type": "probe",
        "tolerance": True,
        "frequency": F_S,
        "provider": {
            "type": "python",
            "module": "halt_actions",
            "func": "is_well",
            "arguments": {"url": url},
        },
    }
    safeguards = {
        "name": "safeguards",
        "provider": {
            "type": "python",
            "module": "chaosaddons.controls.safeguards",
            "arguments": {"probes": [guard]},
        },
    }
    return {
        "title": case.name,
        "description": case.name,
        "controls": [safeguards],
        "method": [{"type": "action", "name": "long", "provider": case.provider(url)}],
        "rollbacks": [action("take it out", "remove", {"name": "long"})],
    }


def peer_run(target: Target, case: Case, folder: Path, phase_s: float) -> dict:
    target.ask("POST", "/good")
    path = folder / "experiment.json"
    path.write_text(json.dumps(experiment(target.url, case)))
    chaos = Path(sys.executable).with_name("chaos")
    command = [str(chaos), "--no-version-check", "--no-log-file", "run", "--rollback-strategy=always"]
    process = subprocess.Popen(
        [*command, "--no-verify-tls", str(path)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        found = breach(target, ("long",), phase_s, 4 * LONG_S)
        process.wait(4 * LONG_S)
        left = len(strays())
    finally:
        _end(process)
    return {"gone_s": (found["out"]["long"] - found["bad"]) / 1e9, "left": left}


def _end(process: subprocess.Popen) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    for pid in strays():
        os.kill(pid, signal.SIGKILL)


# --- gameday ---------------------------------------------------------------------------------


def plan(url: str, steps: list[dict]) -> str:
    """A plan is YAML, and so is its JSON."""
    return json.dumps(
        {
            "title": "halt",
            "kind": "game-day",
            "service": "bench",
            "target": {"environment": "lab", "identity": {"http": f"{url}/identity"}},
            "probes": {"well": {"http": {"url": f"{url}/health"}, "every": "100ms", "timeout": "400ms"}},
            "steady_state": {"slos": [], "baseline": "100ms", "stabilise": "100ms"},
            "stop_conditions": [{"probe": "well", "bad": "1 in a row", "then": "halt"}],
            "blast_radius": {"max": "20", "duration": "5m"},
            "steps": steps,
        }
    )


def fault(url: str, name: str, do: dict, undo: str = "remove", undo_timeout: str = "30s") -> dict:
    where = {"url": url, "name": name}
    return {
        "fault": name,
        "do": do,
        "undo": {"action": f"halt_actions.{undo}", "with": where if undo == "remove" else {"seconds": 60}},
        "in_place": {"action": "halt_actions.is_there", "with": where},
        "target": f"bench:{name}",
        "ttl": "2m",
        "timeout": "60s",
        "undo_timeout": undo_timeout,
    }


def gameday_run(target: Target, text: str, names: tuple[str, ...], folder: Path, phase_s: float) -> dict:
    """One `gameday run`; what the target noted, and the instants of the history on the same clock."""
    target.ask("POST", "/good")
    (folder / "experiments").mkdir(exist_ok=True)
    (folder / "experiments" / "halt.yaml").write_text(text)
    run_dir = folder / "run"
    shutil.rmtree(run_dir, ignore_errors=True)
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "gameday",
            "run",
            "experiments/halt.yaml",
            "--plain",
            "--run-dir",
            str(run_dir),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{HERE}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        found = breach(target, names, phase_s, 4 * LONG_S)
        out, _ = process.communicate(timeout=60)
        left = len(strays())
    except TimeoutError as error:
        process.terminate()
        raise SystemExit(f"gameday: {error}\n{process.communicate(timeout=60)[0]}") from error
    return {"found": found, "left": left, "events": events(run_dir), "out": out}


def events(run_dir: Path) -> list[tuple[int, str, dict]]:
    records = [json.loads(line) for line in (run_dir / "history.jsonl").read_text().splitlines()]
    origin = int(records[0]["data"]["origin_boot_ns"])
    return [(origin + r["at_ns"], r["kind"], {**r["data"], "_origin": origin}) for r in records]


def when(events_: list, kind: str, which=lambda data: True) -> int:
    return next(at for at, name, data in events_ if name == kind and which(data))


def case_run(target: Target, case: Case, folder: Path, phase_s: float) -> dict:
    long = fault(target.url, "long", {"provider": case.provider(target.url)})
    seen = gameday_run(target, plan(target.url, [long]), ("long",), folder, phase_s)
    bad, ev = seen["found"]["bad"], seen["events"]
    undone = next(d for _, k, d in ev if k == "UndoEnded" and d["undone"])
    halted = next(d for _, k, d in ev if k == "Halted")
    stages = {
        "detected": halted["_origin"] + halted["breach_before_ns"] - bad,
        "halted": when(ev, "Halted") - bad,
        "kill": when(ev, "KillAsked") - bad,
        "dead": when(ev, "StepEnded") - bad,
        "undo": when(ev, "UndoStarted") - bad,
        "gone": seen["found"]["out"]["long"] - bad,
        "verified": undone["_origin"] + undone["read_back_ns"] - bad,
    }
    seconds = {name: ns / 1e9 for name, ns in stages.items()}
    return {
        "gone_s": seconds["gone"],
        "verified_s": seconds["verified"],
        "left": seen["left"],
        "stages": seconds,
    }


def ten_run(target: Target, folder: Path, phase_s: float) -> dict:
    """Ten faults in place, the undo of the one injected last hangs: when were the others verified gone?"""
    names = [f"f{n}" for n in range(10)]
    steps = [
        fault(target.url, name, {"action": "halt_actions.put", "with": {"url": target.url, "name": name}},
              "hang" if name == "f9" else "remove", "3s" if name == "f9" else "30s")
        for name in names
    ]  # fmt: skip
    text = plan(target.url, [*steps, {"hold": "20s"}])
    seen = gameday_run(target, text, tuple(names[:9]), folder, phase_s)
    ev = seen["events"]
    halted = when(ev, "Halted")
    started = {d["step"]: at for at, k, d in ev if k == "UndoStarted" and "f9" not in d["step"]}
    read = {d["step"]: d["_origin"] + d["read_back_ns"] for _, k, d in ev if k == "UndoEnded" and d["undone"]}
    own = sum(read[step] - started[step] for step in started) / 1e9
    ended = next(d for _, k, d in ev if k == "RunEnded")
    assert len(read) == 9 and ended["stuck"] == ["10-f9"], ended
    return {"nine_s": (max(read.values()) - halted) / 1e9, "own_s": own}


# --- the table -------------------------------------------------------------------------------


def three(values: list[float]) -> str:
    return f"{min(values):7.3f} {statistics.median(values):7.3f} {max(values):7.3f}"


def compare(target: Target, case: Case, runs: int, peer_runs: int, folder: Path) -> bool:
    our_phases, their_phases = (phases(f"{SEED}-{case.name}", max(n, 1)) for n in (runs, peer_runs))
    ours: list[dict] = []
    theirs: list[dict] = []
    for number in range(max(runs, peer_runs)):  # Turn by turn, so that both see the same machine.
        if number < runs:
            ours.append(case_run(target, case, folder, our_phases[number]))
        slow = theirs and theirs[0]["gone_s"] > SLOW_S
        if number < (min(peer_runs, PEER_SLOW) if slow else peer_runs):
            theirs.append(peer_run(target, case, folder, their_phases[number]))
    verified = [run["verified_s"] for run in ours]
    peer = [run["gone_s"] for run in theirs]
    goal, worst = F_S / 2 + 0.02 + case.grace_s, F_S + 0.1
    median = statistics.median(verified)
    ok = median <= goal and max(verified) <= worst
    ok = ok and not any(run["left"] for run in ours)
    print(f"\n{case.name}: goal median <= {goal:.3f} s, worst <= {worst:.3f} s")
    print(f"  {'':22}{'min':>7} {'median':>7} {'worst':>7}  left alive")
    print(f"  gameday, verified     {three(verified)}  {sum(run['left'] for run in ours)} (n={len(ours)})")
    print(f"  gameday, gone         {three([run['gone_s'] for run in ours])}")
    for name in ("detected", "halted", "kill", "dead", "undo"):
        print(f"    {name:20}{three([run['stages'][name] for run in ours])}")
    if theirs:
        print(
            f"  chaos + safeguards    {three(peer)}  {sum(run['left'] for run in theirs)} (n={len(theirs)})"
        )
        ratio = statistics.median(peer) / median
        ahead = ratio > 1 and max(peer) > max(verified)
        print(f"  ratio {ratio:.1f} by the median, {max(peer) / max(verified):.1f} by the worst")
        ok = ok and ahead
    print(f"  {'met' if ok else 'NOT MET'}", flush=True)
    return ok


def ten(target: Target, runs: int, folder: Path) -> bool:
    seen = [ten_run(target, folder, phase_s) for phase_s in phases(str(SEED), runs)]
    over = [run["nine_s"] - run["own_s"] for run in seen]
    ok = max(over) <= 1.0
    print(
        "\nten faults, the undo of the last one hangs: halted -> the other nine verified gone, goal 1 s + own"
    )
    print(f"  nine gone             {three([run['nine_s'] for run in seen])}  (n={runs})")
    print(f"  their own time        {three([run['own_s'] for run in seen])}")
    print(f"  over their own time   {three(over)}\n  {'met' if ok else 'NOT MET'}", flush=True)
    return ok


def main(argv: list[str] | None = None) -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.bench.halt")
    asked.add_argument("runs", nargs="?", type=int, default=50)
    asked.add_argument("peer_runs", nargs="?", type=int, default=None)
    asked.add_argument(
        "--only", action="append", help="python, process, blocking-c, regex, ignores-sigterm, ten"
    )
    options = asked.parse_args(argv)
    peer_runs = options.runs if options.peer_runs is None else options.peer_runs
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, F = {F_S} s, seed {SEED}, all times in seconds"
    )
    target, ok = Target(), True
    with tempfile.TemporaryDirectory(prefix="halt-bench-") as name:
        folder = Path(name)
        try:
            for case in cases():
                if not options.only or case.name in options.only:
                    ok &= compare(target, case, options.runs, peer_runs, folder)
            if not options.only or "ten" in options.only:
                ok &= ten(target, max(options.runs // 5, 1), folder)
        finally:
            target.close()
    print("\nall goals met" if ok else "\nNOT ALL GOALS MET")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
