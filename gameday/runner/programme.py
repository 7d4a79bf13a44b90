"""Read the programme of a project: register, plans, findings, and what each drill achieved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from gameday.errors import GameDayError, PlanError
from gameday.evidence.findings_file import FINDINGS
from gameday.evidence.programme import Drilled, Scenario, cover, from_register, from_runs
from gameday.evidence.quarters import Achieved, Programme, achieved, quarters, trends
from gameday.evidence.register import LEAVES
from gameday.evidence.trackfile import tracked
from gameday.plan.load import load_plan
from gameday.plan.policyfile import find_policy
from gameday.runner.anchor import register_of
from gameday.runner.folder import run_dirs

PLANS = (".yaml", ".yml", ".json")


def read_programme(project: Path, *, today: str, policy: str | None = None) -> Programme:
    """Return the programme of a project as it stands.

    Reads the register once, each plan of experiments/ once, and the findings.json of each drill.

    Args:
        project: The project's folder.
        today: YYYY-MM-DD.
        policy: The policy file named on the command line.

    Raises:
        PlanError: The policy has errors.
        RecordError: The register or the file of findings cannot be read, or was edited.
    """
    rules = find_policy(project, policy)
    register = register_of(project, rules.keeping)
    folders = run_dirs(project)
    drills, said, doubt = from_register(register.folder / LEAVES), "", ""
    source = f"the register, {_short(register.folder, project)}/{LEAVES}"
    if drills is None:
        drills, source = from_runs(folders), "the run folders that are still there: no register"
        doubt = "there is no register: a drill that went badly may have been dropped"
    else:
        try:
            said = f"holds {register.verified()} entries, as its checkpoint signed"
        except GameDayError as error:
            said, doubt = "does not hold", str(error)
    findings = tracked(project)
    known = {folder.resolve().name: folder for folder in folders}
    figures = [figure for drill in drills for figure in _figures(drill, known.get(drill.run))]
    return Programme(
        today=today,
        source=source,
        register=said,
        doubt=doubt,
        retest_days=rules.retest_days,
        rows=tuple(cover(scenarios(project), drills, findings, today=today, retest_days=rules.retest_days)),
        quarters=tuple(quarters(drills, findings, today=today)),
        trends=tuple(trends(figures)),
        tracked=findings,
        lost=tuple(drill.run for drill in drills if drill.end != "refused" and drill.run not in known),
    )


def scenarios(project: Path) -> Iterator[Scenario]:
    """Yield each plan of a project; one that cannot be read says why."""
    for path in sorted((project / "experiments").glob("*")):
        if path.suffix not in PLANS:
            continue
        try:
            plan = load_plan(path)
        except PlanError as error:
            name = path.relative_to(project).as_posix()
            yield Scenario(name, "-", "-", "", str(error).splitlines()[0])
        else:
            yield Scenario(plan.source, plan.service, plan.kind, plan.title)


def _figures(drill: Drilled, folder: Path | None) -> list[Achieved]:
    if folder is None:
        return []
    try:
        document = json.loads((folder / FINDINGS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return []  # It crashed before it had any.
    return achieved(drill, document) if isinstance(document, dict) else []


def _short(path: Path, project: Path) -> str:
    return path.relative_to(project).as_posix() if path.is_relative_to(project) else str(path)
