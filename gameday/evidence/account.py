"""What a run did, laid out in time: how long each step ran, each undo took, each fault was in place.

One pass over the records. Unknown step names (a history that belongs to another plan, or was edited)
are kept out of here rather than trusted; the finding on the chain speaks for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from gameday.checkers.debts import debts_of
from gameday.checkers.findings import Finding, Findings
from gameday.checkers.view import View
from gameday.history.events import KillAsked, StepEnded, UndoEnded, UndoStarted, Warned
from gameday.plan.model import Step


@dataclass(frozen=True, slots=True)
class StepRun:
    """One step as it went. `end_ns` None: it never reported."""

    step: Step
    start_ns: int
    end_ns: int | None
    ended: StepEnded | None
    killed: str = ""


@dataclass(frozen=True, slots=True)
class UndoRun:
    """One undo, all its attempts together. `gone_ns` is when its read-back saw the fault absent."""

    step: Step
    why: str
    start_ns: int
    end_ns: int | None
    gone_ns: int | None
    attempts: int
    detail: str


@dataclass(frozen=True, slots=True)
class FaultRun:
    """A fault from its command until it was read back as gone, by its undo or the one that replaced it."""

    step: Step
    start_ns: int
    in_place: bool | None
    read_back_ns: int | None
    gone_ns: int | None
    gone_by: Step | None


@dataclass(frozen=True, slots=True)
class Outage:
    """The disruption that one RTA finding is about, in the instants it was computed from."""

    finding: Finding
    onset: tuple[int, int]
    recovered: tuple[int, int] | None
    parts: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Account:
    """Everything of a run that has a beginning and an end."""

    view: View
    steps: tuple[StepRun, ...]
    undos: tuple[UndoRun, ...]
    faults: tuple[FaultRun, ...]
    outages: tuple[Outage, ...]
    warnings: tuple[tuple[int, Warned], ...] = ()
    unknown_steps: tuple[str, ...] = ()


@dataclass(slots=True)
class _Undo:
    why: str
    start_ns: int
    end_ns: int | None = None
    gone_ns: int | None = None
    attempts: int = 1
    detail: str = ""


PARTS = (
    ("detect_ns", "detect"),
    ("decide_ns", "decide"),
    ("fail_over_ns", "fail over"),
    ("come_up_ns", "come up"),
)


def account_of(view: View, findings: Findings) -> Account:
    """Return the account of a run."""
    known = {step.id: step for step in view.plan.steps}
    kills: dict[str, str] = {}
    warnings: list[tuple[int, Warned]] = []
    for record in view.trace.records:
        if isinstance(record.event, KillAsked) and record.event.role == "do":
            kills.setdefault(record.event.step, record.event.reason)
        elif isinstance(record.event, Warned):
            warnings.append((record.at_ns, record.event))
    undos = _undos(view, known)
    return Account(
        view=view,
        steps=tuple(_step_run(view, step, kills) for step in view.plan.steps if step.id in view.started),
        undos=undos,
        faults=_faults(view),
        outages=tuple(outage for outage in map(_outage, findings.findings) if outage is not None),
        warnings=tuple(warnings),
        unknown_steps=tuple(sorted({name for name in (*view.started, *view.ended) if name not in known})),
    )


def _step_run(view: View, step: Step, kills: dict[str, str]) -> StepRun:
    start_ns = view.started[step.id][0]
    end_ns, ended = view.ended.get(step.id, (None, None))
    return StepRun(step, start_ns, end_ns, ended, kills.get(step.id, ""))


def _undos(view: View, known: dict[str, Step]) -> tuple[UndoRun, ...]:
    found: dict[str, list[_Undo]] = {}
    events: list[tuple[int, int, UndoStarted | UndoEnded]] = [*view.undo_starts, *view.undo_ends]
    events.sort(key=lambda item: item[1])
    for at_ns, _, event in events:
        if event.step not in known:
            continue
        mine = found.setdefault(event.step, [])
        if isinstance(event, UndoEnded):
            if mine:
                last = mine[-1]
                last.end_ns, last.detail = at_ns, event.detail
                last.gone_ns = (event.read_back_ns or at_ns) if event.undone else None
        elif mine and mine[-1].gone_ns is None:
            mine[-1].attempts += 1
        else:
            mine.append(_Undo(event.why, at_ns))
    runs = [
        UndoRun(known[name], u.why, u.start_ns, u.end_ns, u.gone_ns, u.attempts, u.detail)
        for name, mine in found.items()
        for u in mine
    ]
    return tuple(sorted(runs, key=lambda run: run.start_ns))


def _faults(view: View) -> tuple[FaultRun, ...]:
    """Follow each fault through the steps that superseded its undo to the read-back that ended it."""
    debts, steps = debts_of(view.plan, view.trace), {step.id: step for step in view.plan.steps}
    runs = []
    for injection in view.injections:
        end = debts.end_of(injection.step.id)
        runs.append(
            FaultRun(
                step=injection.step,
                start_ns=injection.commanded_ns,
                in_place=injection.took_effect,
                read_back_ns=injection.read_back_ns,
                gone_ns=end[1] if end else None,
                gone_by=steps[end[0]] if end else None,
            )
        )
    return tuple(runs)


def _outage(finding: Finding) -> Outage | None:
    numbers = dict(finding.numbers)
    low, high = numbers.get("onset_min_ns"), numbers.get("onset_max_ns")
    if not isinstance(low, int) or not isinstance(high, int):
        return None
    back_low, back_high = numbers.get("recovered_min_ns"), numbers.get("recovered_max_ns")
    recovered = (back_low, back_high) if isinstance(back_low, int) and isinstance(back_high, int) else None
    parts = [(name, numbers.get(key)) for key, name in PARTS]
    lengths = tuple((name, part) for name, part in parts if isinstance(part, int))
    return Outage(finding, (low, high), recovered, lengths)
