"""An in-toto statement of a run (predicate test-result/v0.1), for tools that gate on attestations.

It is not signed: `gameday seal` signs one over the bundle's manifest. The subjects here are the files of
the run folder that the findings are computed from, so any of them can be matched to this statement.
Unknown is no pass: the result is PASSED only when everything passed; what is unknown or was not tested is
listed among the warned, and makes the whole a failure.

Source: in-toto attestation framework, Statement v1 and predicate test-result v0.1.
"""

from __future__ import annotations

import json
from typing import Any

from gameday.checkers.findings import Verdict
from gameday.errors import Refused
from gameday.evidence.casefile import Case

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
CONFIGURATION = ("plan.json", "policy.json")


def intoto(case: Case) -> str:
    """Return the statement as JSON text.

    Raises:
        Refused: The case has no files: a statement needs a subject.
    """
    subjects = [_resource(case, name) for name in _names(case) if name not in CONFIGURATION]
    if not subjects:
        raise Refused(f"run {case.run} has no file to make a statement about")
    statement = {
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": TEST_RESULT,
        "predicate": _predicate(case),
    }
    return json.dumps(statement, indent=1, ensure_ascii=False) + "\n"


def _predicate(case: Case) -> dict[str, Any]:
    by_verdict: dict[Verdict, list[str]] = {verdict: [] for verdict in Verdict}
    for finding in case.findings.findings:
        by_verdict[finding.verdict].append(finding.name)
    return {
        "result": "PASSED" if case.findings.verdict is Verdict.PASS else "FAILED",
        "configuration": [_resource(case, name) for name in _names(case) if name in CONFIGURATION],
        "passedTests": by_verdict[Verdict.PASS],
        "warnedTests": by_verdict[Verdict.UNKNOWN] + by_verdict[Verdict.NOT_TESTED],
        "failedTests": by_verdict[Verdict.FAIL],
    }


def _names(case: Case) -> list[str]:
    return [file.path for file in case.files]


def _resource(case: Case, name: str) -> dict[str, Any]:
    file = next(file for file in case.files if file.path == name)
    return {"name": name, "digest": {"sha256": file.sha256}}
