"""Kill what is left of a run's hosts, from the records alone: whoever takes over knows nothing else.

A host that died together with its runner cannot be asked what it was running, and what it had started
may have left its session. So each host's marker is recorded; its family finds every process of that
host, also one that was started after the last record. What an activity executed carries the activity's
number too, the count of what its host was sent off to do: the history tells which of them had ended
by themselves, and what those left running (a service that an undo has started again) stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gameday.history.events import HostStarted, KillAsked, StepEnded, StepStarted, UndoEnded, UndoStarted
from gameday.history.record import Trace
from gameday.hosts.processes import family_of, kill_family, kill_session
from gameday.plan.model import Plan
from gameday.procfs import boot_id
from gameday.runner.crew import host_names

RUNNER = "runner"
_Job = tuple[str, str]


@dataclass(slots=True)
class _Sent:
    """What one family was sent off to do."""

    number: int = 0
    open: dict[int, _Job] = field(default_factory=dict)
    killed: set[int] = field(default_factory=set)


def kill_hosts(plan: Plan, trace: Trace) -> None:
    """SIGKILL every host that a history names, on this boot of this machine, with all it started.

    Raises:
        Nothing: what is gone already is passed over.
    """
    here, hosts = boot_id(), [r.event for r in trace.records if isinstance(r.event, HostStarted)]
    sent = _sent(plan, trace)
    began: dict[str, int] = {}
    for event in hosts:
        if event.boot_id != here or event.role in ("watchdog", "runner"):
            continue
        kill_session(event.pid, event.start_ticks)
        if family := family_of(event.marker):
            began[family] = min(event.start_ticks, began.get(family, event.start_ticks))
    probes = {family_of(event.marker) for event in hosts if event.role == "probe"}
    for family, ticks in began.items():
        mine = sent.get(family, _Sent())
        # A probe has nothing to leave behind; its readings are not counted in the history.
        tokens = None if family in probes else {str(number) for number in (*mine.open, *mine.killed)}
        kill_family(family, tokens, since_ticks=ticks)


def _sent(plan: Plan, trace: Trace) -> dict[str, _Sent]:
    """Return by family what its hosts were sent off to do, in the order of the history."""
    names = {True: host_names(plan, rescue=False), False: host_names(plan, rescue=True)}
    now: dict[str, str] = {}
    sent: dict[str, _Sent] = {}
    for record in trace.records:
        event = record.event
        if isinstance(event, HostStarted):
            now[event.host] = family_of(event.marker)
        job = _job(event)
        family = now.get(names[record.actor == RUNNER].get(job, "")) if job else None
        if not family or job is None:
            continue
        mine = sent.setdefault(family, _Sent())
        match event:
            case StepStarted() | UndoStarted():
                mine.number += 1
                mine.open[mine.number] = job
            case KillAsked():
                mine.killed |= {number for number, what in mine.open.items() if what == job}
            case _:
                mine.open = {number: what for number, what in mine.open.items() if what != job}
    return sent


def _job(event: object) -> _Job | None:
    match event:
        case StepStarted() | StepEnded():
            return event.step, "do"
        case UndoStarted() | UndoEnded():
            return event.step, "undo"
        case KillAsked():
            return event.step, event.role
    return None
