"""What OSCAL assessment results and plans of action have in common: identifiers, metadata, evidence.

Every UUID is a version 5 one of the run and of what it names, so the same run exports the same bytes.
Times are UTC. Text that OSCAL wants without blanks around it or on one line passes through `line`.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from gameday import __version__
from gameday.checkers.findings import AUDITOR_WORD, Finding, Verdict
from gameday.evidence.casefile import Case
from gameday.evidence.tracking import State, Tracked
from gameday.evidence.words import shown

OSCAL_VERSION = "1.2.1"
NS = "urn:gameday:oscal:v1"
_NAMES = uuid.uuid5(uuid.NAMESPACE_URL, NS)
_MEDIA = {"html": "text/html", "json": "application/json", "jsonl": "application/jsonl"}
_RISK = {State.OPEN: "open", State.CLOSED: "closed", State.ACCEPTED: "deviation-approved"}

Json = dict[str, Any]


def uid(case: Case, *names: object) -> str:
    """Return the UUID of something in a run: the same run and names give the same one."""
    return str(uuid.uuid5(_NAMES, "\n".join((case.run, *map(str, names)))))


def label(case: Case, finding: Finding) -> str:
    """Return what tells a finding from the others of its run, also where two have one name."""
    same = [other for other in case.findings.findings if other.name == finding.name]
    number = next((n for n, other in enumerate(same) if other is finding), 0)
    return f"{finding.name} {number + 1}" if number else finding.name


def line(text: object) -> str:
    """Return a text that OSCAL takes as a string: one line, not empty, no blanks at its ends."""
    return " ".join(shown(text).split()) or "-"


def token(text: object) -> str:
    """Return an XML name made of a text."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", str(text)).strip("-.").lower() or "unnamed"
    return name if re.match(r"[A-Za-z_]", name) else f"_{name}"


def prop(name: str, value: object) -> Json:
    """Return a property in our own namespace."""
    return {"name": token(name), "ns": NS, "value": line(value)}


def metadata(case: Case, title: str) -> Json:
    """Return a document's metadata: parties are people whose names are as claimed, and the tool."""
    people = _people(case)
    parties: list[Json] = [
        {
            "uuid": uid(case, "party", name),
            "type": "person",
            "name": name,
            "remarks": "The name is as claimed, unless an attestation here says that it was signed.",
        }
        for name in dict.fromkeys(people.values())
    ]
    parties.append({"uuid": uid(case, "party", "tool"), "type": "organization", "name": "gameday"})
    return {
        "title": line(title),
        "last-modified": case.ended_utc,
        "version": case.run,
        "oscal-version": OSCAL_VERSION,
        "props": [
            prop("gameday-version", __version__),
            prop("checker-version", case.findings.checker_version),
        ],
        "roles": [{"id": token(role), "title": line(role)} for role in dict.fromkeys((*people, "runner"))],
        "parties": parties,
        "responsible-parties": [
            {"role-id": token(role), "party-uuids": [uid(case, "party", name)]}
            for role, name in people.items()
        ]
        + [{"role-id": "runner", "party-uuids": [uid(case, "party", "tool")]}],
    }  # fmt: skip


def _people(case: Case) -> dict[str, str]:
    about = dict(case.plan.about)
    people = {key.removeprefix("roles."): line(value) for key, value in about.items() if value}
    wanted = {key.removeprefix("roles.") for key in about if key.startswith("roles.")} | {"author", "owner"}
    found = {role: name for role, name in people.items() if role in wanted}
    if case.started is not None and case.started.operator:
        found["operator"] = line(case.started.operator)
    return found


def origins(case: Case) -> list[Json]:
    """Return who says so: the checkers."""
    return [{"actors": [{"type": "tool", "actor-uuid": uid(case, "component", "gameday")}]}]


def components(case: Case) -> list[Json]:
    """Return the service under drill, and the tool that drilled it."""
    return [
        {
            "uuid": uid(case, "component", case.plan.service),
            "type": "service",
            "title": line(case.plan.service),
            "description": line(f"The service under drill, in environment {case.plan.target.environment}."),
            "status": {"state": "operational"},
        },
        {
            "uuid": uid(case, "component", "gameday"),
            "type": "software",
            "title": "gameday",
            "description": "The runner of the drill, whose checkers computed the findings from the history.",
            "props": [{"name": "version", "value": __version__}],
            "status": {"state": "operational"},
        },
    ]


def observation(case: Case, finding: Finding) -> Json:
    """Return what a checker observed, with its bounds and its records."""
    said = f"Observed: {finding.observed}. Limit: {finding.limit} {finding.unit}".rstrip()
    props = [prop("verdict", finding.verdict), prop("auditor", AUDITOR_WORD[finding.verdict])]
    props += bounds(finding)
    props += [prop(name, value) for name, value in finding.numbers if value is not None]
    records = (
        f" Records {', '.join(f'#{number}' for number in finding.events[:20])}." if finding.events else ""
    )
    evidence = [
        {"href": f"#{uid(case, 'file', file.path)}", "description": line(f"{file.path}.{records}")}
        for file in case.files
        if file.path == "history.jsonl"
    ]
    return {
        "uuid": uid(case, "observation", label(case, finding)),
        "title": line(finding.name),
        "description": line(f"{said}. {finding.why}."),
        "props": props,
        "methods": ["TEST"],
        "types": ["control-objective"],
        "origins": origins(case),
        "subjects": [{"subject-uuid": uid(case, "component", case.plan.service), "type": "component"}],
        **({"relevant-evidence": evidence} if evidence else {}),
        "collected": case.ended_utc,
    }  # fmt: skip


def bounds(finding: Finding) -> list[Json]:
    """Return the ends of an interval, in seconds; an end that is not known is left out."""
    interval = finding.interval
    if interval is None:
        return []
    found = [prop("min-s", f"{interval.min_ns / 1e9:.6f}")]
    return found + ([prop("max-s", f"{interval.max_ns / 1e9:.6f}")] if interval.max_ns is not None else [])


def risk(case: Case, finding: Finding, tracked: Tracked | None, day: str) -> Json:
    """Return the risk that a finding leaves, with what people decided about it."""
    state = tracked.state_on(day) if tracked is not None else State.OPEN
    status = _RISK[state]
    if state is State.OPEN and tracked is not None and tracked.owner:
        status = "remediating"
    found: Json = {
        "uuid": uid(case, "risk", label(case, finding)),
        "title": line(finding.name),
        "description": line(f"{finding.name}: {finding.observed} against {finding.limit}. {finding.why}."),
        "statement": line(_statement(case, finding)),
        "status": status,
        "origins": origins(case),
        "related-observations": [{"observation-uuid": uid(case, "observation", label(case, finding))}],
    }
    if tracked is not None:
        found["props"] = [prop("tracked-as", tracked.id), prop("severity", tracked.severity)]
        if tracked.due:
            found["deadline"] = f"{tracked.due}T23:59:59Z"
        found["remediations"] = [_remedy(case, finding, tracked, day)]
    return found


def _statement(case: Case, finding: Finding) -> str:
    if finding.verdict is Verdict.FAIL:
        return f"{case.plan.service} was not shown to meet this in the drill “{case.plan.title}”."
    return f"The drill “{case.plan.title}” could not decide this for {case.plan.service}; it is not a pass."


def _remedy(case: Case, finding: Finding, tracked: Tracked, day: str) -> Json:
    planned = tracked.state_on(day) is State.OPEN
    props = [prop("owner", tracked.owner)] if tracked.owner else []
    if tracked.closed is not None and tracked.closed.retest:
        props.append(prop("retest", tracked.closed.retest))
    return {
        "uuid": uid(case, "remediation", label(case, finding)),
        "lifecycle": "planned" if planned else "completed",
        "title": line(f"{tracked.id}: {tracked.added.name}"),
        "description": line(tracked.words(day)),
        **({"props": props} if props else {}),
    }


def resources(case: Case) -> list[Json]:
    """Return the files of the run with their digests, as back matter."""
    return [
        {
            "uuid": uid(case, "file", file.path),
            "title": file.path,
            "rlinks": [
                {
                    "href": file.path,
                    "media-type": _MEDIA.get(file.path.rpartition(".")[2], "application/octet-stream"),
                    "hashes": [{"algorithm": "SHA-256", "value": file.sha256}],
                }
            ],
        }
        for file in case.files
    ]
