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
    """Return the plan of action as JSON text.

    An item for each finding that failed or is undecided, and for each thing that a person saw in the run.

    Args:
        case: The run.
        tracked: What people made of its findings, closed ones too: an item shows how it ended.
        day: Today (YYYY-MM-DD); the run's own when empty.

    Raises:
        Refused: The run left nothing to be mended, and OSCAL knows no plan without an item.
    """
    owed = [f for f in case.findings.findings if f.verdict in (Verdict.FAIL, Verdict.UNKNOWN)]
    mine = {item.added.name: item for item in tracked}
    names = {finding.name for finding in case.findings.findings}
    seen = [item for item in tracked if item.added.name not in names]
    if not owed and not seen:
        raise Refused(
            f"run {case.run} has no finding that failed or is unknown: there is no plan of action to write",
            todo="`gameday export --as oscal` has its results.",
        )
    today = day or case.ended_utc[:10]
    document = {
        "plan-of-action-and-milestones": {
            "uuid": uid(case, "poam"),
            "metadata": metadata(case, f"Plan of action after the drill: {case.plan.title}"),
            "system-id": {
                "identifier-type": "http://ietf.org/rfc/rfc4122",
                "id": uid(case, "component", case.plan.service),
            },
            "local-definitions": {"components": components(case)},
            **_observed(case, owed, mine, today),
            "poam-items": [
                *(_item(case, finding, mine.get(finding.name), today) for finding in owed),
                *(_seen(case, item, today) for item in seen),
            ],
            **({"back-matter": {"resources": resources(case)}} if case.files else {}),
        }
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _observed(case: Case, owed: list[Finding], mine: dict[str, Tracked], day: str) -> Json:
    if not owed:
        return {}  # OSCAL knows no empty list.
    return {
        "observations": [observation(case, finding) for finding in owed],
        "risks": [risk(case, finding, mine.get(finding.name), day) for finding in owed],
    }


def _seen(case: Case, item: Tracked, day: str) -> Json:
    return {
        "uuid": uid(case, "poam-item", item.id),
        "title": line(item.added.name.removeprefix("seen: ")),
        "description": line(f"{item.why}. State: {item.words(day)}."),
        "props": _standing(item, day),
    }


def _standing(item: Tracked, day: str) -> list[Json]:
    named = {"tracked-as": item.id, "severity": item.severity, "owner": item.owner,
             "due": item.due, "state": item.state_on(day)}  # fmt: skip
    return [prop(name, value) for name, value in named.items() if value]


def _item(case: Case, finding: Finding, tracked: Tracked | None, day: str) -> Json:
    props = [prop("verdict", finding.verdict), prop("auditor", AUDITOR_WORD[finding.verdict])]
    state = "open: nobody has taken it on yet"
    if tracked is not None:
        state = tracked.words(day)
        props += _standing(tracked, day)
    return {
        "uuid": uid(case, "poam-item", label(case, finding)),
        "title": line(finding.name),
        "description": line(f"{finding.observed} against {finding.limit}. {finding.why}. State: {state}."),
        "props": props,
        "origins": origins(case),
        "related-observations": [{"observation-uuid": uid(case, "observation", label(case, finding))}],
        "related-risks": [{"risk-uuid": uid(case, "risk", label(case, finding))}],
    }
