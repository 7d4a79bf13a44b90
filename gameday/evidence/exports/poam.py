"""An OSCAL plan of action and milestones: what a run left to be mended, by whom, until when."""

from __future__ import annotations

import json

from gameday.checkers.findings import AUDITOR_WORD, Finding, Verdict
from gameday.errors import Refused
from gameday.evidence.casefile import Case
from gameday.evidence.exports.oscalparts import (
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
    uid,
)
from gameday.evidence.tracking import Tracked


def poam(case: Case, tracked: tuple[Tracked, ...] = (), day: str = "") -> str:
    """Return the plan of action as JSON text: an item for each finding that failed or is undecided.

    Args:
        case: The run.
        tracked: What people made of its findings, closed ones too: an item shows how it ended.
        day: Today (YYYY-MM-DD); the run's own when empty.

    Raises:
        Refused: The run left nothing to be mended, and OSCAL knows no plan without an item.
    """
    owed = [f for f in case.findings.findings if f.verdict in (Verdict.FAIL, Verdict.UNKNOWN)]
    if not owed:
        raise Refused(
            f"run {case.run} has no finding that failed or is unknown: there is no plan of action to write",
            todo="`gameday export --as oscal` has its results.",
        )
    today = day or case.ended_utc[:10]
    mine = {item.added.name: item for item in tracked}
    document = {
        "plan-of-action-and-milestones": {
            "uuid": uid(case, "poam"),
            "metadata": metadata(case, f"Plan of action after the drill: {case.plan.title}"),
            "system-id": {
                "identifier-type": "http://ietf.org/rfc/rfc4122",
                "id": uid(case, "component", case.plan.service),
            },
            "local-definitions": {"components": components(case)},
            "observations": [observation(case, finding) for finding in owed],
            "risks": [risk(case, finding, mine.get(finding.name), today) for finding in owed],
            "poam-items": [_item(case, finding, mine.get(finding.name), today) for finding in owed],
            **({"back-matter": {"resources": resources(case)}} if case.files else {}),
        }
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _item(case: Case, finding: Finding, tracked: Tracked | None, day: str) -> Json:
    props = [prop("verdict", finding.verdict), prop("auditor", AUDITOR_WORD[finding.verdict])]
    state = "open: nobody has taken it on yet"
    if tracked is not None:
        state = tracked.words(day)
        named = {"tracked-as": tracked.id, "severity": tracked.severity, "owner": tracked.owner,
                 "due": tracked.due, "state": tracked.state_on(day)}  # fmt: skip
        props += [prop(name, value) for name, value in named.items() if value]
    return {
        "uuid": uid(case, "poam-item", label(case, finding)),
        "title": line(finding.name),
        "description": line(f"{finding.observed} against {finding.limit}. {finding.why}. State: {state}."),
        "props": props,
        "origins": origins(case),
        "related-observations": [{"observation-uuid": uid(case, "observation", label(case, finding))}],
        "related-risks": [{"risk-uuid": uid(case, "risk", label(case, finding))}],
    }
