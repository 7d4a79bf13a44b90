"""The page for management: a verdict and a sentence for each objective, what is owed, what is not known."""

from __future__ import annotations

from dataclasses import dataclass

from gameday.checkers.capacity import LIMIT
from gameday.checkers.findings import AUDITOR_WORD, Finding, Findings, Verdict
from gameday.evidence.account import Account
from gameday.evidence.capacity import sentence
from gameday.evidence.controls import citations
from gameday.evidence.tracking import State, Tracked
from gameday.evidence.words import count, limit, shown
from gameday.history.people import ApprovalGiven
from gameday.plan.model import Objective

OWED_MAX = 8
UNTESTED_MAX = 5
_BY = {
    "plan": "The runbook brought it back.",
    "system": "The system came back by itself.",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A verdict with its sentence; `verdict` is the engineer's word, `auditor` the other one."""

    verdict: str
    auditor: str
    name: str
    words: str


@dataclass(frozen=True, slots=True)
class Page:
    """What stands on the page, in order."""

    lines: tuple[Line, ...]
    owed: tuple[Line, ...]
    not_tested: tuple[str, ...]
    approved: str
    towards: str
    as_of: str = ""


def page(
    account: Account, findings: Findings, tracked: tuple[Tracked, ...], untested: list[str], as_of: str
) -> Page:
    """Return the page.

    Args:
        account: The run.
        findings: What the checkers say of it.
        tracked: What people made of its findings.
        untested: What the run leaves untested, in sentences.
        as_of: The day (YYYY-MM-DD) on which `tracked` stood so; empty when nothing is tracked.
    """
    plan = account.view.plan
    lines = [line for objective in plan.objectives for line in _objective(objective, findings)]
    lines += _capacity(account, findings)
    if not lines:  # A drill without recovery objectives is about its load and its steady state.
        about = [f for f in findings.findings if f.name.startswith(("steady state", "load "))]
        lines = [_line(f, f"{f.name[:1].upper()}{f.name[1:]}", _sentence(f.why)) for f in about]
    lines += [_clean(f) for f in findings.findings if f.name == "no fault is left"]
    told = _briefly(untested)
    return Page(
        lines=tuple(lines),
        owed=tuple(owed(findings, tracked, as_of)),
        not_tested=tuple(told),
        approved=_approved(account),
        towards=_towards(account, findings),
        as_of=as_of,
    )


def _capacity(account: Account, findings: Findings) -> list[Line]:
    """Return the decision of a sign-off, and the limit that was found."""
    plan = account.view.plan
    if plan.capacity is None:
        return []
    lines = []
    for finding in findings.findings:
        if finding.name == f"capacity {plan.service}":
            lines.append(_line(finding, f"Capacity of {plan.service}", sentence(plan, findings)))
        if finding.name == LIMIT:
            said = f"The limit is {finding.observed}. {_sentence(finding.why)}"
            lines.append(_line(finding, "Capacity limit", said))
    return lines


def _briefly(untested: list[str]) -> list[str]:
    """Return what was not tested in a few lines: the steps that were not started in one."""
    begin = "Step not started: "
    steps = [sentence.removeprefix(begin) for sentence in untested if sentence.startswith(begin)]
    told = [sentence for sentence in untested if not sentence.startswith(begin)]
    if steps:
        told.insert(0, shown(f"{count(len(steps), 'step')} not started: {', '.join(steps)}", 300))
    rest = len(told) - UNTESTED_MAX
    return told[:UNTESTED_MAX] + ([f"…and {rest} more, listed below"] if rest > 0 else [])


def _objective(objective: Objective, findings: Findings) -> list[Line]:
    by_name = {finding.name: finding for finding in findings.findings}
    lines = []
    time, point = by_name.get(f"RTA {objective.service}"), by_name.get(f"RPA {objective.service}")
    if time is not None:
        lines.append(_line(time, f"Recovery time of {objective.service}", _time(objective, time)))
    if point is not None:
        lines.append(_line(point, f"Data loss of {objective.service}", _point(objective, point)))
    return lines


def _time(objective: Objective, finding: Finding) -> str:
    allowed = f"{limit(objective.rto_ns)} is allowed"
    if finding.interval is None:
        return f"{_sentence(finding.why)} {allowed[0].upper()}{allowed[1:]}."
    if "onset_min_ns" not in dict(finding.numbers):
        return f"Users saw no disruption ({finding.observed}); {allowed}."
    by = _BY.get(str(dict(finding.numbers).get("recovered_by", "")), "")
    said = f"Out of service for {finding.observed}; {allowed}."
    return f"{said} {by if finding.verdict is Verdict.PASS else _sentence(finding.why)}".strip()


def _point(objective: Objective, finding: Finding) -> str:
    allowed = f"{limit(objective.rpo_ns)} is allowed"
    if finding.interval is None:
        return f"{_sentence(finding.why)} {allowed[0].upper()}{allowed[1:]}."
    said = f"{_sentence(finding.observed).rstrip('.')}; {allowed}."
    return said if finding.verdict is Verdict.PASS else f"{said} {_sentence(finding.why)}"


def _clean(finding: Finding) -> Line:
    return _line(finding, "Nothing left behind", _sentence(finding.why))


def _line(finding: Finding, name: str, words: str) -> Line:
    return Line(str(finding.verdict), AUDITOR_WORD[finding.verdict], shown(name), shown(words))


def owed(findings: Findings, tracked: tuple[Tracked, ...], as_of: str) -> list[Line]:
    """Return what failed or is undecided, and what people saw, with who mends it until when."""
    mine = {item.added.name: item for item in tracked}
    lines = []
    for finding in findings.findings:
        if finding.verdict in (Verdict.FAIL, Verdict.UNKNOWN):
            item = mine.pop(finding.name, None)
            state = _state(item, as_of) if item else "Nobody has taken it on yet."
            lines.append(_line(finding, finding.name, state))
    for item in mine.values():
        verdict = str(Verdict.PASS) if item.state_on(as_of) is State.CLOSED else str(Verdict.UNKNOWN)
        name = shown(item.added.name.removeprefix("seen: "))
        lines.append(Line(verdict, "", name, shown(_state(item, as_of))))
    if len(lines) > OWED_MAX:
        more = Line("unknown", "", f"{len(lines) - OWED_MAX} more", "They are listed under Findings.")
        lines = [*lines[:OWED_MAX], more]
    return lines


def _state(item: Tracked, as_of: str) -> str:
    who = f"{item.owner} mends it" if item.owner else "Nobody mends it yet"
    until = f" by {item.due}" if item.due else ", no day is set"
    if item.state_on(as_of) is not State.OPEN:
        return f"{item.id}, {item.severity}: {item.words(as_of)}."
    return f"{item.id}, {item.severity}. {who}{until}."


def _approved(account: Account) -> str:
    given = [r.event for r in account.view.trace.records if isinstance(r.event, ApprovalGiven)]
    people = dict.fromkeys(f"{e.principal} ({e.role})" for e in given if e.verified)
    if people:
        return f"Approved by signature of {', '.join(people)}."
    claimed = ", ".join(dict.fromkeys(e.principal for e in given))
    return f"Nobody approved it by signature{f'; claimed by {claimed}' if claimed else ''}."


def _towards(account: Account, findings: Findings) -> str:
    by_framework: dict[str, list[str]] = {}
    for item in citations(account.view, findings):
        clauses = by_framework.setdefault(item.control.framework, [])
        if item.control.clause not in clauses:
            clauses.append(item.control.clause)
    return "; ".join(f"{name} {', '.join(clauses)}" for name, clauses in by_framework.items())


def _sentence(text: str) -> str:
    whole = text.strip()
    return f"{whole[:1].upper()}{whole[1:]}{'' if whole.endswith('.') else '.'}" if whole else ""
