"""The command: `gameday verify` and `gameday-verify` are this program."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .lines import Report
from .trust import Unusable, read_trust
from .verify import verify

USAGE = 2
EPILOG = """example:
  gameday verify runs/primary-loss/latest/bundle --trust trust.yaml

exit codes: 0 all five lines pass, 1 one fails, 4 one is unknown, 2 bad usage.
trust.yaml names what you trust; docs/auditors-guide.md says how to write it."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        print(f"{self.prog}: {message}\n  `{self.prog} --help` shows how.", file=sys.stderr)
        raise SystemExit(USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Verify one bundle, say so, and return the exit code."""
    parser = _Parser(
        prog="gameday verify" if __package__ == "gameday.verify" else "gameday-verify",
        description="Check a sealed evidence bundle, believing nothing but your own trust file. No network.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "bundle", metavar="BUNDLE", help="a bundle's folder, or a run's folder that holds one"
    )
    parser.add_argument("--trust", metavar="FILE", required=True, help="your trust.yaml")
    parser.add_argument("--json", action="store_true", help="say it as JSON")
    asked = parser.parse_args(argv)
    path = Path(asked.bundle)
    if not (path / "manifest.json").is_file() and (path / "bundle").is_dir():
        path /= "bundle"
    try:
        report = verify(path, read_trust(Path(asked.trust)))
    except Unusable as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"{parser.prog}: {path}: {error.strerror}: expected the folder of a bundle", file=sys.stderr)
        return USAGE
    print(json.dumps(as_document(report), indent=1) if asked.json else as_text(report))
    return report.exit_code


def as_document(report: Report) -> dict[str, object]:
    """Return the answer as JSON has it."""
    return {
        **report.about,
        "verdict": report.verdict,
        "lines": [
            {
                "name": line.name,
                "verdict": line.verdict,
                "why": line.why,
                "problems": line.problems,
                "gaps": line.gaps,
            }
            for line in report.lines
        ],
        "measured": report.measured,
        "signatures": report.signatures,
        "addenda": report.addenda,
    }


def as_text(report: Report) -> str:
    """Return the answer as people read it: five lines first."""
    shown = [f"{line.name:14} {line.verdict:8} {line.why}" for line in report.lines]
    about = ", ".join(f"{key} {value}" for key, value in report.about.items() if value)
    for title, rows in (
        ("", [about] if about else []), ("measured", report.measured),
        ("signatures", report.signatures), ("addenda", report.addenda),
    ):  # fmt: skip
        shown += [f"  {title + ': ' if title else ''}{row}" for row in rows]
    return "\n".join(shown)


def command() -> int:
    """Run `main` as a program: a person may stop it, and whoever reads its answer may stop reading."""
    try:
        code = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 4
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 4
    return code


if __name__ == "__main__":
    sys.exit(command())
