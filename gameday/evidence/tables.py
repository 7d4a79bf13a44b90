"""The tables of a report, as data: the template lays them out and escapes every cell."""

from __future__ import annotations

import json
from dataclasses import dataclass

from gameday.checkers.findings import AUDITOR_WORD, Finding, Findings, Verdict, is_of
from gameday.evidence.account import Account, StepRun
from gameday.evidence.byhand import commands
from gameday.evidence.tracking import Tracked
from gameday.evidence.words import WHY_UNDONE, at, condition, count, limit, load_words, shown, span
from gameday.history.events import Effect
from gameday.plan.model import Activity, Objective, Plan, Probe, Step, StepKind
from gameday.plan.radius import cap_words


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, a dimmer second line, and how to set it (`n` figures, `mono`, a verdict)."""

    text: str
    note: str = ""
    kind: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a heading; left out of the report when it has no rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    kind: str = ""


def row(*cells: str | Cell) -> tuple[Cell, ...]:
    """Return a row; plain text becomes plain cells."""
    return tuple(cell if isinstance(cell, Cell) else Cell(shown(cell)) for cell in cells)


def figure(text: str, note: str = "") -> Cell:
    """Return a cell of figures."""
    return Cell(shown(text), shown(note), "n")


def judged(finding: Finding, *, auditor: bool = False) -> Cell:
    """Return the verdict of a finding: the engineer's word, or the auditor's above it."""
    plain = str(finding.verdict).replace("_", " ")
    if auditor:
        return Cell(AUDITOR_WORD[finding.verdict], plain, "verdict", str(finding.verdict))
    return Cell(plain, "", "verdict", str(finding.verdict))


def objectives(plan: Plan, findings: Findings) -> Table:
    """What had to be shown, what was measured, and how."""
    rows = []
    for objective in plan.objectives:
        for what in ("RTA", "RPA"):
            rows += [
                _objective(plan, objective, finding, what)
                for finding in findings.findings
                if is_of(finding, what, objective.service)
            ]
    note = (
        "RTO and RPO are objectives; RTA and RPA are what this drill achieved. Each is an interval, because"
        " a sample says only that service was up or down at some instant between its sending and its end."
        " The upper end is judged."
    )
    return Table(
        "Objectives", ("", "Objective", "Achieved", "Verdict", "How it was measured"), tuple(rows), note
    )


def _objective(plan: Plan, objective: Objective, finding: Finding, what: str) -> tuple[Cell, ...]:
    name = {"RTA": "Recovery time", "RPA": "Recovery point"}[what]
    planned_ns = objective.rto_ns if what == "RTA" else objective.rpo_ns
    source = f"from {objective.source}" if objective.source else ""
    return row(
        Cell(name, shown(finding.name.removeprefix(f"{what} "))),
        figure(f"{what.replace('A', 'O')} {limit(planned_ns)}", source),
        figure(finding.observed),
        judged(finding, auditor=True),
        Cell(_method(plan, objective, what, finding), shown(_why(finding))),
    )


def _why(finding: Finding) -> str:
    return "" if finding.verdict == "pass" else f"{finding.why}."


def _method(plan: Plan, objective: Objective, what: str, finding: Finding) -> str:
    if what == "RPA":
        store = next((item for item in plan.ledgers if finding.name.endswith(f" ({item.name})")), plan.ledger)
        if store is None:
            return "Not measured: the plan has no ledger."
        return (
            f"Numbered writes every {limit(store.every_ns)} on the users' path, each on disk before it"
            " was sent; all read back from the recovered authority."
        )
    probe = next((p for p in plan.probes if p.name == objective.measured_by), None)
    how = f"every {limit(probe.every_ns)}, deadline {limit(probe.timeout_ns)}" if probe else "unknown"
    return shown(
        f"Probe {objective.measured_by} ({how}): from the last good and first bad sample to the last bad one"
        f" and the first good one of a run that then held, {objective.held_goods} samples and every SLO for"
        f" {limit(plan.steady_state.stabilise_ns)}."
    )


def taken_apart(account: Account) -> Table:
    """Each recovery time in its parts: the bounds it comes from, where the time went, who brought it back."""
    rows = []
    for outage in account.outages:
        numbers = dict(outage.finding.numbers)
        low, high = outage.onset
        bounds = [f"lost between {at(low)} and {at(high)}"]
        if outage.recovered is not None:
            bounds.append(f"back between {at(outage.recovered[0])} and {at(outage.recovered[1])}")
        else:
            bounds.append("not seen to be back")
        parts = ", ".join(f"{name} {span(length)}" for name, length in outage.parts)
        rows.append(
            row(
                Cell(shown(outage.finding.name), shown(_brought_back(numbers.get("recovered_by")))),
                Cell("; ".join(bounds)),
                Cell(parts or "not known", "their sum is its upper end" if parts else ""),
                Cell(_certainty(numbers)),
            )
        )
    columns = ("Recovery time", "Known from the samples", "Where the time went", "How sure")
    return Table("Recovery times, taken apart", columns, tuple(rows))


def _brought_back(by: int | str | None) -> str:
    words = {"plan": "the runbook brought it back", "system": "the system came back by itself"}
    return words.get(str(by), str(by).replace("_", " ") if by else "")


def _certainty(numbers: dict[str, int | str | None]) -> str:
    told = []
    unreadable, coverage = numbers.get("unreadable_samples"), numbers.get("coverage_ppm")
    if isinstance(coverage, int):
        told.append(f"{coverage // 1000 / 10:g} % of the time was measured")
    if isinstance(unreadable, int):
        told.append(count(unreadable, "unreadable sample"))
    if isinstance(numbers.get("width_allowed_ns"), int):
        told.append(f"at most {span(int(numbers['width_allowed_ns'] or 0))} wide by the probe's rate")
    return ", ".join(told)


def all_findings(findings: Findings, tracked: tuple[Tracked, ...] = (), as_of: str = "") -> Table:
    """Every finding with what it rests on, and who mends it until when."""
    mine = {item.added.name: item for item in tracked}
    rows: list[tuple[Cell, ...]] = []
    for finding in findings.findings:
        unit = f" {finding.unit}" if finding.unit in ("%", "writes", "faults") else ""
        records = ", ".join(f"#{number}" for number in finding.events[:8])
        rows.append(
            row(
                finding.name,
                judged(finding),
                figure(f"{finding.observed}{unit if finding.unit == '%' else ''}"),
                figure(f"{finding.limit}{unit}"),
                Cell(shown(finding.why), f"records {records}" if records else ""),
                _mended(finding, mine.pop(finding.name, None), as_of),
            )
        )
    for item in mine.values():
        seen = Cell("seen", "", "verdict", "unknown")
        rows.append(
            row(item.added.name.removeprefix("seen: "), seen, "", "", item.why, _mended(None, item, as_of))
        )
    note = f"Owners, days and decisions as they stood on {as_of}." if as_of and tracked else ""
    columns = ("Finding", "Verdict", "Observed", "Limit", "Why", "Owner, due")
    last = len(columns) if any(cells[-1].text for cells in rows) else len(columns) - 1
    return Table("Findings", columns[:last], tuple(cells[:last] for cells in rows), note)


def _mended(finding: Finding | None, item: Tracked | None, as_of: str) -> Cell:
    if item is not None:
        who = item.owner or "nobody yet"
        due = f", due {item.due}" if item.due else ""
        return Cell(shown(f"{who}{due}"), shown(f"{item.id}, {item.severity}; {item.words(as_of)}"))
    if finding is not None and finding.verdict in (Verdict.FAIL, Verdict.UNKNOWN):
        return Cell("nobody yet", "not tracked")
    return Cell("")


def steps(account: Account) -> Table:
    """The steps, planned against actual."""
    runs = {run.step.id: run for run in account.steps}
    rows = [_step(step, runs.get(step.id)) for step in account.view.plan.steps]
    rows += [row(name, "", "", "", "", "not in the plan") for name in account.unknown_steps]
    return Table(
        "Steps, planned and actual",
        ("Step", "Kind", "Planned", "Started", "Took", "What became of it"),
        tuple(rows),
    )


def _step(step: Step, run: StepRun | None) -> tuple[Cell, ...]:
    where = step.runbook.rpartition("/")[2] if step.runbook else ""
    notes = [where, step.target, "point of no return" if step.point_of_no_return else ""]
    return row(
        Cell(shown(step.name), shown(" · ".join(note for note in notes if note))),
        Cell(str(step.kind), str(step.segment or "")),
        figure(_planned(step)),
        figure(at(run.start_ns) if run else "not started"),
        figure(span(run.end_ns - run.start_ns) if run and run.end_ns is not None else ""),
        _fate(step, run),
    )


def _planned(step: Step) -> str:
    if step.kind is StepKind.HOLD:
        return f"for {limit(step.for_ns)}"
    if step.load is not None:
        return load_words(step.load)
    return f"within {limit(step.deadline_ns)}"


def _fate(step: Step, run: StepRun | None) -> Cell:
    if run is None:
        return Cell("not tested: it was not started")
    if run.ended is None:
        return Cell("never reported", "it may or may not have happened")
    words = str(run.ended.effect).replace("_", " ")
    if step.kind is StepKind.HOLD and run.ended.effect is Effect.INDETERMINATE:
        words = "cut short"
    if step.kind is StepKind.FAULT and run.ended.in_place is not None:
        words += ", read back in place" if run.ended.in_place else ", read back as absent"
    killed = f"killed: {run.killed}. " if run.killed else ""
    return Cell(words, shown(f"{killed}{run.ended.detail}".strip()))


def faults(account: Account) -> Table:
    """Each fault of the plan: what it does, how long it may live, how long it did."""
    runs = {run.step.id: run for run in account.faults}
    rows = []
    for step in account.view.plan.steps:
        if step.kind is not StepKind.FAULT:
            continue
        run = runs.get(step.id)
        if run is None:
            actual = figure("not injected")
        elif run.gone_ns is None:
            actual = figure("NOT shown to be gone", f"injected {at(run.start_ns)}")
        else:
            by = (
                ""
                if run.gone_by is step or run.gone_by is None
                else f", taken back by what `{run.gone_by.name}` owes"
            )
            actual = figure(span(run.gone_ns - run.start_ns), f"{at(run.start_ns)} to {at(run.gone_ns)}{by}")
        lives = figure(limit(step.ttl_ns), "at most")
        rows.append(
            row(
                Cell(shown(step.name), shown(step.target)),
                Cell(call(step.do), "", "mono"),
                lives,
                actual,
                step.survives or "not stated",
            )
        )
    columns = ("Fault", "Done by", "Time to live", "In place for", "What it survives")
    return Table("Faults", columns, tuple(rows))


def undos(account: Account) -> Table:
    """Each undo that ran, and what its read-back said."""
    rows = []
    by_hands = commands(account.view.plan, account.view.trace)
    for undo in account.undos:
        end_ns = undo.gone_ns if undo.gone_ns is not None else undo.end_ns
        seen = "gone, as people say" if undo.step.undo_by_hand else "gone, read back"
        result = seen if undo.gone_ns is not None else "NOT shown to be gone"
        command = by_hands.get(undo.step.id, "")
        by_hand = f"By hand: {command}" if undo.gone_ns is None and command else ""
        tries = f"{undo.attempts} attempts" if undo.attempts > 1 else ""
        rows.append(
            row(
                Cell(
                    shown(undo.step.undo.name if undo.step.undo else undo.step.name), shown(undo.step.target)
                ),
                Cell(call(undo.step.undo), "", "mono") if undo.step.undo else Cell("by hand"),
                WHY_UNDONE.get(undo.why, undo.why),
                figure(at(undo.start_ns)),
                figure(span(end_ns - undo.start_ns) if end_ns is not None else "never reported", tries),
                Cell(result, shown(f"{undo.detail} {by_hand}".strip())),
            )
        )
    columns = ("Undo", "Done by", "Because", "Started", "Until read back", "Result")
    return Table("Undos", columns, tuple(rows))


def call(activity: Activity | None) -> str:
    """Return an activity as a short call: `postgres.kill(node=a)`."""
    if activity is None:
        return ""
    try:
        provider = json.loads(activity.provider)
        arguments = ", ".join(
            f"{key}={value}" for key, value in dict(provider.get("arguments") or {}).items()
        )
        where = str(provider.get("module", "")).rpartition(".")[2]
        name = provider.get("func") or provider.get("path") or provider.get("url") or provider.get("type")
    except (ValueError, TypeError, AttributeError):
        return shown(activity.provider, 120)
    return shown(f"{where}.{name}({arguments})" if where else f"{name}({arguments})", 160)


def stop_conditions(account: Account) -> Table:
    """The limits that would have ended the run, and which of them did."""
    halted = account.view.halted
    warned = {event.condition: at_ns for at_ns, event in account.warnings}
    rows = []
    for stop in account.view.plan.stop_conditions:
        if halted is not None and halted[2].condition == stop.name:
            came = Cell("breached: halted the run", at(halted[0]), "verdict", "fail")
        elif stop.name in warned:
            came = Cell("breached: warned", at(warned[stop.name]), "verdict", "unknown")
        else:
            came = Cell("not breached")
        rows.append(
            row(
                Cell(shown(condition(stop)), shown(stop.name)),
                stop.then if stop.stops == "faults" else f"{stop.then}, load too",
                came,
            )
        )
    radius = account.view.plan.blast_radius
    if radius is not None:
        words = f"{cap_words(radius)}, for at most {limit(radius.duration_ns)}"
        hit = halted is not None and halted[2].by == "blast radius"
        came = (
            Cell("breached: halted the run", at(halted[0]), "verdict", "fail")
            if hit and halted
            else Cell("kept")
        )
        rows.append(row(Cell(words, "blast radius"), "halt", came))
    return Table("Stop conditions", ("Limit", "Then", "What came of it"), tuple(rows))


def probe_row(probe: Probe) -> str:
    """Return what a probe does, in a few words."""
    writes = ", its writes are marked and purged" if probe.writes else ""
    return f"{probe.kind}, every {limit(probe.every_ns)}, deadline {limit(probe.timeout_ns)}{writes}"
