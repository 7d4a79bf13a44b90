"""What a person reads when a run is over: verdicts with bounds, what to do next, where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_COLOURS = {"pass": "32", "fail": "1;31", "unknown": "33", "not_tested": "33"}
_WIDTH = 34


def summary_lines(document: dict[str, Any], run_dir: Path, *, colour: bool = False) -> list[str]:
    """Return the summary of a run.

    Args:
        document: The content of findings.json.
        run_dir: The run's folder.
        colour: Whether to colour the verdicts.
    """
    lines = [
        "",
        f"{_paint(document['verdict'].upper(), document['verdict'], colour)}  {_sentence(document)}",
        "",
    ]
    for finding in document["findings"]:
        lines.append(_line(finding, colour=colour))
        if finding["verdict"] != "pass":
            lines.append(f"{' ' * 13}{finding['why']}")
    lines += ["", *_next(document, run_dir)]
    lines += [f"report    {_short(run_dir / 'report.html')}", f"evidence  {_short(run_dir)}"]
    return lines


def _sentence(document: dict[str, Any]) -> str:
    by = f" by {document['halted_by']}" if document["halted_by"] else ""
    return f"{document['auditor']}; the run {_outcome(document['outcome'])}{by}"


def _outcome(outcome: str) -> str:
    words = {"completed": "completed", "halted": "was halted", "crashed": "crashed", "refused": "was refused"}
    return words.get(outcome, f"is {outcome}")


def _line(finding: dict[str, Any], *, colour: bool) -> str:
    verdict = _paint(f"{finding['verdict']:11}", finding["verdict"], colour)
    limit = f"   (objective {finding['limit']})" if finding["name"].startswith(("RTA", "RPA")) else ""
    unit = f" {finding['unit']}" if finding["unit"] == "%" else ""
    return f"{verdict}  {finding['name']:{_WIDTH}} {finding['observed']}{unit}{limit}"


def _paint(text: str, verdict: str, colour: bool) -> str:
    return f"\x1b[{_COLOURS.get(verdict, '0')}m{text}\x1b[0m" if colour else text


def _next(document: dict[str, Any], run_dir: Path) -> list[str]:
    """Say what is to be done now, most urgent first."""
    if document["stuck"]:
        names = ", ".join(document["stuck"])
        return [
            f"A PERSON IS NEEDED: these undos are stuck: {names}",
            f"  try again: gameday recover {run_dir.name}",
            "  then look at the target itself before anything else is run",
        ]
    if document["failed_over"]:
        return [
            "A PERSON IS NEEDED: service runs on the other side, failing back was not done.",
            "  the lab: `gameday lab down && gameday lab up`; elsewhere follow your fail-back runbook",
        ]
    if document["outcome"] == "running":
        return ["It is still running; these findings are of what has been recorded so far."]
    if document["verdict"] == "fail":
        return ["Next: read why above, give each failed finding an owner, and run the drill again."]
    if document["verdict"] in ("unknown", "not_tested"):
        return ["Next: mend what kept it from being measured, and run it again. Unknown is not a pass."]
    return ["Next: nothing is owed. Keep the evidence."]


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
