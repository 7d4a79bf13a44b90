"""From a run folder to its findings and its report. Reads the history only; may be repeated at will."""

from __future__ import annotations

import gc
from pathlib import Path

from gameday.checkers.check import check
from gameday.checkers.document import as_document
from gameday.checkers.findings import Findings
from gameday.errors import RecordError
from gameday.evidence.findings_file import write, write_whole
from gameday.evidence.report import Mending, render
from gameday.evidence.trackfile import mended
from gameday.history.events import RunStarted
from gameday.history.read import read_trace
from gameday.history.record import Trace
from gameday.plan.stored import read_plan

REPORT = "report.html"


def recompute(run_dir: Path) -> Findings:
    """Return what the history of a run proves, and write nothing.

    Raises:
        RecordError: The folder holds no plan or no history.
    """
    return check(read_plan(run_dir), _read(run_dir))


def conclude(run_dir: Path) -> Findings:
    """Recompute findings.json and report.html from the history, and return the findings.

    Raises:
        RecordError: The folder holds no plan or no history.
    """
    plan, trace = read_plan(run_dir), _read(run_dir)
    findings, started = check(plan, trace), trace.first(RunStarted)
    write(run_dir, as_document(findings))
    write_whole(
        run_dir / REPORT, render(plan, trace, findings, mending_of(run_dir, started.run if started else ""))
    )
    return findings


def mending_of(run_dir: Path, run: str) -> Mending:
    """Return what people made of a run's findings. That it cannot be read must not cost the report."""
    try:
        return Mending(*mended(run_dir, run))
    except RecordError as error:
        return Mending(trouble=f"Owners and days are not known: {error}")


def _read(run_dir: Path) -> Trace:
    """Return the history, and look for garbage in it no more: a million samples live until the end."""
    trace = read_trace(run_dir)
    gc.freeze()
    return trace
