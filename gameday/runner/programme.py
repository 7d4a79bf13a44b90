"""Read the programme of a project: register, plans, findings, and what each drill achieved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gameday.errors import GameDayError, PlanError
from gameday.evidence.findings_file import FINDINGS
from gameday.evidence.programme import Drilled, Row, Scenario, cover, from_register, from_runs
from gameday.evidence.quarters import Achieved, Programme, achieved, quarters, trends
from gameday.evidence.register import LEAVES, Register
from gameday.evidence.trackfile import tracked
from gameday.evidence.tracking import Tracked
from gameday.plan.load import load_plan
from gameday.plan.model import Plan
from gameday.plan.policy import Policy
from gameday.plan.policyfile import find_policy
from gameday.runner.anchor import register_of
from gameday.runner.folder import run_dirs

PLANS = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Ground:
    """What a project says of its drills: its policy, its register, its runs by name, its findings."""

    project: Path
    policy: Policy
    register: Register
    folders: dict[str, Path]
    drills: list[Drilled]
    has_register: bool
    tracked: tuple[Tracked, ...]

    @property
    def source(self) -> str:
        """Where the drills come from, in words."""
        if not self.has_register:
            return "the run folders that are still there: no register"
        return f"the register, {_short(self.register.folder, self.project)}/{LEAVES}"

    def rows(self, today: str) -> tuple[Row, ...]:
        """Return a row for each scenario, what is overdue first; reads each plan of experiments/ once."""
        retest_days = self.policy.retest_days
        found = cover(
            scenarios(self.project), self.drills, self.tracked, today=today, retest_days=retest_days
        )
        return tuple(found)


def read_ground(project: Path, policy: str | None = None) -> Ground:
    """Return what a project says of its drills.

    Args:
        project: The project's folder.
        policy: The policy file named on the command line.

    Raises:
        PlanError: The policy has errors.
        RecordError: The register or the file of findings cannot be read, or was edited.
    """
    rules = find_policy(project, policy)
    register, folders = register_of(project, rules.keeping), run_dirs(project)
    drills = from_register(register.folder / LEAVES)
    return Ground(
        project=project,
        policy=rules,
        register=register,
        folders={folder.resolve().name: folder for folder in folders},
        drills=from_runs(folders) if drills is None else drills,
        has_register=drills is not None,
        tracked=tracked(project),
    )


def read_programme(project: Path, *, today: str, policy: str | None = None) -> Programme:
    """Return the programme of a project as it stands; reads the findings.json of each drill, too.

    Args:
        project: The project's folder.
        today: YYYY-MM-DD.
        policy: The policy file named on the command line.

    Raises:
        PlanError: The policy has errors.
        RecordError: The register or the file of findings cannot be read, or was edited.
    """
    ground = read_ground(project, policy)
    drills, known = ground.drills, ground.folders
    said, doubt = "", "there is no register: a drill that went badly may have been dropped"
    if ground.has_register:
        try:
            said, doubt = f"holds {ground.register.verified()} entries, as its checkpoint signed", ""
        except GameDayError as error:
            said, doubt = "does not hold", str(error)
    figures = [figure for drill in drills for figure in _figures(drill, known.get(drill.run))]
    return Programme(
        today=today,
        source=ground.source,
        register=said,
        doubt=doubt,
        retest_days=ground.policy.retest_days,
        rows=ground.rows(today),
        quarters=tuple(quarters(drills, ground.tracked, today=today)),
        trends=tuple(trends(figures)),
        lost=tuple(drill.run for drill in drills if drill.end != "refused" and drill.run not in known),
    )


def plans_of(project: Path) -> Iterator[tuple[Path, Plan | PlanError]]:
    """Yield each plan file of a project with its plan, or with why it is none."""
    for path in sorted((project / "experiments").glob("*")):
        if path.suffix in PLANS:
            try:
                yield path, load_plan(path)
            except PlanError as error:
                yield path, error


def scenarios(project: Path) -> Iterator[Scenario]:
    """Yield each plan of a project; one that cannot be read says why."""
    for path, plan in plans_of(project):
        if isinstance(plan, PlanError):
            name = path.relative_to(project).as_posix()
            yield Scenario(name, "-", "-", "", str(plan).splitlines()[0])
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
