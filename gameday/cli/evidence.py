"""What people do with the evidence of a run: hand it on, mend what it found, see what is due."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gameday.cli import exits
from gameday.cli.asked import ended_run
from gameday.cli.output import put
from gameday.errors import UsageError
from gameday.hosts.clock import utc_text


def carry_out(asked: argparse.Namespace) -> int:
    """Carry out one of these commands and return its exit code."""
    if asked.command == "finding":
        from gameday.cli.findings import finding  # noqa: PLC0415 - each command pays only for itself

        return finding(asked)
    if asked.command == "coverage":
        from gameday.cli.coverage import coverage  # noqa: PLC0415

        return coverage(as_json=asked.json, policy=asked.policy)
    if asked.command == "readiness":
        from gameday.cli.readiness import readiness  # noqa: PLC0415

        return readiness(asked)
    if asked.command == "scorecard":
        from gameday.cli.coverage import scorecard  # noqa: PLC0415

        return scorecard(asked)
    return export(asked)


def export(asked: argparse.Namespace) -> int:
    """Write a run in the format that is asked for."""
    run_dir = ended_run(asked.run)
    if asked.form == "pdf" and asked.output == "-" and sys.stdout.isatty():
        raise UsageError("export: a PDF is nothing for a terminal", todo="Name a file: `-o report.pdf`.")
    put(_rendered(run_dir, asked), asked.output)
    return exits.PASS


def _rendered(run_dir: Path, asked: argparse.Namespace) -> bytes:
    """Return a run in a format. Each format's module is read only when it is asked for."""
    from gameday.evidence.casefile import open_case  # noqa: PLC0415 - `--help` must not wait for it
    from gameday.evidence.trackfile import mended  # noqa: PLC0415

    case = open_case(run_dir)
    (mine, _), today = mended(run_dir, case.run), utc_text()[:10]
    match asked.form:
        case "oscal":
            from gameday.evidence.exports.oscal import oscal  # noqa: PLC0415

            return oscal(case, mine, today).encode()
        case "poam":
            from gameday.evidence.exports.poam import poam  # noqa: PLC0415

            return poam(case, mine, today).encode()
        case "junit":
            from gameday.evidence.exports.junit import junit  # noqa: PLC0415

            return junit(case, asked.unknown_as).encode()
        case "in-toto":
            from gameday.evidence.exports.intoto import intoto  # noqa: PLC0415

            return intoto(case).encode()
        case "csv":
            from gameday.evidence.exports.csvtimeline import csv_timeline  # noqa: PLC0415

            return csv_timeline(case).encode()
        case "pdf":
            from gameday.evidence.exports.pdf import pdf  # noqa: PLC0415
            from gameday.evidence.report import render  # noqa: PLC0415
            from gameday.runner.conclude import mending_of  # noqa: PLC0415

            made = mending_of(run_dir, case.run)
            return pdf(lambda: render(case.plan, case.trace, case.findings, made))
        case _:
            from gameday.evidence.exports.chaosjournal import chaos_journal, own_journal  # noqa: PLC0415

            return own_journal(run_dir, case) or chaos_journal(case).encode()
