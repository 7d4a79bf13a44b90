"""The files a plan refers to: found inside the project, never through a link, known by digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from gameday.errors import PlanError
from gameday.plan.border import validate
from gameday.plan.schema import RunbookFileIn
from gameday.plan.source import Source, Where, read_source

PROFILE_MAX = 1 << 20


@dataclass(slots=True)
class Files:
    """Files below the project's root."""

    root: Path
    sources: list[Source] = field(default_factory=list)

    def find(self, at: Source, where: Where, name: str) -> Path | None:
        """Return the file, or note why it cannot be used."""
        path = self.root / name
        if not name or Path(name).is_absolute() or ".." in Path(name).parts:
            at.complain(where, f"{name!r}: expected a path inside the project, relative to {self.root.name}/")
            return None
        try:
            wrong = _why_not(path, self.root)
        except (OSError, ValueError) as error:  # A name that is too long, or holds a NUL.
            wrong = getattr(error, "strerror", None) or str(error)
        if wrong:
            at.complain(where, f"{name!r}: {wrong}")
            return None
        return path

    def digest(self, at: Source, where: Where, name: str) -> str:
        """Return the SHA-256 of a file; empty when it cannot be used."""
        path = self.find(at, where, name)
        if path is None:
            return ""
        try:
            with path.open("rb") as file:
                data = file.read(PROFILE_MAX + 1)
        except OSError as error:
            at.complain(where, f"{name!r}: cannot be read: {error.strerror}")
            return ""
        if len(data) > PROFILE_MAX:
            at.complain(where, f"{name!r}: is larger than {PROFILE_MAX} bytes, which no profile needs")
            return ""
        return hashlib.sha256(data).hexdigest()

    def runbook(self, at: Source, where: Where, name: str) -> tuple[Source, RunbookFileIn] | None:
        """Return a runbook with its source, or note what is wrong with it."""
        path = self.find(at, where, name)
        if path is None:
            return None
        try:
            source = read_source(path, name)
        except PlanError as error:
            broken = Source(name, problems=list(error.problems))
            self.sources.append(broken)
            return None
        self.sources.append(source)
        book = validate(RunbookFileIn, source)
        return None if book is None else (source, book)


def _why_not(path: Path, root: Path) -> str:
    """Return why a path inside the project cannot be used, or nothing."""
    for part in (path, *path.parents):
        if part == root:
            break
        if part.is_symlink():
            return f"{part.name} is a link, which is not followed"
    return "" if path.is_file() else "no such file in the project"
