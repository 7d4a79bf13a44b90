"""What a person reads when a run is over: verdicts with bounds, what to do next, where it lies.

PASS  DEMONSTRATED: the drill ran to its end

RTA orders   0.29 to 0.41 s                                objective 30 s   pass  DEMONSTRATED
RPA orders   at most 0.04 s, 0 of 257 ... writes lost      objective 1 s    pass  DEMONSTRATED
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gameday.console.byhand import by_hand
from gameday.evidence.words import OUTCOME_WORDS, shown

_COLOURS = {"pass": "32", "fail": "1;31", "unknown": "33", "not_tested": "33"}
_OBJECTIVES = ("RTA ", "RPA ")
_MOST = 300


def summary_lines(document: dict[str, Any], run_dir: Path, *, colour: bool = False) -> list[str]:
    """Return the summary of a run.

    Args:
        document: The content of findings.json.
        run_dir: The run's folder.
        colour: Whether to colour the verdicts.
    """
    verdict = document["verdict"]
    lines = ["", f"{_paint(_word(verdict).upper(), verdict, colour=colour)}  {_sentence(document)}", ""]
    findings = document["findings"]
    objectives = [finding for finding in findings if finding["name"].startswith(_OBJECTIVES)]
    lines += _objectives(objectives, colour=colour)
    lines += _others([finding for finding in findings if finding not in objectives], colour=colour)
    if document["not_tested"]:
        lines += [f"  not tested: {shown(', '.join(document['not_tested']), _MOST)}"]
    lines += ["", *_next(document, run_dir), ""]
    lines += [f"report    {_short(run_dir / 'report.html')}", f"evidence  {_short(run_dir)}"]
    lines += [f"recompute gameday check {shown(run_dir.name, 80)}"]
    return lines


def _word(verdict: str) -> str:
    return verdict.replace("_", " ")


def _sentence(document: dict[str, Any]) -> str:
    by = f" by {document['halted_by']}" if document["halted_by"] else ""
    ended = OUTCOME_WORDS.get(document["outcome"], document["outcome"])
    return shown(f"{document['auditor']}: the drill {ended}{by}", _MOST)


def _objectives(findings: list[dict[str, Any]], *, colour: bool) -> list[str]:
    """Return one line an objective: what was achieved, what was wanted, both words for the verdict."""
    if not findings:
        return []
    names = max(len(shown(f["name"], 40)) for f in findings)
    observed = max(len(shown(f["observed"], 80)) for f in findings)
    limits = max(len(shown(f["limit"], 20)) for f in findings)
    lines = []
    for finding in findings:
        verdict = _paint(
            f"{_word(finding['verdict'])}  {finding['auditor']}", finding["verdict"], colour=colour
        )
        name, seen = shown(finding["name"], 40), shown(finding["observed"], 80)
        aim = shown(finding["limit"], 20)
        lines.append(f"  {name:{names}}   {seen:{observed}}   objective {aim:{limits}}   {verdict}")
        if finding["verdict"] != "pass":
            lines.append(f"  {' ' * names}   {shown(finding['why'], _MOST)}")
    return [*lines, ""]


def _others(findings: list[dict[str, Any]], *, colour: bool) -> list[str]:
    lines = []
    names = max((len(shown(f["name"], 60)) for f in findings), default=0)
    for finding in findings:
        verdict = _paint(f"{_word(finding['verdict']):10}", finding["verdict"], colour=colour)
        unit = " %" if finding["unit"] == "%" else ""
        name = shown(finding["name"], 60)
        lines.append(f"  {verdict}  {name:{names}}   {shown(finding['observed'], 80)}{unit}")
        if finding["verdict"] != "pass":
            lines.append(f"{' ' * 14}{shown(finding['why'], _MOST)}")
    return lines


def _paint(text: str, verdict: str, *, colour: bool) -> str:
    return f"\x1b[{_COLOURS.get(verdict, '0')}m{text}\x1b[0m" if colour else text


def _next(document: dict[str, Any], run_dir: Path) -> list[str]:
    """Say what is to be done now, most urgent first."""
    if document["stuck"]:
        names = shown(", ".join(document["stuck"]), _MOST)
        return [
            f"A PERSON IS NEEDED: these undos are stuck, their faults may be in place still: {names}",
            f"  try again: gameday recover {shown(run_dir.name, 80)}",
            *(
                f"  or by hand, {shown(name, 60)}: {shown(command, 400)}"
                for name, command in by_hand(run_dir, list(document["stuck"]))
            ),
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
        return [
            "Next: read why above, give each failed finding an owner, and run the drill again.",
            f"  gameday finding add {shown(run_dir.name, 80)} --owner NAME --due DAY",
        ]
    if document["verdict"] in ("unknown", "not_tested"):
        return ["Next: mend what kept it from being measured, and run it again. Unknown is not a pass."]
    return ["Next: nothing is owed. Keep the evidence."]


def _short(path: Path) -> str:
    try:
        return shown(path.relative_to(Path.cwd()))
    except ValueError:
        return shown(path)
