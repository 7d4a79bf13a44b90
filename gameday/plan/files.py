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
        for part in (path, *path.parents):
            if part == self.root:
                break
            if part.is_symlink():
                at.complain(where, f"{name!r}: {part.name} is a link, which is not followed")
                return None
        if not path.is_file():
            at.complain(where, f"{name!r}: no such file in the project")
            return None
        return path

    def digest(self, at: Source, where: Where, name: str) -> str:
        """Return the SHA-256 of a file; empty when it cannot be used."""
        path = self.find(at, where, name)
        if path is None:
            return ""
        try:
            data = path.read_bytes()
        except OSError as error:
            at.complain(where, f"{name!r}: cannot be read: {error.strerror}")
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
