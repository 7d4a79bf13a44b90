"""The report: what an auditor reads first. One file, no script, nothing loaded from elsewhere.

A rendering of the history and its findings, and no more: whoever doubts it recomputes it with
`gameday check`. Names and details come from plans and targets, so everything is escaped.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, select_autoescape
from markupsafe import Markup

from gameday.checkers.findings import AUDITOR_WORD, Finding, Findings
from gameday.evidence.series import strips
from gameday.evidence.timeline import timeline
from gameday.history.events import (
    ClockRead,
    HaltAsked,
    Halted,
    HostStarted,
    Noted,
    RunEnded,
    RunStarted,
    StepEnded,
    StepStarted,
    TargetsResolved,
    UndoEnded,
    UndoStarted,
)
from gameday.history.record import Record, Trace
from gameday.plan.model import Plan, Step, StepKind
from gameday.plan.stored import plan_digest
from gameday.plan.units import as_text

EVENTS_MAX = 2000
_SEGMENTS = (
    ("detect_ns", "detect"), ("decide_ns", "decide"), ("fail_over_ns", "fail over"), ("come_up_ns", "come up"),
)  # fmt: skip


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def render(plan: Plan, trace: Trace, findings: Findings) -> str:
    """Return the report as HTML."""
    started = next((r for r in trace.records if isinstance(r.event, RunStarted)), None)
    return _template().render(
        plan=plan,
        about=[(key.replace("_", " ").replace(".", ": "), value) for key, value in plan.about],
        digest=plan_digest(plan),
        genesis=started.event if started else None,
        started_utc=started.utc[:19].replace("T", " ") if started else "unknown",
        findings=findings,
        verdict=str(findings.verdict),
        auditor=AUDITOR_WORD[findings.verdict],
        words=AUDITOR_WORD,
        headline=_headline(plan, findings),
        objectives=[_objective(plan, f) for f in findings.findings if f.name.startswith(("RTA ", "RPA "))],
        rows=findings.findings,
        svg=Markup(timeline(plan, trace, findings)),  # noqa: S704 - built by us, every text in it escaped
        segments=_segments(findings),
        steps=_steps(plan, trace),
        undos=_undos(plan, trace),
        faults=[_fault(step) for step in plan.steps if step.kind is StepKind.FAULT],
        ledger=_numbers(findings, "RPA "),
        loads=[f for f in findings.findings if f.name.startswith("load ")],
        coverage=_coverage(plan, trace),
        targets=next((r.event for r in trace.records if isinstance(r.event, TargetsResolved)), None),
        clocks=[r.event for r in trace.records if isinstance(r.event, ClockRead)],
        conditions=plan.stop_conditions,
        people=[(r, _person(r)) for r in trace.records if isinstance(r.event, Noted | HaltAsked | Halted)],
        events=[_event(r) for r in trace.records if not isinstance(r.event, HostStarted)][:EVENTS_MAX],
        event_count=len(trace.records),
        torn=trace.torn,
        breaks=trace.faults,
        as_text=as_text,
    )


def _headline(plan: Plan, findings: Findings) -> str:
    ended = {"completed": "ran to its end", "halted": "was halted", "crashed": "crashed: its runner died"}
    said = ended.get(findings.outcome, findings.outcome)
    by = f" by {findings.halted_by}" if findings.halted_by else ""
    failed = [f.name for f in findings.findings if str(f.verdict) == "fail"]
    open_points = [f.name for f in findings.findings if str(f.verdict) == "unknown"]
    tail = ""
    if findings.stuck:
        tail = " A person is needed: an undo is stuck."
    elif findings.failed_over:
        tail = " A person is needed: service was left failed over."
    elif failed:
        tail = f" Not shown: {', '.join(failed)}."
    elif open_points:
        tail = f" Undecided: {', '.join(open_points)}."
    return f"The drill on {plan.service} {said}{by}.{tail}"


def _objective(plan: Plan, finding: Finding) -> dict[str, Any]:
    what, _, service = finding.name.partition(" ")
    source = next((o.source for o in plan.objectives if o.service == service), "")
    return {
        "what": "RTO / RTA" if what == "RTA" else "RPO / RPA",
        "service": service,
        "limit": finding.limit,
        "observed": finding.observed,
        "verdict": str(finding.verdict),
        "auditor": AUDITOR_WORD[finding.verdict],
        "why": finding.why,
        "source": source,
    }


def _segments(findings: Findings) -> list[tuple[str, list[tuple[str, str]]]]:
    found = []
    for finding in findings.findings:
        numbers = dict(finding.numbers)
        parts = [(name, numbers.get(key)) for key, name in _SEGMENTS]
        shown = [(name, f"{part / 1e9:.3f} s") for name, part in parts if isinstance(part, int)]
        if shown:
            found.append((finding.name, shown))
    return found


def _numbers(findings: Findings, prefix: str) -> list[tuple[str, str]]:
    finding = next((f for f in findings.findings if f.name.startswith(prefix)), None)
    return [(key.replace("_", " "), str(value)) for key, value in finding.numbers] if finding else []


def _steps(plan: Plan, trace: Trace) -> list[dict[str, str]]:
    started: dict[str, Record] = {}
    ended: dict[str, tuple[Record, StepEnded]] = {}
    for record in trace.records:
        match record.event:
            case StepStarted(step=name):
                started.setdefault(name, record)
            case StepEnded(step=name) as event:
                ended[name] = (record, event)
            case _:
                pass
    rows = []
    for step in plan.steps:
        begin, end = started.get(step.id), ended.get(step.id)
        took = f"{(end[0].at_ns - begin.at_ns) / 1e9:.2f} s" if begin and end else "-"
        effect = str(end[1].effect).replace("_", " ") if end else ("under way" if begin else "not started")
        rows.append(
            {
                "name": step.name,
                "kind": str(step.kind),
                "runbook": (step.runbook or "").rpartition("/")[2],
                "at": f"+{begin.at_ns / 1e9:.2f} s" if begin else "-",
                "took": took,
                "limit": as_text(step.deadline_ns),
                "effect": effect,
                "detail": end[1].detail if end else "",
            }
        )
    return rows


def _undos(plan: Plan, trace: Trace) -> list[dict[str, str]]:
    names = {step.id: step for step in plan.steps}
    begun: dict[str, tuple[int, str]] = {}
    rows = []
    for record in trace.records:
        match record.event:
            case UndoStarted(step=name, why=why):
                begun.setdefault(name, (record.at_ns, why))
            case UndoEnded(step=name) as event:
                at_ns, why = begun.get(name, (record.at_ns, ""))
                gone_ns = event.read_back_ns or record.at_ns
                rows.append(
                    {
                        "name": names[name].undo.name if names[name].undo else name,  # type: ignore[union-attr]
                        "why": why,
                        "at": f"+{at_ns / 1e9:.2f} s",
                        "took": f"{(gone_ns - at_ns) / 1e9:.2f} s",
                        "undone": "gone, read back" if event.undone else "NOT undone",
                        "detail": event.detail,
                    }
                )
            case _:
                pass
    return rows


def _fault(step: Step) -> dict[str, str]:
    return {
        "name": step.name,
        "target": step.target,
        "ttl": as_text(step.ttl_ns) if step.ttl_ns else "none",
        "survives": step.survives or "not stated",
    }


def _coverage(plan: Plan, trace: Trace) -> list[dict[str, Any]]:
    rows = []
    end_ns = max((r.at_ns for r in trace.records), default=1)
    for strip in strips(trace.samples, [probe.name for probe in plan.probes], max(end_ns, 1)):
        counts = dict(strip.counts)
        probe = next(p for p in plan.probes if p.name == strip.probe)
        rows.append(
            {
                "probe": strip.probe,
                "every": as_text(probe.every_ns),
                "timeout": as_text(probe.timeout_ns),
                "good": counts.get("good", 0),
                "bad": counts.get("bad", 0),
                "unreadable": counts.get("unreadable", 0),
            }
        )
    return rows


def _person(record: Record) -> tuple[str, str]:
    match record.event:
        case Noted() as event:
            return event.by, f"{event.mark} {event.text}".strip()
        case HaltAsked() as event:
            return event.by, f"asked to halt: {event.reason}"
        case Halted() as event:
            return event.by, f"halted the run: {event.reason}"
        case _:
            return record.actor, ""


def _event(record: Record) -> dict[str, Any]:
    event = record.event
    if isinstance(event, RunStarted | RunEnded | TargetsResolved):
        shown = ""
    else:
        shown = ", ".join(
            f"{name}={value}"
            for name, value in ((f, getattr(event, f)) for f in event.__dataclass_fields__)
            if value not in (None, "", (), False)
        )
    return {
        "seq": record.seq,
        "at": f"+{record.at_ns / 1e9:.3f}",
        "utc": record.utc[11:23],
        "actor": record.actor,
        "kind": type(event).__name__,
        "data": shown[:300],
    }
