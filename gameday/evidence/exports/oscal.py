"""OSCAL assessment results of one drill, with the minimal assessment plan they must import inside them.

One observation and one finding for each finding of the checkers. A finding's target is an objective of
the *drill*, never a control: `reviewed-controls` names the controls of NIST SP 800-53 that the run is
evidence towards, and whether one is met stays with the assessor.
"""

from __future__ import annotations

import base64
import json

from gameday.checkers.findings import AUDITOR_WORD, Finding, Verdict
from gameday.evidence.casefile import Case
from gameday.evidence.controls import NIST, citations
from gameday.evidence.exports.oscalparts import (
    NS,
    OSCAL_VERSION,
    Json,
    components,
    label,
    line,
    metadata,
    observation,
    origins,
    prop,
    resources,
    risk,
    token,
    uid,
)
from gameday.evidence.narrate import narrate
from gameday.evidence.tracking import Tracked
from gameday.history.people import ApprovalGiven

LOG_MAX = 2000
_REASON = {Verdict.PASS: "pass", Verdict.FAIL: "fail", Verdict.UNKNOWN: "other", Verdict.NOT_TESTED: "other"}
OPEN = (Verdict.FAIL, Verdict.UNKNOWN)


def oscal(case: Case, tracked: tuple[Tracked, ...] = (), day: str = "") -> str:
    """Return the assessment results as JSON text.

    Args:
        case: The run.
        tracked: What people made of its findings.
        day: Today (YYYY-MM-DD), by which acceptances run out; the run's own when empty.
    """
    mine = {item.added.name: item for item in tracked}
    plan = _assessment_plan(case)
    document = {
        "assessment-results": {
            "uuid": uid(case, "assessment-results"),
            "metadata": metadata(case, f"Drill results: {case.plan.title}"),
            "import-ap": {
                "href": f"#{uid(case, 'assessment-plan', 'resource')}",
                "remarks": "The plan as OSCAL is in the back matter; plan.json is what was run.",
            },
            "results": [_result(case, mine, day or case.ended_utc[:10])],
            "back-matter": {"resources": [plan, *resources(case)]},
        }
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _result(case: Case, tracked: dict[str, Tracked], day: str) -> Json:
    verdict = case.findings.verdict
    targets = [f for f in case.findings.findings if f.verdict in OPEN]
    found: Json = {
        "uuid": uid(case, "result"),
        "title": line(case.plan.title),
        "description": line(
            dict(case.plan.about).get("hypothesis") or f"A drill of {case.plan.service}: {case.plan.title}"
        ),
        "start": case.began_utc,
        "end": case.ended_utc,
        "props": [
            prop("run", case.run),
            prop("outcome", case.findings.outcome),
            prop("verdict", verdict),
            prop("auditor", AUDITOR_WORD[verdict]),
            prop("environment", case.plan.target.environment),
        ],
        "local-definitions": {"components": components(case)},
        "reviewed-controls": _reviewed(case),
        "observations": [observation(case, finding) for finding in case.findings.findings],
        "findings": [_finding(case, finding) for finding in case.findings.findings],
    }
    log, signed = _log(case), _attestations(case)
    found |= {"assessment-log": {"entries": log}} if log else {}
    found |= {"attestations": signed} if signed else {}
    found |= {"risks": [risk(case, f, tracked.get(f.name), day) for f in targets]} if targets else {}
    return found


def _reviewed(case: Case) -> Json:
    cited = [c.control for c in citations(case.view, case.findings) if c.control.framework == NIST]
    ids = dict.fromkeys(control_id(control.clause) for control in cited)
    what = "NIST SP 800-53 rev. 5 controls that this run is evidence towards. No compliance is claimed."
    if not ids:
        ids = {"cp-4": None}
        what = "Nothing was tested that could be cited; contingency plan testing (CP-4) is what was meant."
    chosen = [{"control-id": name} for name in ids]
    return {"description": what, "control-selections": [{"include-controls": chosen}]}


def control_id(clause: str) -> str:
    """Return a clause as OSCAL's catalog names it: `CP-4(5)` is `cp-4.5`."""
    return clause.lower().replace("(", ".").replace(")", "")


def _finding(case: Case, finding: Finding) -> Json:
    found: Json = {
        "uuid": uid(case, "finding", label(case, finding)),
        "title": line(finding.name),
        "description": line(f"{AUDITOR_WORD[finding.verdict]}: {finding.observed}. {finding.why}."),
        "origins": origins(case),
        "target": {
            "type": "objective-id",
            "target-id": token(label(case, finding)),
            "title": line(f"{finding.name}, limit {finding.limit} {finding.unit}"),
            "status": {
                "state": "satisfied" if finding.verdict is Verdict.PASS else "not-satisfied",
                "reason": _REASON[finding.verdict],
                "remarks": AUDITOR_WORD[finding.verdict],
            },
        },
        "related-observations": [{"observation-uuid": uid(case, "observation", label(case, finding))}],
    }
    if finding.verdict in OPEN:
        found["related-risks"] = [{"risk-uuid": uid(case, "risk", label(case, finding))}]
    return found


def _log(case: Case) -> list[Json]:
    """Return the timeline: what a person would be told, record by record."""
    entries: list[Json] = []
    for record in case.trace.records:
        said = narrate(case.plan, record.event)
        if said is not None and len(entries) < LOG_MAX:
            entries.append(
                {
                    "uuid": uid(case, "record", record.seq),
                    "title": line(said[0]),
                    "description": line(said[1]),
                    "start": record.utc,
                    "props": [prop("record", record.seq), prop("actor", record.actor)],
                }
            )
    return entries


def _attestations(case: Case) -> list[Json]:
    """Return the approvals that were signed. A claimed name attests nothing."""
    events = [(record.seq, record.utc, record.event) for record in case.trace.records]
    return [
        {"parts": [_signed(case, seq, utc, event)]}
        for seq, utc, event in events
        if isinstance(event, ApprovalGiven) and event.verified
    ]


def _signed(case: Case, seq: int, utc: str, given: ApprovalGiven) -> Json:
    said = (
        f"{given.principal} approved as {given.role} at {utc}, signed with key {given.fingerprint};"
        f" statement SHA-256 {given.statement_sha256}."
    )
    title = line(f"Approved as {given.role}")
    return {
        "uuid": uid(case, "approval", seq),
        "name": "approval",
        "ns": NS,
        "title": title,
        "prose": line(said),
    }


def _assessment_plan(case: Case) -> Json:
    """Return a back-matter resource that holds the assessment plan, as OSCAL wants one to be imported."""
    ssp = uid(case, "system-security-plan")
    document = {
        "assessment-plan": {
            "uuid": uid(case, "assessment-plan"),
            "metadata": {
                "title": line(f"Drill plan: {case.plan.title}"),
                "last-modified": case.began_utc,
                "version": case.run,
                "oscal-version": OSCAL_VERSION,
            },
            "import-ssp": {"href": f"#{ssp}", "remarks": "No system security plan was given to the drill."},
            "reviewed-controls": _reviewed(case),
            "back-matter": {"resources": [{"uuid": ssp, "title": line(case.plan.service)}]},
        }
    }
    text = json.dumps(document, ensure_ascii=False).encode()
    return {
        "uuid": uid(case, "assessment-plan", "resource"),
        "title": "assessment-plan.json",
        "description": "The minimal OSCAL assessment plan of this drill.",
        "base64": {
            "filename": "assessment-plan.json",
            "media-type": "application/json",
            "value": base64.b64encode(text).decode(),
        },
    }
