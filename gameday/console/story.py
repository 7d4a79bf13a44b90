"""A run as the web page tells it: everything from its first event on, not only the recent past.

The same fold as the terminal's (`Follower`), and beside it what a page needs that shows the whole time
axis: when each phase, step, undo, gate and fault began and ended, all notes, the rows of the charts.
Everything is bounded; what was left out is counted and said.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from gameday.console.follow import Follower, Note
from gameday.console.metrics import chain
from gameday.console.points import Points
from gameday.history.events import (
    Effect,
    HaltAsked,
    Halted,
    Noted,
    Phase,
    PhaseChanged,
    RunStarted,
    Sample,
    StepEnded,
    StepStarted,
    UndoEnded,
    UndoStarted,
)
from gameday.history.loadevents import LoadBucket
from gameday.history.people import GateEnded, GateWaiting
from gameday.history.record import Record
from gameday.plan.model import StepKind

NOTES_MAX = 4000
BARS_MAX = 4000
TAKES = "takes "


@dataclass(slots=True)
class Bar:
    """One stretch on the time axis. `what`: phase, do, undo, gate or fault; open while it lasts."""

    what: str
    of: str
    start_ns: int
    end_ns: int | None = None
    state: str = "open"
    number: int = 0


@dataclass(slots=True)
class Halting:
    """How a halt went: asked, begun, every fault verified gone."""

    asked_ns: int | None = None
    asked_by: str = ""
    at_ns: int | None = None
    by: str = ""
    reason: str = ""
    in_place: int = 0
    gone_ns: int | None = None


@dataclass(slots=True)
class Story(Follower):
    """Folds a run into what the page shows."""

    bars: list[Bar] = field(default_factory=list)
    touched: set[int] = field(default_factory=set)
    said: deque[tuple[int, Note]] = field(default_factory=lambda: deque(maxlen=NOTES_MAX))
    told: int = 0
    taken: dict[str, str] = field(default_factory=dict)
    halting: Halting = field(default_factory=Halting)
    points: Points = field(default_factory=Points)
    boot_id: str = ""
    operator: str = ""
    findings: dict[str, Any] | None = None
    _open: dict[tuple[str, str], Bar] = field(default_factory=dict)

    def said_since(self, number: int) -> list[tuple[int, Note]]:
        """Return the notes after the first `number` of them."""
        return [entry for entry in self.said if entry[0] >= number]

    @property
    def faults_in_place(self) -> dict[str, str]:
        """The faults that are, or may be, in place: by step, the step whose undo takes each back."""
        state = self.state
        return {
            step: owed.step
            for owed in state.owed
            for step in chain(owed)
            if state.step(step).kind is StepKind.FAULT
        }

    def _take(self, record: Record) -> None:
        Follower._take(self, record)  # A class with slots is made anew: super() would miss it.
        at_ns = record.at_ns
        match record.event:
            case RunStarted() as event:
                self.boot_id, self.operator = event.boot_id, event.operator
                self._begin("phase", "", at_ns, str(Phase.ARMING))
            case PhaseChanged() as event:
                self._end("phase", "", at_ns, "over")
                self._begin("phase", "", at_ns, str(event.phase))
            case StepStarted() as event:
                self._begin("do", event.step, at_ns)
            case StepEnded() as event:
                self._end("do", event.step, at_ns, self._fate(event))
            case UndoStarted() as event:
                self._begin("undo", event.step, at_ns)
            case UndoEnded() as event:
                self._end("undo", event.step, at_ns, "done" if event.undone else "stuck")
            case GateWaiting() as event:
                self._begin("gate", event.gate, at_ns)
            case GateEnded() as event:
                self._end("gate", event.gate, at_ns, "done" if event.passed else "failed")
            case _:
                self._people(record)
        self._faults(at_ns)
        self._halt(record)

    def _people(self, record: Record) -> None:
        match record.event:
            case HaltAsked() as event if self.halting.asked_ns is None:
                self.halting.asked_ns, self.halting.asked_by = record.at_ns, event.by
            case Noted(mark="") as event if event.text.startswith(TAKES):
                step = event.text.removeprefix(TAKES).partition(":")[0]
                if step in self.state.script.steps:
                    self.taken[step] = event.by
            case _:
                pass

    def _fate(self, event: StepEnded) -> str:
        if event.effect is Effect.HAPPENED:
            return "done"
        step = self.state.script.steps.get(event.step)
        return "cut" if step is not None and step.kind is StepKind.HOLD else "failed"

    def _faults(self, at_ns: int) -> None:
        """Open and close the bars of faults by what the fold says is owed now."""
        now = self.faults_in_place
        for step in now:
            if ("fault", step) not in self._open:
                self._begin("fault", step, at_ns)
        for what, of in list(self._open):
            if what == "fault" and of not in now and of not in self.stuck:
                self._end(what, of, at_ns, "gone")

    def _halt(self, record: Record) -> None:
        halting = self.halting
        if isinstance(record.event, Halted) and halting.at_ns is None:
            halting.at_ns, halting.by, halting.reason = record.at_ns, record.event.by, record.event.reason
            halting.in_place = len(self.faults_in_place)
        if halting.at_ns is not None and halting.gone_ns is None and not self.faults_in_place:
            halting.gone_ns = record.at_ns if not self.stuck else None

    def _begin(self, what: str, of: str, at_ns: int, state: str = "open") -> None:
        if len(self.bars) >= BARS_MAX:
            return
        bar = Bar(what, of, at_ns, state=state, number=len(self.bars))
        self.bars.append(bar)
        self.touched.add(bar.number)
        self._open[what, of] = bar

    def _end(self, what: str, of: str, at_ns: int, state: str) -> None:
        bar = self._open.pop((what, of), None)
        if bar is not None:
            bar.end_ns = at_ns
            self.touched.add(bar.number)
            bar.state = bar.state if what == "phase" else state

    def _tell(self, note: Note) -> None:
        Follower._tell(self, note)
        self.said.append((self.told, note))
        self.told += 1

    def _count_sample(self, sample: Sample) -> None:
        Follower._count_sample(self, sample)
        self.points.sample(sample)

    def _count_bucket(self, bucket: LoadBucket) -> None:
        Follower._count_bucket(self, bucket)
        self.points.bucket(bucket)
