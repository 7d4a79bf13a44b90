"""A Chaos Toolkit experiment as one step among the others of a native plan.

It is what an experiment alone is: carried out whole in a host of its own, its rollbacks the undo. The plan
says what the command line says elsewhere, and its target, policy and stop conditions hold for it too. What it
comes to is a finding; the steps after it go on, as they do after every step, unless a stop condition halts.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gameday.errors import PlanError, UsageError
from gameday.plan.experiment import Options, own_ttl_ns, provider_of, step_of
from gameday.plan.experimentfile import read_experiment
from gameday.plan.experimentshape import Shape
from gameday.plan.model import NS, Step
from gameday.plan.schema_experiment import ExperimentIn
from gameday.plan.source import Source, Where

if TYPE_CHECKING:
    from gameday.plan.compile import Compiler


def experiment_step(item: ExperimentIn, where: Where, compiler: Compiler, like: Step) -> Step:
    """Return the step. What is wrong with the file or the step is noted in the compiler's sources.

    Args:
        item: The step as written.
        where: Where it stands.
        compiler: What compiles the plan.
        like: A bare step, whose id, name and place among the others this one takes.
    """
    path = compiler.files.find(compiler.at, (*where, "experiment"), item.experiment)
    if path is None:
        return like
    try:
        read = read_experiment(path, item.experiment)
    except PlanError as error:
        compiler.files.sources.append(Source(item.experiment, problems=list(error.problems)))
        return like
    shape = Shape(read)
    if not shape.check():
        compiler.files.sources.append(read.source)
        return like
    compiler.warnings += [f"{item.experiment}: {said}" for said in shape.warnings]
    for name in item.variable_files:
        compiler.files.find(compiler.at, (*where, "variable_files"), name)
    if compiler.at.problems:
        return like
    root = compiler.files.root
    try:
        provider = provider_of(path, root, read, _options(item, root), journal=f"journal.{like.id}.json")
    except UsageError as error:
        compiler.at.complain((*where, "variable_files"), str(error))
        return like
    data = read.source.data
    whole = step_of(data, provider, item.ttl or own_ttl_ns(data), item.undo_timeout)
    if whole.undo is None and provider["acts"]:
        compiler.warnings.append(f"{item.experiment}: it acts without rollbacks: nothing takes that back")
    return replace(
        whole,
        id=like.id,
        name=like.name,
        group=like.group,
        runbook=like.runbook,
        target=item.target or whole.target,
    )


def _options(item: ExperimentIn, root: Path) -> Options:
    return Options(
        rollbacks=item.rollbacks or "",
        hypothesis=item.hypothesis or "",
        frequency_s=item.frequency / NS,
        fail_fast=item.fail_fast,
        compat=item.compat,
        variables=tuple(_variable(name, value) for name, value in sorted(item.variables.items())),
        variable_files=tuple(str(root / name) for name in item.variable_files),
        folder=root,
    )


def _variable(name: str, value: Any) -> str:
    kind = {bool: "bool", int: "int", float: "float"}.get(type(value), "str")
    return f"{name}:{kind}={value}"
