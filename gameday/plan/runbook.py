"""One runbook by itself, compiled as a plan that uses it would have it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gameday.plan.border import validate
from gameday.plan.compile import Compiler, refuse
from gameday.plan.files import Files
from gameday.plan.model import Step
from gameday.plan.schema import RunbookFileIn
from gameday.plan.source import read_source


@dataclass(frozen=True, slots=True)
class Runbook:
    """A named list of steps."""

    title: str
    purpose: str
    owner: str
    source: str
    steps: tuple[Step, ...]


def load_runbook(path: Path, project: Path) -> Runbook:
    """Return the runbook in a file.

    Raises:
        PlanError: Something is wrong with it; every problem is listed with its place.
    """
    try:
        shown = path.resolve().relative_to(project.resolve()).as_posix()
    except ValueError:
        shown = path.name
    source = read_source(path, shown)
    book = validate(RunbookFileIn, source)
    refuse([source])
    assert book is not None
    compiler = Compiler(source, Files(project), runbook=shown)
    for number, part in enumerate(book.steps):
        compiler._step(part, ("steps", number))
    refuse([source, *compiler.files.sources])
    return Runbook(book.title, book.purpose, book.owner, shown, tuple(compiler.steps))
