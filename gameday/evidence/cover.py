"""What an auditor asks first: what was in scope, what of it was tested, who did it, who had approved it."""

from __future__ import annotations

from collections.abc import Iterator

from gameday.checkers.findings import Findings
from gameday.evidence.account import Account
from gameday.evidence.controls import CONTROLS, citations
from gameday.evidence.handwork import needs
from gameday.evidence.tables import Cell, Table, row
from gameday.evidence.words import count, shown, span
from gameday.history.events import RunStarted, TargetsResolved
from gameday.history.people import ApprovalGiven, ApprovalsNeeded
from gameday.history.record import Trace
from gameday.plan.model import Plan

POPULATION_MAX = 60
_TESTED, _EXCLUDED = "tested", "excluded"


def scope(account: Account) -> Table:
    """The whole population: what was tested, what was left out, and why."""
    targets = account.view.trace.first(TargetsResolved)
    if targets is None:
        return Table("Scope: the whole population", (), ())
    hit: dict[str, list[str]] = {}
    for fault in account.faults:
        hit.setdefault(fault.step.target, []).append(fault.step.name)
    rows = [row(name, _fate(hit.get(name, [])), _by(hit.get(name, []))) for name in targets.targets]
    rows += [row(name, _EXCLUDED, reason) for name, reason in targets.excluded[:POPULATION_MAX]]
    rest = len(targets.excluded) - POPULATION_MAX
    more = f" {count(rest, 'more')} left out of this table: history.jsonl has them all." if rest > 0 else ""
    note = (
        f"{len(targets.targets)} of {targets.population} were frozen as targets before the first fault, in"
        f" environment {targets.environment}; the list could not grow afterwards.{more}"
    )
    return Table(
        "Scope: the whole population", ("Target", "", "By which fault, or why not"), tuple(rows), note
    )


def _fate(faults: list[str]) -> Cell:
    return Cell(_TESTED) if faults else Cell("in scope, not faulted")


def _by(faults: list[str]) -> str:
    return "; ".join(faults) if faults else "no fault was injected into it in this run"


def scenario(plan: Plan) -> Table:
    """What was tried, and why that is worth trying."""
    about = dict(plan.about)
    words = {
        "scenario.threat": "threat",
        "scenario.why": "why this one",
        "scenario.severe_but_plausible": "severe but plausible",
    }
    rows = [row("hypothesis", about["hypothesis"])] if "hypothesis" in about else []
    rows += [row(words[key], _yes(about[key])) for key in words if key in about]
    up_to = {"plan": "our runbook", "system": "the system itself"}.get(plan.recovery, plan.recovery)
    rows.append(row("recovery is up to", up_to))
    return Table("Scenario", (), tuple(rows), kind="pairs")


def _yes(value: str) -> str:
    return {"True": "yes", "False": "no"}.get(value, value)


def who(plan: Plan, trace: Trace) -> Table:
    """Who had which part, when it ran, and whether those who approved had another part."""
    about = dict(plan.about)
    rows = []
    started = trace.first(RunStarted)
    if started is not None:
        first, last = trace.records[0], trace.records[-1]
        rows.append(row("run", started.run))
        began, ended = (f"{utc[:10]} {utc[11:19]}" for utc in (first.utc, last.utc))
        rows.append(row("when", f"{began} to {ended} UTC, {span(last.at_ns - first.at_ns)}"))
    parts = [("author", about.get("author", "")), ("owner", about.get("owner", ""))]
    parts.append(("operator", started.operator if started is not None else ""))
    parts += [(key.removeprefix("roles."), name) for key, name in plan.about if key.startswith("roles.")]
    rows += [row(part, Cell(shown(name), "as claimed")) for part, name in dict(parts).items() if name]
    if about.get("change_ticket"):
        rows.append(row("change ticket", about["change_ticket"]))
    approved, names = list(_approved(trace)), _approvers(trace)
    asked = trace.first(ApprovalsNeeded)
    wanted = f"asked for: {needs(asked.needs)}" if asked is not None and asked.needs else "none was asked for"
    rows.append(row("approved by", Cell("; ".join(approved) or "nobody, by signature", wanted)))
    both = [f"{name} is also the {part}" for part, name in parts if name in names]
    if approved:
        rows.append(row("kept apart", "; ".join(both) or "no approver has another part, by name"))
    return Table("Who and when", (), tuple(rows), kind="pairs")


def _approved(trace: Trace) -> Iterator[str]:
    for record in trace.records:
        event = record.event
        if isinstance(event, ApprovalGiven) and event.verified:
            yield f"{event.principal} as {event.role}, signed, {record.utc[:10]} {record.utc[11:19]} UTC"


def _approvers(trace: Trace) -> set[str]:
    events = (record.event for record in trace.records)
    return {event.principal for event in events if isinstance(event, ApprovalGiven) and event.verified}


def controls(account: Account, findings: Findings) -> Table:
    """The clauses that this run is evidence towards."""
    found = citations(account.view, findings)
    rows = [
        row(
            Cell(item.control.clause, item.control.framework),
            item.control.shown,
            Cell(str(item.verdict).replace("_", " "), "", "verdict", str(item.verdict)),
            Cell("; ".join(item.where)),
        )
        for item in found
    ]
    note = (
        f"{len(found)} of the {len(CONTROLS)} clauses that gameday knows. Evidence towards a control, never"
        " compliance with it: that is for whoever assesses a period and a population. A clause is listed only"
        " when this run did all of what it asks for. Pass or fail is said of the findings it rests on, never"
        f" of the clause; a test that failed is evidence of testing too. The run was in environment"
        f" {account.view.plan.target.environment}. It is no threat-led penetration test (DORA Art. 26)."
    )
    columns = ("Clause", "What this run shows", "Findings behind it", "Where in this report")
    return Table("Evidence towards", columns, tuple(rows), note)
