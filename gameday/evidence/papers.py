"""The rest of a report's tables: what was measured and how well, who and with what, and the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from gameday.checkers.findings import Findings
from gameday.evidence.account import Account
from gameday.evidence.narrate import narrate
from gameday.evidence.series import baseline_begin, tally
from gameday.evidence.tables import Cell, Table, figure, probe_row, row
from gameday.evidence.words import READ_BACK_WORDS, at, begins_at, limit, percent, shown, span
from gameday.history.events import (
    ClockRead,
    HaltAsked,
    Halted,
    HostStarted,
    Noted,
    RunStarted,
    Sample,
    TargetsResolved,
)
from gameday.history.policyevents import PolicyApplied, Preflighted
from gameday.history.record import Record, Trace
from gameday.plan.model import Plan

EVENTS_MAX = 600
_ON_THE_COVER = ("author", "owner", "roles.", "scenario.", "change_ticket")
_LEDGER = (
    ("acked", "acknowledged", "told to the user as done"),
    ("lost", "acknowledged and lost", "not found when read back"),
    ("unknown_recovered", "no answer, found", "in doubt when sent, and there"),
    ("unknown_lost", "no answer, not found", "in doubt when sent, and not there"),
    ("phantom", "phantom", "found, yet never sent or definitely refused"),
    ("duplicate", "duplicate", "found more than once"),
    ("corrupt", "corrupt", "found with another content"),
    ("holes", "holes", "separate gaps in what was lost"),
    ("acked_after_onset_then_lost", "acknowledged after the loss, then lost", "split brain"),
)


def ledger(findings: Findings) -> Table:
    """The counts behind the recovery point, one column a read-back."""
    reads = []
    for finding in findings.findings:
        numbers = dict(finding.numbers)
        if isinstance(numbers.get("acked"), int):
            store = f" ({numbers['ledger']})" if numbers.get("ledger") else ""
            when = str(numbers.get("read_back", ""))
            reads.append((f"{READ_BACK_WORDS.get(when, when)}{store}", numbers))
    if not reads:
        return Table("Ledger of numbered writes", (), ())
    rows = [
        row(Cell(name, what), *(figure(str(numbers.get(key, ""))) for _, numbers in reads))
        for key, name, what in _LEDGER
    ]
    columns = ("", *(f"Read back {shown(when)}" for when, _ in reads))
    note = "Each column counts every write sent before that read-back."
    return Table("Ledger of numbered writes", columns, tuple(rows), note)


def load(plan: Plan, findings: Findings) -> Table:
    """What each load was asked for and what came of it."""
    rows = []
    for item in plan.load:
        if plan.capacity is not None and item.name == plan.capacity.load:
            continue  # Its trials have a table of their own.
        finding = next((f for f in findings.findings if f.name == f"load {item.name}"), None)
        numbers = dict(finding.numbers) if finding else {}
        busy = numbers.get("generator_busy_max_ppm")
        rows.append(
            row(
                Cell(shown(item.name), shown(item.profile)),
                figure(begins_at(item)),
                figure(str(numbers.get("intended", "")), "arrivals"),
                figure(str(numbers.get("started_on_time", "")), f"{finding.observed} %" if finding else ""),
                figure(f"{numbers.get('late', '')}"),
                figure(f"{numbers.get('dropped', '')}"),
                figure(f"{numbers.get('good', '')}"),
                figure(f"{numbers.get('bad', '')}"),
                figure(percent(busy - busy % 1000) if isinstance(busy, int) else "", "of one core, at most"),
            )
        )
    columns = (
        "Load",
        "Asked",
        "Offered",
        "Started on time",
        "Late",
        "Dropped",
        "Good",
        "Failed",
        "Generator busy",
    )
    note = "Started on time counts arrivals whatever the answer. Under 98 % every finding on load is unknown."
    return Table("Load", columns, tuple(rows), note)


def errors(trace: Trace) -> Table:
    """The kinds of failed requests."""
    counts: dict[str, int] = {}
    for bucket in trace.load:
        for kind, times in bucket.errors:
            counts[kind] = counts.get(kind, 0) + times
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    rows = tuple(row(kind, figure(str(times))) for kind, times in ordered[:20])
    return Table("Failed requests by kind", ("Kind", "Requests"), rows)


def coverage(account: Account, read: dict[str, tuple[Sample, ...]]) -> Table:
    """How each probe was read: unmeasured time is not good time."""
    begun_ns = baseline_begin(account.view.trace)
    rows = []
    for probe in account.view.plan.probes:
        found = tally(read[probe.name], begun_ns)
        due = max((account.view.last_ns - begun_ns) // probe.every_ns, 1) if begun_ns is not None else 0
        share = f"{min(found.since_baseline * 100 / due, 100):.1f} %" if due else "0 %"
        rows.append(
            row(
                Cell(shown(probe.name), probe_row(probe)),
                figure(str(found.good)),
                figure(str(found.bad)),
                figure(str(found.unreadable)),
                figure(share),
                figure(span(found.gap_ns)),
            )
        )
    columns = ("Probe", "Good", "Bad", "Unreadable", "Coverage", "Longest gap")
    note = (
        "Bad is whatever the target does wrong; unreadable is the prober's own failure and is never good."
        " Coverage is the share of due samples that could be read, from the baseline to the end."
    )
    return Table("Probes and coverage", columns, tuple(rows), note)


def people(trace: Trace) -> Table:
    """Halts, notes and marks: what people and limits did to the run."""
    rows = []
    for record in trace.records:
        match record.event:
            case Noted() as event:
                rows.append(_said(record, event.by, f"{event.mark} {event.text}".strip()))
            case HaltAsked() as event:
                rows.append(_said(record, event.by, f"asked to halt: {event.reason}"))
            case Halted() as event:
                rows.append(_said(record, event.by, f"halted the run: {event.reason}"))
            case _:
                pass
    return Table("Halts, notes and marks", ("When", "Who, as claimed", "What"), tuple(rows[:200]))


def _said(record: Record, who: str, what: str) -> tuple[Cell, ...]:
    return row(figure(at(record.at_ns), record.utc[11:23]), who, what)


def _allowed(trace: Trace) -> list[tuple[Cell, ...]]:
    """The policy in force, with the origin of each value, and what was checked before any effect."""
    rows = []
    for record in trace.records:
        match record.event:
            case PolicyApplied() as policy:
                rows.append(row("policy", f"{policy.file}, digest {policy.sha256}"))
                rows += [row(f"{name} ({origin})", value) for name, value, origin in policy.values]
                rows += [
                    row(f"waived: {rule}", f"{what}; by {by} until {until}: {why}")
                    for rule, what, by, until, why in policy.waived
                ]
            case Preflighted() as done:
                counts = Counter(state for _, state, _ in done.checks)
                said = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
                rows.append(row("preflight", f"{len(done.checks)} checks: {said}"))
                rows += [
                    row(f"preflight: {n}", f"{state}: {d}") for n, state, d in done.checks if state != "ok"
                ]
            case _:
                continue
    return rows


def before(plan: Plan, trace: Trace, digest: str) -> Table:
    """What was fixed before the first fault."""
    rows = [
        row(key.replace("_", " ").replace(".", ": "), value)
        for key, value in plan.about
        if key != "hypothesis" and not key.startswith(_ON_THE_COVER)
    ]
    targets = trace.first(TargetsResolved)
    if targets is not None:
        rows.append(
            row("environment", f"{targets.environment}, which says of itself: {shown(targets.identity, 300)}")
        )
    rows += _allowed(trace)
    for objective in plan.objectives:
        tolerable = f", tolerable at most {limit(objective.mtpd_ns)}" if objective.mtpd_ns else ""
        share = percent(objective.minimum_capacity_ppm)
        rows.append(
            row(
                f"recovered means ({objective.service})",
                f"at least {share} of the baseline's good throughput{tolerable}",
            )
        )
    steady = plan.steady_state
    rows.append(
        row(
            "steady state",
            f"{', '.join(steady.slos) or 'none'}; held {limit(steady.baseline_ns)} before,"
            f" {limit(steady.stabilise_ns)} after",
        )
    )
    rows.append(row("plan", Cell(shown(plan.source), f"SHA-256 {digest}")))
    rows += [
        row("load profile", Cell(shown(item.profile), f"SHA-256 {item.profile_sha256}")) for item in plan.load
    ]
    rows += [row("warning on the plan", warning) for warning in plan.warnings]
    return Table("Fixed before the first fault", (), tuple(rows), kind="pairs")


def machine(trace: Trace) -> Table:
    """Where it ran, with what, and what is known of the clock."""
    rows = []
    started = trace.first(RunStarted)
    if started is not None:
        software = ", ".join(f"{name} {version}" for name, version in started.software)
        if started.login:
            rows.append(row("operator, as logged in", started.login))
        rows.append(row("machine", started.machine))
        rows.append(row("software", f"gameday {started.gameday_version}, {software}"))
    hosts = [r.event for r in trace.records if isinstance(r.event, HostStarted)]
    if hosts:
        rows.append(row("processes", f"{len(hosts)}, each recorded with its pid and start time"))
    clocks = dict.fromkeys(_clock(r.event) for r in trace.records if isinstance(r.event, ClockRead))
    rows += [
        row("wall clock", Cell(words, "durations come from one monotonic clock and do not depend on it"))
        for words in clocks
    ]
    return Table("Run with", (), tuple(rows), kind="pairs")


def _clock(event: ClockRead) -> str:
    return event.source if event.bound_ns is None else f"{event.source}, within {span(event.bound_ns)}"


def events(plan: Plan, trace: Trace) -> Table:
    """What happened, record by record, in words."""
    rows: list[tuple[Cell, ...]] = []
    told = 0
    for record in trace.records:
        said = narrate(plan, record.event)
        if said is None:
            continue
        told += 1
        if len(rows) < EVENTS_MAX:
            rows.append(_event(record, said))
    rest = len(trace.records) - len(rows)
    more = f" The first {EVENTS_MAX} of {told} are shown." if told > len(rows) else ""
    note = f"{rest} records of digests, processes and clocks are left out.{more} All are in history.jsonl."
    return Table("Events", ("Record", "Time", "UTC", "By", "", "What happened"), tuple(rows), note, "small")


def _event(record: Record, said: tuple[str, str]) -> tuple[Cell, ...]:
    return row(
        figure(f"#{record.seq}"),
        figure(f"+{record.at_ns / 1e9:.3f} s"),
        figure(record.utc[11:23]),
        record.actor,
        said[0],
        said[1],
    )


def present(tables: Iterable[Table]) -> list[Table]:
    """Return the tables that hold anything."""
    return [table for table in tables if table.rows]
