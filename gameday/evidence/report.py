"""The report: what an auditor reads first. One file, no script, nothing loaded from elsewhere.

A rendering of the history and its findings and no more: the same run gives the same bytes, and
whoever doubts it recomputes it with `gameday check`. Names, details and errors come from plans and
targets, so nothing here puts markup together: data goes to the template, which escapes all of it.
"""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from gameday.checkers.findings import AUDITOR_WORD, Findings
from gameday.checkers.view import view_of
from gameday.evidence import handwork, papers, tables
from gameday.evidence.account import Account, account_of
from gameday.evidence.series import Stretch, by_probe
from gameday.evidence.story import banner, needed, not_tested, open_points, story
from gameday.evidence.timeline import closeup, timeline
from gameday.evidence.words import shown
from gameday.history.events import RunStarted
from gameday.history.record import Trace
from gameday.plan.model import Plan
from gameday.plan.stored import plan_digest

KINDS = {"dr": "Disaster recovery drill", "game-day": "Game day", "capacity": "Capacity sign-off"}


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("gameday", "evidence"),
        autoescape=True,
        finalize=_harmless,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _harmless(value: object) -> object:
    """Let no text through that would not print or would turn the reading direction around."""
    if isinstance(value, Markup) or not isinstance(value, str) or value.isprintable():
        return value  # Markup is what the template's own macros made; every value in it came through here.
    return shown(value, 1 << 20)


def render(plan: Plan, trace: Trace, findings: Findings) -> str:
    """Return the report of a run as HTML.

    Args:
        plan: The plan, as it lies in the run folder.
        trace: The history, as read back.
        findings: What the checkers say of it.
    """
    account = account_of(view_of(plan, trace), findings)
    read = by_probe(trace.samples, plan.probes)
    genesis = next((r for r in trace.records if isinstance(r.event, RunStarted)), None)
    run = genesis.event.run if genesis and isinstance(genesis.event, RunStarted) else ""
    return _template().render(
        title=plan.title,
        kind=KINDS.get(plan.kind, plan.kind),
        service=plan.service,
        environment=plan.target.environment,
        run=run,
        date=f"{genesis.utc[:10]} {genesis.utc[11:19]} UTC" if genesis else "",
        hypothesis=dict(plan.about).get("hypothesis", ""),
        verdict=str(findings.verdict),
        auditor=AUDITOR_WORD[findings.verdict],
        banner=banner(findings),
        needed=needed(plan, findings),
        story=story(account, findings),
        open_points=open_points(findings),
        objectives=tables.objectives(plan, findings),
        figures=[f for f in (timeline(account, read), closeup(account, read)) if f is not None],
        first=papers.present([tables.all_findings(findings)]),
        rest=papers.present(_rest(plan, trace, findings, account, read)),
        not_tested=not_tested(account, findings),
        events=papers.events(plan, trace),
        records=len(trace.records),
        torn=trace.torn,
        breaks=trace.faults[:20],
        checker=findings.checker_version,
    )


def _rest(
    plan: Plan, trace: Trace, findings: Findings, account: Account, read: dict[str, list[Stretch]]
) -> list[tables.Table]:
    """Return the tables that come after the findings, in the order of reading."""
    return [
        tables.faults(account),
        tables.undos(account),
        tables.steps(account),
        tables.stop_conditions(account),
        handwork.approvals(plan, trace),
        handwork.by_hand(account),
        papers.people(trace),
        papers.ledger(findings),
        papers.load(plan, findings),
        papers.errors(trace),
        papers.coverage(account, read),
        papers.before(plan, trace, plan_digest(plan)),
        papers.machine(trace),
    ]
