"""A history seen by what happened: faults, undos, phases, halts. Built once, in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter

from gameday.history.events import (
    ClockRead,
    Effect,
    Halted,
    LedgerRead,
    Outcome,
    Phase,
    PhaseChanged,
    RunEnded,
    RunnerLost,
    Sample,
    StepEnded,
    StepStarted,
    UndoEnded,
    UndoStarted,
)
from gameday.history.loadevents import LoadAsked, LoadReported
from gameday.history.record import Record, Trace
from gameday.plan.model import Objective, Plan, Step, StepKind


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault: when it was commanded, and what its own read-back said."""

    step: Step
    commanded_ns: int
    seq: int
    ended: StepEnded | None
    ended_ns: int | None

    @property
    def took_effect(self) -> bool | None:
        """True when its read-back saw it in place; None when nobody can tell."""
        return self.ended.in_place if self.ended is not None else None

    @property
    def read_back_ns(self) -> int | None:
        """When it was seen in place."""
        return self.ended.read_back_ns if self.ended is not None else None


@dataclass(frozen=True, slots=True)
class View:
    """What the checkers ask of a history. `samples` holds each probe's, in the order they were sent.

    `memo` keeps what several checkers need of one objective.
    """

    plan: Plan
    trace: Trace
    samples: dict[str, tuple[Sample, ...]]
    injections: tuple[Injection, ...]
    started: dict[str, tuple[int, int]]
    ended: dict[str, tuple[int, StepEnded]]
    undo_starts: tuple[tuple[int, int, UndoStarted], ...]
    undo_ends: tuple[tuple[int, int, UndoEnded], ...]
    phases: tuple[tuple[int, int, PhaseChanged], ...]
    halted: tuple[int, int, Halted] | None
    run_ended: RunEnded | None
    lost: bool
    last_ns: int
    reads: tuple[tuple[int, int, LedgerRead], ...]
    clocks: tuple[tuple[int, int, ClockRead], ...]
    load_lost: str
    load_asks: tuple[tuple[int, LoadAsked], ...] = ()
    load_shorts: tuple[tuple[int, int, LoadReported], ...] = ()
    memo: dict[Objective, object] = field(default_factory=dict, compare=False)

    @property
    def outcome(self) -> str:
        """How the run ended; a history without an end is that of a crash."""
        if self.lost or self.run_ended is None:
            return str(Outcome.CRASHED)
        return str(self.run_ended.outcome)

    @property
    def is_interrupted(self) -> bool:
        """Tell whether a person ended it."""
        return self.halted is not None and self.halted[2].by.startswith("operator")

    def phase_at(self, phase: Phase) -> int | None:
        """Return when a phase was first entered."""
        return next((at for at, _, event in self.phases if event.phase is phase), None)

    @property
    def failback_ns(self) -> int:
        """When failing back began, or the end of the history: what comes after is not the recovery."""
        starts = [
            self.started[step.id][0]
            for step in self.plan.steps
            if step.segment == "fail-back" and step.id in self.started
        ]
        return min(starts, default=self.last_ns)


@dataclass(slots=True)
class _Draft:
    """What one pass over the records gathers."""

    started: dict[str, tuple[int, int]] = field(default_factory=dict)
    ended: dict[str, tuple[int, StepEnded]] = field(default_factory=dict)
    undo_starts: list[tuple[int, int, UndoStarted]] = field(default_factory=list)
    undo_ends: list[tuple[int, int, UndoEnded]] = field(default_factory=list)
    phases: list[tuple[int, int, PhaseChanged]] = field(default_factory=list)
    reads: list[tuple[int, int, LedgerRead]] = field(default_factory=list)
    clocks: list[tuple[int, int, ClockRead]] = field(default_factory=list)
    halted: tuple[int, int, Halted] | None = None
    run_ended: RunEnded | None = None
    lost: bool = False
    load_lost: str = ""
    load_asks: list[tuple[int, LoadAsked]] = field(default_factory=list)
    load_shorts: list[tuple[int, int, LoadReported]] = field(default_factory=list)
    last_ns: int = 0

    def take(self, record: Record) -> None:  # noqa: C901, PLR0912 - one case per event
        at_ns, seq = record.at_ns, record.seq
        self.last_ns = max(self.last_ns, at_ns)
        match record.event:
            case StepStarted() as event:
                self.started.setdefault(event.step, (at_ns, seq))
            case StepEnded() as event:
                self.ended.setdefault(event.step, (at_ns, event))
            case UndoStarted() as event:
                self.undo_starts.append((at_ns, seq, event))
            case UndoEnded() as event:
                self.undo_ends.append((at_ns, seq, event))
            case PhaseChanged() as event:
                self.phases.append((at_ns, seq, event))
            case Halted() as event:
                self.halted = self.halted or (at_ns, seq, event)
            case RunEnded() as event:
                self.run_ended = event
            case RunnerLost():
                self.lost = True
            case LedgerRead() as event:
                self.reads.append((at_ns, seq, event))
            case ClockRead() as event:
                self.clocks.append((at_ns, seq, event))
            case LoadReported(state="lost") as event:
                self.load_lost = event.detail or "lost"
            case LoadReported(state="short") as event:
                self.load_shorts.append((at_ns, seq, event))
            case LoadAsked() as event:
                self.load_asks.append((at_ns, event))
            case _:
                pass


def view_of(plan: Plan, trace: Trace) -> View:
    """Return the view of a history. Linear in its records."""
    draft = _Draft()
    for record in trace.records:
        draft.take(record)
    return View(
        plan=plan,
        trace=trace,
        samples=_by_probe(trace.samples),
        injections=_injections(plan, draft.started, draft.ended),
        started=draft.started,
        ended=draft.ended,
        undo_starts=tuple(draft.undo_starts),
        undo_ends=tuple(draft.undo_ends),
        phases=tuple(draft.phases),
        halted=draft.halted,
        run_ended=draft.run_ended,
        lost=draft.lost,
        last_ns=draft.last_ns,
        reads=tuple(draft.reads),
        clocks=tuple(draft.clocks),
        load_lost=draft.load_lost,
        load_asks=tuple(draft.load_asks),
        load_shorts=tuple(draft.load_shorts),
    )


def _by_probe(samples: Iterable[Sample]) -> dict[str, tuple[Sample, ...]]:
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        mine = found.get(sample.probe)
        if mine is None:
            found[sample.probe] = [sample]
        else:
            mine.append(sample)
    return {probe: tuple(sorted(mine, key=attrgetter("sent_ns"))) for probe, mine in found.items()}


def _injections(
    plan: Plan, started: dict[str, tuple[int, int]], ended: dict[str, tuple[int, StepEnded]]
) -> tuple[Injection, ...]:
    found = []
    for step in plan.steps:
        if step.kind is not StepKind.FAULT or step.id not in started:
            continue
        at_ns, event = ended.get(step.id, (None, None))
        if event is not None and event.effect is Effect.DID_NOT_HAPPEN:
            continue
        commanded_ns, seq = started[step.id]
        found.append(Injection(step, commanded_ns, seq, event, at_ns))
    return tuple(sorted(found, key=lambda injection: injection.commanded_ns))


def seconds(value_ns: int | None) -> str:
    """Return a duration as text with the precision that probes can give."""
    return "unknown" if value_ns is None else f"{value_ns / 1e9:.2f} s"
