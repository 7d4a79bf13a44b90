"""The draft of the write-up after a drill: what the record knows, and questions where only people know.

Blameless: people stand in it by what they did and when, never as a cause. Facts come from history and
findings; where the record is silent a question stands, to be answered in the review.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gameday.checkers.findings import Finding, Findings, Verdict
from gameday.evidence.account import Account, account_of
from gameday.evidence.casefile import Case
from gameday.evidence.issues import findings_section
from gameday.evidence.narrate import narrate
from gameday.evidence.pages import Page, Section
from gameday.evidence.programme import Row
from gameday.evidence.story import banner, needed, not_tested, story
from gameday.evidence.tracking import Tracked
from gameday.evidence.words import OUTCOME_WORDS, at, limit, span
from gameday.history.events import (
    Effect,
    HaltAsked,
    HostLostReported,
    Noted,
    RunnerLost,
    StepEnded,
    UndoEnded,
)
from gameday.plan.byhand import is_table_top, planned_ns
from gameday.plan.model import StepKind

LINES_MAX = 1000
CLOSE_PPM = 800_000
_MACHINES = ("notices", "time stamps", "lease", "load", "control socket")
HELPED, HINDERED, LUCK = "What helped", "What hindered", "Where we were lucky"
QUESTIONS = {
    HELPED: "To answer: which tool, page, alert, runbook or habit made this shorter?",
    HINDERED: "To answer: what was missing, misleading or slow: access, alert, page, runbook?",
    LUCK: "To answer: what went well for a reason that will not hold next time (hour, load, who was there)?",
}


@dataclass(frozen=True, slots=True)
class Next:
    """What comes after: the day is YYYY-MM-DD, `rows` the scenarios of the project, what is due first."""

    today: str
    tracked: tuple[Tracked, ...]
    rows: tuple[Row, ...]


def writeup(case: Case, after: Next) -> Page:
    """Return the draft of a run's write-up."""
    findings, account = case.findings, account_of(case.view, case.findings)
    ended = OUTCOME_WORDS.get(findings.outcome, findings.outcome)
    kind = "TABLE-TOP: nothing was touched, nothing is tested. " if is_table_top(case.plan) else ""
    about = f"Run {case.run}, {case.began_utc[:19]}Z to {case.ended_utc[:19]}Z; it {ended}."
    hypothesis = dict(case.plan.about).get("hypothesis", "")
    told = [about, f"Hypothesis: {hypothesis}" if hypothesis else "", banner(findings)]
    told += [*needed(case.plan, findings), *story(account, findings)]
    return Page(
        f"Write-up: {case.plan.title}",
        f"{kind}DRAFT, blameless: it looks for causes in systems and procedures",
        (
            Section("Summary", tuple(filter(None, told))),
            _impact(findings),
            _timeline(case),
            _facts(HELPED, _helped(account, findings)),
            _facts(HINDERED, _hindered(case, account, findings)),
            _facts(LUCK, _luck(case, account, findings)),
            Section("What was not tested", points=tuple(not_tested(account, findings))),
            _owed(after),
            Section("Retest", points=tuple(_retest(case, after))),
            Section("Next drill", (_next(case, after),)),
        ),
    )


def _impact(findings: Findings) -> Section:
    rows = tuple(
        (f.name, str(f.verdict).replace("_", " "), f"{f.observed} {f.unit}".strip(), f.limit, f.why)
        for f in findings.findings
    )
    return Section("Impact, in numbers", columns=("What", "Verdict", "Observed", "Limit", "Why"), rows=rows)


def _timeline(case: Case) -> Section:
    rows = []
    for record in case.trace.records:
        said = narrate(case.plan, record.event)
        if said is not None:
            rows.append((record.utc[:23], at(record.at_ns), record.actor, said[0], said[1]))
    left = len(rows) - LINES_MAX
    more = (f"The first {LINES_MAX} of {len(rows)} lines; the history has them all.",) if left > 0 else ()
    columns = ("UTC", "Into the run", "By", "", "What happened")
    return Section("Timeline", more, columns=columns, rows=tuple(rows[:LINES_MAX]))


def _facts(title: str, facts: Iterable[str]) -> Section:
    return Section(title, points=(*dict.fromkeys(facts), QUESTIONS[title]))


def _helped(account: Account, findings: Findings) -> Iterator[str]:
    for finding in findings.findings:
        if finding.verdict is Verdict.PASS and finding.name.startswith(("RTA ", "RPA ", "time to ", "TT")):
            yield f"{finding.name}: {finding.observed} {finding.unit}, allowed {finding.limit}"
    halted = account.view.halted
    if halted is not None and halted[2].condition:
        yield f"{at(halted[0])}: a stop condition ended it before a person had to: {halted[2].reason}"
    yield from _notes(account)


def _notes(account: Account) -> Iterator[str]:
    """Return what people noted: whether it helped or hindered they alone know."""
    for record in account.view.trace.records:
        event = record.event
        if isinstance(event, Noted) and event.text and not event.mark and event.by not in _MACHINES:
            yield f"{at(record.at_ns)}, a note to sort: {event.text} ({event.by})"


def _hindered(case: Case, account: Account, findings: Findings) -> Iterator[str]:
    for finding in findings.findings:
        if finding.verdict in (Verdict.FAIL, Verdict.UNKNOWN):
            yield f"{finding.name} is {finding.verdict}: {finding.why}"
    for run in account.steps:
        if run.killed:
            yield f"{at(run.end_ns)}: step “{run.step.name}” had to be killed: {run.killed}"
        if run.step.kind is StepKind.MANUAL and run.end_ns is not None:
            took, planned = run.end_ns - run.start_ns, planned_ns(case.plan, run.step)
            if took > planned:
                yield f"by hand, “{run.step.name}” took {span(took)}; {limit(planned)} was planned"
    yield from _undos(account)
    yield from _lost(case)


def _undos(account: Account) -> Iterator[str]:
    for undo in account.undos:
        if undo.gone_ns is None:
            yield f"{at(undo.start_ns)}: the undo of “{undo.step.name}” was not shown to work: {undo.detail}"
        elif undo.attempts > 1:
            yield f"the undo of “{undo.step.name}” needed {undo.attempts} attempts"


def _lost(case: Case) -> Iterator[str]:
    for record in case.trace.records:
        match record.event:
            case HostLostReported() as lost:
                yield f"{at(record.at_ns)}: {lost.host} was lost: {lost.detail}"
            case HaltAsked() as asked:
                yield f"{at(record.at_ns)}: {asked.by} asked to halt: {asked.reason}"
            case StepEnded(effect=Effect.DID_NOT_HAPPEN | Effect.INDETERMINATE) as step if step.detail:
                yield f"{at(record.at_ns)}: a step did not do its work: {step.detail}"
            case _:
                pass


def _luck(case: Case, account: Account, findings: Findings) -> Iterator[str]:
    for finding in findings.findings:
        yield from _close(finding)
    for undo in account.undos:
        if undo.gone_ns is not None and 2 * (undo.gone_ns - undo.start_ns) > undo.step.undo_deadline_ns:
            took, allowed = span(undo.gone_ns - undo.start_ns), limit(undo.step.undo_deadline_ns)
            yield f"the undo of “{undo.step.name}” took {took} of the {allowed} it had"
    for record in case.trace.records:
        match record.event:
            case RunnerLost() as lost:
                yield f"{at(record.at_ns)}: the runner was gone ({lost.reason}); {lost.by} took over"
            case UndoEnded(undone=True) as undone if undone.detail:
                yield f"{at(record.at_ns)}: an undo worked, and said: {undone.detail}"
            case _:
                pass


def _close(finding: Finding) -> Iterator[str]:
    """Return what passed by a little: within a fifth of its limit."""
    numbers = dict(finding.numbers)
    allowed = numbers.get("rto_ns") or numbers.get("rpo_ns") or numbers.get("limit_ns")
    upper = finding.interval.max_ns if finding.interval is not None else None
    if finding.verdict is Verdict.PASS and upper is not None and isinstance(allowed, int) and allowed > 0:
        share = upper * 1_000_000 // allowed
        if share > CLOSE_PPM:
            yield f"{finding.name} passed by a little: {finding.observed} of {finding.limit}"
    lucky = numbers.get("unknown_recovered")
    if isinstance(lucky, int) and lucky > 0:
        yield f"{finding.name}: {lucky} writes that nobody had acknowledged were there all the same"


def _owed(after: Next) -> Section:
    if after.tracked:
        return findings_section(after.tracked, after.today)
    return Section("Findings", ("None is tracked yet: gameday finding add RUN --owner NAME --due DAY.",))


def _retest(case: Case, after: Next) -> Iterator[str]:
    for item in after.tracked:
        if item.closed is not None and item.closed.retest:
            yield f"{item.id}: shown to be mended by run {item.closed.retest}"
        elif item.closed is None:
            yield f"{item.id}: open; run it again, then gameday finding close {item.id} --retest RUN"
    mine = next((row for row in after.rows if row.scenario.plan == case.plan.source), None)
    if mine is not None and mine.due:
        yield f"It last demonstrated this on {mine.demonstrated}, and is due again on {mine.due}"
    elif mine is not None:
        yield "It has not yet demonstrated what it set out to: run it again once the findings are mended"


def _next(case: Case, after: Next) -> str:
    """Propose the drill that the programme needs most: what is overdue, never shown, or shown longest ago."""
    others = [
        row
        for row in after.rows
        if row.scenario.plan != case.plan.source and not row.is_gone and not row.scenario.trouble
    ]
    others.sort(key=lambda row: (not row.is_overdue, row.due, row.scenario.service != case.plan.service))
    if not others:
        return "To answer: which other failure is worth a drill? There is no other plan here yet."
    row = others[0]
    since = f"last demonstrated on {row.demonstrated}" if row.demonstrated else "never demonstrated"
    due = "overdue" if row.is_overdue else f"due on {row.due}"
    return f"{row.scenario.title or row.scenario.plan} ({row.scenario.plan}): {since}, {due}."
