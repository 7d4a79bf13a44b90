"""JUnit XML of a run, for a pipeline's gate: one test case a finding.

There is no standard, so this keeps to what Jenkins, GitLab and GitHub's readers share. An unknown is a
failure, because a gate that nobody decided must not open; `unknown_as="skipped"` is the other choice. A
finding that was not tested is skipped. A fault of the runner (it crashed, its history is damaged) is an
error of a case of its own. The bounds of an interval stand in properties, in seconds.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from gameday.checkers.findings import AUDITOR_WORD, Finding, Verdict
from gameday.evidence.casefile import Case
from gameday.evidence.words import shown

UNKNOWN_AS = ("failure", "skipped")


def junit(case: Case, unknown_as: str = "failure") -> str:
    """Return the run as JUnit XML.

    Args:
        case: The run.
        unknown_as: `failure` or `skipped`: what an unknown finding is to the pipeline.
    """
    cases = [_case(case, finding, unknown_as) for finding in case.findings.findings]
    cases.append(_runner(case))
    counts = {name: str(sum(item.find(name) is not None for item in cases)) for name in _ENDS}
    totals = {
        "tests": str(len(cases)),
        "failures": counts["failure"],
        "errors": counts["error"],
        "skipped": counts["skipped"],
        "time": f"{case.view.last_ns / 1e9:.3f}",
    }
    root = ET.Element("testsuites", {"name": "gameday", **totals})
    suite = ET.SubElement(
        root,
        "testsuite",
        {
            "name": shown(case.plan.title),
            "timestamp": case.began_utc[:19],
            "hostname": _machine(case),
            **totals,
        },
    )
    suite.append(_properties(_facts(case)))
    suite.extend(cases)
    ET.indent(root, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


_ENDS = ("failure", "error", "skipped")


def _case(case: Case, finding: Finding, unknown_as: str) -> ET.Element:
    element = _named(case, finding.name)
    element.append(_properties(_numbers(finding)))
    said = shown(f"{AUDITOR_WORD[finding.verdict]}: {finding.observed}, limit {finding.limit}. {finding.why}")
    match finding.verdict:
        case Verdict.FAIL:
            _end(element, "failure", "fail", said)
        case Verdict.UNKNOWN:
            _end(element, unknown_as, "unknown", said)
        case Verdict.NOT_TESTED:
            _end(element, "skipped", "not_tested", said)
        case Verdict.PASS:
            ET.SubElement(element, "system-out").text = said
    return element


def _runner(case: Case) -> ET.Element:
    """Return the case of the runner itself: an error when it died, or when its record is not whole."""
    element = _named(case, "the runner and its history")
    breaks = list(case.trace.faults[:5])
    if case.findings.outcome == "crashed":
        breaks.insert(0, "the runner died before the end")
    if breaks:
        _end(element, "error", "runner", shown("; ".join(breaks)))
    return element


def _named(case: Case, name: str) -> ET.Element:
    stem = case.plan.source.rpartition("/")[2].rpartition(".")[0] or "drill"
    where = shown(f"gameday.{case.plan.service}.{stem}")
    return ET.Element("testcase", {"classname": where, "name": shown(name), "time": "0"})


def _end(element: ET.Element, tag: str, kind: str, said: str) -> None:
    # `skipped` has no type in what the readers share.
    attributes = {"message": said} if tag == "skipped" else {"type": kind, "message": said}
    ET.SubElement(element, tag, attributes).text = said


def _properties(pairs: list[tuple[str, str]]) -> ET.Element:
    element = ET.Element("properties")
    for name, value in pairs:
        ET.SubElement(element, "property", {"name": shown(name), "value": shown(value)})
    return element


def _numbers(finding: Finding) -> list[tuple[str, str]]:
    pairs = [("verdict", str(finding.verdict)), ("observed", finding.observed), ("limit", finding.limit)]
    if finding.interval is not None:
        high = finding.interval.max_ns
        pairs.append(("min_s", f"{finding.interval.min_ns / 1e9:.6f}"))
        pairs.append(("max_s", "not bounded" if high is None else f"{high / 1e9:.6f}"))
    return pairs + [(name, str(value)) for name, value in finding.numbers if value is not None]


def _facts(case: Case) -> list[tuple[str, str]]:
    return [
        ("run", case.run),
        ("outcome", case.findings.outcome),
        ("verdict", str(case.findings.verdict)),
        ("environment", case.plan.target.environment),
        ("checker_version", case.findings.checker_version),
    ]


def _machine(case: Case) -> str:
    return shown(case.started.machine) if case.started is not None and case.started.machine else "unknown"
