"""Find runs again: all of a project, or the one a person means."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from gameday.errors import HistoryError, UsageError
from gameday.history.events import HostStarted, RunEnded, RunnerLost
from gameday.history.read import read_records
from gameday.history.record import Trace
from gameday.history.store import HISTORY
from gameday.hosts.processes import is_alive
from gameday.procfs import boot_id
from gameday.runner.folder import RUNS, run_dirs


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One run, as a list shows it. `outcome` is `running` while its runner lives; `name` stands in runs/."""

    path: Path
    name: str
    plan: str
    started_utc: str
    outcome: str
    verdict: str


def list_runs(project: Path) -> list[RunInfo]:
    """Return the runs of a project, oldest first. A folder that holds no history is passed over."""
    found = []
    for run_dir in run_dirs(project):
        try:
            trace = read_records(run_dir)
        except HistoryError:
            continue
        if trace.records:
            found.append(_info(run_dir, trace))
    return sorted(found, key=lambda run: run.started_utc)


def _info(run_dir: Path, trace: Trace) -> RunInfo:
    return RunInfo(
        path=run_dir.resolve(),
        name=run_dir.name,
        plan=_plan_of(run_dir),
        started_utc=trace.records[0].utc[:19] + "Z",
        outcome=outcome_of(trace),
        verdict=_verdict(run_dir),
    )


def outcome_of(trace: Trace) -> str:
    """Return how a run ended: completed, halted, crashed, refused; or running."""
    if any(isinstance(record.event, RunnerLost) for record in trace.records):
        return "crashed"
    ended = next((r.event for r in reversed(trace.records) if isinstance(r.event, RunEnded)), None)
    if ended is not None:
        return str(ended.outcome)
    return "running" if _runner_lives(trace) else "crashed"


def _runner_lives(trace: Trace) -> bool:
    for record in trace.records:
        event = record.event
        if isinstance(event, HostStarted) and event.role == "runner":
            return event.boot_id == boot_id() and is_alive(event.pid, event.start_ticks)
    return False


def _plan_of(run_dir: Path) -> str:
    """Return the plan's name: that of the folder, or for a run put right under runs/ what its plan says."""
    if run_dir.parent.name != RUNS:
        return run_dir.parent.name
    try:
        return Path(json.loads((run_dir / "plan.json").read_bytes())["source"]).stem
    except (OSError, ValueError, KeyError, TypeError):
        return "-"


def _verdict(run_dir: Path) -> str:
    try:
        return str(json.loads((run_dir / "findings.json").read_bytes())["verdict"])
    except (OSError, ValueError, KeyError, TypeError):
        return "-"


def run_at(asked: str | None) -> Path | None:
    """Return the folder of a run that is named by its path; None where the words are no such path."""
    if asked is None or asked == "latest":
        return None
    path = Path(asked)
    try:
        return path.resolve() if (path / HISTORY).is_file() else None
    except OSError:  # A name that is too long, or a folder that we may not look into.
        return None


def find_run(project: Path, asked: str | None) -> Path:
    """Return the folder of the run that a person means: a path, the start of its id, or the latest.

    Raises:
        UsageError: There is none, or the words fit several.
    """
    if asked is None or asked == "latest":
        runs = list_runs(project)
        if not runs:
            raise UsageError(f"no run in {project / RUNS}", todo="Run a drill first: `gameday run PLAN`.")
        return runs[-1].path
    for path in (asked, str(project / asked)):  # As typed, or as a refusal names it.
        found = run_at(path)
        if found is not None:
            return found
    known = [run for run in list_runs(project) if run.name.startswith(asked)]
    known = [run for run in known if run.name == asked] or known
    if len(known) == 1:
        return known[0].path
    said = f"{len(known)} runs begin so" if known else "there is no such run"
    raise UsageError(f"{asked}: {said}", todo="`gameday runs` lists them; give a path or the start of an id.")
