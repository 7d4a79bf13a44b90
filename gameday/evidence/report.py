"""The report: what an auditor reads first. One file, no script, nothing loaded from elsewhere.

A rendering of the history and its findings and no more: the same run gives the same bytes, and
whoever doubts it recomputes it with `gameday check`. Names, details and errors come from plans and
targets, so nothing here puts markup together: data goes to the template, which escapes all of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gameday.checkers.comparison import Comparison
from gameday.checkers.findings import AUDITOR_WORD, Findings
from gameday.checkers.view import view_of
from gameday.evidence import capacity, cover, handwork, loadfigures, management, papers, sidebyside, tables
from gameday.evidence.account import Account, account_of
from gameday.evidence.page import template
from gameday.evidence.story import banner, brief, needed, not_tested, story
from gameday.evidence.timeline import closeup, timeline
from gameday.evidence.tracking import Tracked
from gameday.history.events import RunStarted, Sample
from gameday.history.record import Trace
from gameday.plan.model import Plan
from gameday.plan.stored import plan_digest

KINDS = {"dr": "Disaster recovery drill", "game-day": "Game day", "capacity": "Capacity sign-off"}


@dataclass(frozen=True, slots=True)
class Chapter:
    """A part of the report: its number stands in the contents; tables without rows are left out."""

    anchor: str
    title: str
    tables: tuple[tables.Table, ...]


@dataclass(frozen=True, slots=True)
class Mending:
    """What people made of a run's findings, as of the day of the last change; or why that is not known."""

    tracked: tuple[Tracked, ...] = ()
    as_of: str = ""
    trouble: str = ""


UNTRACKED = Mending()


def render(plan: Plan, trace: Trace, findings: Findings, mending: Mending = UNTRACKED) -> str:
    """Return the report of a run as HTML.

    Args:
        plan: The plan, as it lies in the run folder.
        trace: The history, as read back.
        findings: What the checkers say of it.
        mending: What people made of the findings since.
    """
    view = view_of(plan, trace)
    account = account_of(view, findings)
    read = {probe.name: view.samples.get(probe.name, ()) for probe in plan.probes}
    genesis = next((r for r in trace.records if isinstance(r.event, RunStarted)), None)
    run = genesis.event.run if genesis and isinstance(genesis.event, RunStarted) else ""
    untested, digest = not_tested(account, findings), plan_digest(plan)
    compared = sidebyside.comparisons(view, findings)
    return template("report.html.j2").render(
        title=plan.title,
        kind=KINDS.get(plan.kind, plan.kind),
        service=plan.service,
        environment=plan.target.environment,
        run=run,
        running=_running(run, digest),
        date=f"{genesis.utc[:10]} {genesis.utc[11:19]} UTC" if genesis else "",
        hypothesis=dict(plan.about).get("hypothesis", ""),
        verdict=str(findings.verdict),
        auditor=AUDITOR_WORD[findings.verdict],
        banner=banner(findings),
        needed=needed(plan, findings),
        brief=brief(account, findings),
        story=story(account, findings),
        page=management.page(account, findings, mending.tracked, untested, mending.as_of),
        mending=mending,
        objectives=tables.objectives(plan, findings),
        figures=[f for f in (timeline(account, read), closeup(account, read)) if f is not None],
        charts=loadfigures.figures(view, findings, compared),
        front=_front(plan, trace, account),
        measured=_measured(findings, account, read, compared),
        back=_back(plan, trace, findings, account, mending, digest),
        not_tested=untested,
        events=papers.events(plan, trace),
        records=len(trace.records),
        plan_sha256=digest,
        torn=trace.torn,
        breaks=trace.faults[:20],
        checker=findings.checker_version,
    )


def _front(plan: Plan, trace: Trace, account: Account) -> list[tables.Table]:
    """Return what an auditor asks before anything else: scope, people, what was fixed beforehand."""
    return papers.present([cover.scope(account), cover.scenario(plan), cover.who(plan, trace)])


def _measured(
    findings: Findings, account: Account, read: dict[str, tuple[Sample, ...]], compared: list[Comparison]
) -> list[tables.Table]:
    """Return the measurements that the verdicts rest on."""
    return papers.present(
        [
            *capacity.tables(account.view, findings),
            tables.taken_apart(account),
            papers.ledger(findings),
            papers.load(account.view.plan, findings),
            *(sidebyside.table(comparison) for comparison in compared),
            papers.errors(account.view.trace),
            papers.coverage(account, read),
        ]
    )


def _back(
    plan: Plan, trace: Trace, findings: Findings, account: Account, mending: Mending, digest: str
) -> list[Chapter]:
    """Return the chapters after the measurements, in the order of reading."""
    done = (
        tables.steps(account),
        tables.faults(account),
        tables.undos(account),
        tables.stop_conditions(account),
        handwork.approvals(plan, trace),
        handwork.by_hand(account),
        papers.people(trace),
    )
    found = (tables.all_findings(findings, mending.tracked, mending.as_of),)
    fixed = (papers.before(plan, trace, digest), papers.machine(trace))
    chapters = [
        Chapter("findings", "Findings", found),
        Chapter("done", "What was done, planned and actual", done),
        Chapter("controls", "Controls", (cover.controls(account, findings),)),
        Chapter("fixed", "Fixed beforehand", fixed),
    ]
    return [replace(c, tables=tuple(papers.present(c.tables))) for c in chapters if papers.present(c.tables)]


def _running(run: str, digest: str) -> str:
    """Return the words at the foot of each printed page: plain letters, for they stand in a style sheet."""
    name = run if re.fullmatch(r"[A-Za-z0-9-]{1,64}", run) else "unknown"
    return f"run {name}, plan SHA-256 {digest[:16]}"
