"""`chaos run` beside `gameday run` on the same file, and Chaos Toolkit's own fixtures as such files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

BIN = Path(sys.executable).parent
VERSION = version("chaostoolkit-lib")
TIME_S = 600


@dataclass(frozen=True)
class Outcome:
    """What a run came to: exit code, what the journal says, and everything that was said."""

    code: int
    journal: dict | None
    said: str

    @property
    def word(self) -> str:
        """The outcome in one word."""
        if self.journal is None:
            return "traceback" if "Traceback" in self.said else "refused"
        return "deviated" if self.journal["deviated"] else self.journal["status"]

    @property
    def activities(self) -> tuple:
        """The statuses of the method's activities, of the rollbacks, and of the hypothesis."""
        known = self.journal or {"run": (), "rollbacks": (), "steady_states": {"before": None, "after": None}}
        states = [(known["steady_states"][key] or {}).get("steady_state_met") for key in ("before", "after")]
        runs = [[_status(run) for run in known[key] or ()] for key in ("run", "rollbacks")]
        return (*runs, *states)


def _status(run: object) -> object:
    """Return a run's status; a control may have put anything in its place."""
    return run.get("status") if isinstance(run, dict) else run


def both(
    path: Path,
    *options: str,
    folder: Path,
    env: dict | None = None,
    between: Callable[[], object] = lambda: None,
    cwd: Path | None = None,
) -> tuple[Outcome, Outcome]:
    """Run one file with both and return what each came to; `between` puts things back."""
    chaos = [BIN / "chaos", "--no-version-check", "--log-file", folder / "log"]
    chaos += ["run", "--journal-path", folder / "chaos.json", *options, path]
    first = _run(chaos, folder / "chaos.json", _environment(folder, env), cwd or path.parent)
    between()
    return first, alone(path, *options, folder=folder, env=env, cwd=cwd)


def alone(
    path: Path, *options: str, folder: Path, env: dict | None = None, cwd: Path | None = None
) -> Outcome:
    """Run one file with gameday and return what it came to."""
    ours = [BIN / "gameday", "run", "--plain", "--run-dir", folder / "run", *options, path]
    return _run(ours, folder / "run" / "journal.json", _environment(folder, env), cwd or path.parent)


def _environment(folder: Path, env: dict | None) -> dict:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home), **(env or {})}


def _run(command: list, journal: Path, env: dict, cwd: Path) -> Outcome:
    done = subprocess.run(
        list(map(str, command)), env=env, cwd=cwd, capture_output=True, text=True, timeout=TIME_S, check=False
    )
    text = journal.read_text() if journal.exists() else ""
    return Outcome(done.returncode, json.loads(text) if text else None, done.stdout + done.stderr)


def expected_code(outcome: Outcome) -> int:
    """Return the exit code that an outcome calls for: 1 for deviated or failed, 4 for aborted, 0 else."""
    return {"completed": 0, "deviated": 1, "failed": 1, "aborted": 4, "interrupted": 4}[outcome.word]


def fixtures(folder: Path) -> Path:
    """Fetch chaostoolkit-lib's source distribution; write its fixtures as experiment files, and return where.

    Every experiment among them becomes a file, the ones that are YAML texts too, and so does every activity,
    in an experiment of its own: as the method, and as the hypothesis where it has a tolerance. They are read in
    a process of their own, because they are code of somebody else's.
    """
    fetch = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "chaostoolkit-lib"]
    subprocess.run([*fetch, f"chaostoolkit-lib=={VERSION}"], cwd=folder, check=True, timeout=300)
    (archive,) = folder.glob("chaostoolkit*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    (tests,) = folder.glob("chaostoolkit*/tests")
    shutil.rmtree(tests.parent / "chaoslib")  # Else it would be imported instead of the one installed.
    env = {**os.environ, "PYTHONPATH": str(tests)}
    subprocess.run([sys.executable, "-c", _WRITE_FIXTURES], cwd=tests, env=env, check=True, timeout=60)
    return tests


_WRITE_FIXTURES = """
import copy, json, pathlib
import fixtures.actions, fixtures.experiments, fixtures.probes

def write(name, data, suffix="json"):
    folder = pathlib.Path("..") / "files" / name
    folder.mkdir(parents=True, exist_ok=True)
    text = data if isinstance(data, str) else json.dumps(data, default=str)
    (folder / f"it.{suffix}").write_text(text)

for name, item in sorted(vars(fixtures.experiments).items()):
    if "xperiment" in name and isinstance(item, dict):
        write(name, item)
    elif "xperiment" in name and isinstance(item, str):
        write(name, item, "yaml")
for module in (fixtures.actions, fixtures.probes):
    for name, item in sorted(vars(module).items()):
        if name.startswith("_") or not isinstance(item, dict) or not name[0].isupper():
            continue
        whole = {"title": name, "description": "an activity", "method": [copy.deepcopy(item)]}
        write(f"method-{name}", whole)
        if "tolerance" in item:
            hypothesis = {"title": name, "probes": [copy.deepcopy(item)]}
            write(f"hypothesis-{name}", {**whole, "method": [], "steady-state-hypothesis": hypothesis})
"""
