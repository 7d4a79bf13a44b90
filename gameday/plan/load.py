"""Read a plan file: all of its problems at once, or a Plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gameday.errors import PlanError, Problem, UsageError
from gameday.plan.border import validate
from gameday.plan.compile import Compiler, refuse
from gameday.plan.experimentfile import looks_like_experiment
from gameday.plan.files import Files
from gameday.plan.literal import refuse_literals
from gameday.plan.model import Plan
from gameday.plan.schema import PlanIn
from gameday.plan.sense import check_references, warnings
from gameday.plan.source import Source, read_source

if TYPE_CHECKING:
    from gameday.plan.experiment import Options
    from gameday.plan.policy import Policy


def load_plan(
    path: Path, root: Path | None = None, *, options: Options | None = None, policy: Policy | None = None
) -> Plan:
    """Return the plan in a file: a native one, or a Chaos Toolkit experiment as one.

    Args:
        path: The plan file.
        root: The project's folder, which paths in the plan are relative to; found by default.
        options: What the command line says of an experiment; not for a native plan.
        policy: Says what an experiment does not; None to find it as always.

    Raises:
        PlanError: Something is wrong with it; every problem is listed with its place.
        UsageError: It is an address; or options are given that belong to an experiment, and it is none.
    """
    if str(path).startswith(("http:/", "https:/")):
        raise UsageError(
            f"{path}: a plan or an experiment is run from a file, nothing is fetched for it",
            todo="Fetch it (`curl -fsSLo experiment.json URL`), read it, and give the file.",
        )
    project = (root or find_project(path)).resolve()
    if looks_like_experiment(path):
        return _experiment(path, project, options, policy)
    if options is not None and options != type(options)():
        raise UsageError(
            f"{path} is a native plan; strategies, variables and its environment stand in the plan itself",
            todo="Give these options with a Chaos Toolkit experiment alone.",
        )
    source = read_source(path, _shown(path, project))
    _refuse_other(source)
    written = validate(PlanIn, source)
    files = Files(project)
    if written is None:
        refuse([source])
    assert written is not None
    written, imported = _with_slos(written, source, files)
    compiler = Compiler(source, files)
    plan = compiler.compile(written)
    plan = replace(plan, about=tuple(sorted((*plan.about, *imported))))
    if not source.problems and not any(other.problems for other in files.sources):
        check_references(plan, source)
    for other in (source, *files.sources):
        if not other.problems:
            refuse_literals(other)
    refuse([source, *files.sources])
    return replace(plan, warnings=(*warnings(plan), *compiler.warnings))


def _experiment(path: Path, project: Path, options: Options | None, policy: Policy | None) -> Plan:
    # A native plan needs neither their shape nor the policy's.
    from gameday.plan.experiment import Options, load_experiment  # noqa: PLC0415
    from gameday.plan.policyfile import find_policy  # noqa: PLC0415

    policy = policy if policy is not None else find_policy(project)
    return load_experiment(path, project, _shown(path, project), options or Options(), policy)


def _with_slos(written: PlanIn, source: Source, files: Files) -> tuple[PlanIn, tuple[tuple[str, str], ...]]:
    """Return the plan with the SLOs of other tools' files, and what stands in it of those."""
    if not written.slos_from:
        return written, ()
    from gameday.plan.sloimport import with_imported  # noqa: PLC0415 - few plans pay for it

    whole, digests = with_imported(written, source, files)
    return whole, (("slos_from", ", ".join(digests)),)


def find_project(path: Path) -> Path:
    """Return the folder of the project that a plan belongs to: the nearest one with `experiments/`."""
    here = path.resolve().parent
    for folder in (here, *here.parents):
        if (folder / "experiments").is_dir():
            return folder
    return here


def _shown(path: Path, project: Path) -> str:
    try:
        return path.resolve().relative_to(project).as_posix()
    except ValueError:
        return path.name


def _refuse_other(source: Source) -> None:
    if not isinstance(source.data, dict):
        raise PlanError(
            (Problem(source.file, 1, 1, "is no mapping: expected a plan with title, kind, steps…"),)
        )
