"""One run as exports and reports read it: plan, history, findings, and what people made of them since."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from gameday.checkers.check import check
from gameday.checkers.findings import Findings
from gameday.checkers.view import View, view_of
from gameday.history.events import RunStarted
from gameday.history.read import read_trace
from gameday.history.record import Trace
from gameday.plan.model import Plan
from gameday.plan.stored import read_plan

PIECE = 1 << 20
EPOCH = "1970-01-01T00:00:00Z"
BESIDE = ("plan.json", "policy.json", "history.jsonl", "findings.json")


@dataclass(frozen=True, slots=True)
class File:
    """A file of the run folder with its digest, its path relative to the folder."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Case:
    """A run: `files` are those of its folder that an export may name."""

    plan: Plan
    trace: Trace
    findings: Findings
    view: View
    files: tuple[File, ...] = ()

    @property
    def started(self) -> RunStarted | None:
        """The genesis of the run; None when its history lost it."""
        return self.trace.first(RunStarted)

    @property
    def run(self) -> str:
        """The run's id."""
        return self.started.run if self.started else "unknown-run"

    @property
    def began_utc(self) -> str:
        """When the run began."""
        return self.trace.records[0].utc if self.trace.records else EPOCH

    @property
    def ended_utc(self) -> str:
        """When its last record was made."""
        return self.trace.records[-1].utc if self.trace.records else EPOCH

    def utc_at(self, at_ns: int) -> str:
        """Return the wall time of an instant of the run, counted from its first record."""
        if not self.trace.records:
            return EPOCH
        first = self.trace.records[0]
        instant = datetime.fromisoformat(f"{first.utc[:19]}+00:00")
        moved = instant + timedelta(microseconds=(at_ns - first.at_ns) // 1000)
        return moved.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def make_case(plan: Plan, trace: Trace, files: tuple[File, ...] = ()) -> Case:
    """Return the case of a run whose history has been read."""
    return Case(plan, trace, check(plan, trace), view_of(plan, trace), files)


def open_case(run_dir: Path) -> Case:
    """Return the case of the run in a folder; its findings are computed anew.

    Raises:
        RecordError: The folder holds no plan or no history.
    """
    return make_case(read_plan(run_dir), read_trace(run_dir), tuple(_files(run_dir)))


def _files(run_dir: Path) -> Iterator[File]:
    segments = run_dir / "segments"
    names = [*BESIDE, *(f"segments/{path.name}" for path in sorted(segments.glob("*.jsonl")))]
    for name in names:
        try:
            fd = os.open(run_dir / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue  # Not every run has every file, and a link is no file of it.
        with os.fdopen(fd, "rb") as file:
            digest, size = hashlib.sha256(), 0
            while piece := file.read(PIECE):
                digest.update(piece)
                size += len(piece)
        yield File(name, size, digest.hexdigest())
