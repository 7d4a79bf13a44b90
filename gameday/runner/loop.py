"""The loop: one thread takes events, asks the engine, records what it decided, and has it done.

Intent is on disk before effect: a command whose record cannot be written is not carried out, and the
run halts. Kills and undos wait at most 50 ms for their record, then go on (see `history.store`).
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby

from gameday.engine.apply import apply
from gameday.engine.decide import Decision, step
from gameday.engine.state import State
from gameday.errors import HistoryError
from gameday.history.capacityevents import TrialEnded
from gameday.history.events import (
    Command,
    Effect,
    Event,
    HaltAsked,
    Halted,
    KillAsked,
    LedgerRead,
    Phase,
    PhaseChanged,
    Report,
    Sample,
    StepEnded,
    StepStarted,
    UndoEnded,
    UndoStarted,
)
from gameday.history.loadevents import LoadAsked, LoadBucket
from gameday.history.people import GateEnded, GateWaiting
from gameday.history.store import HistoryWriter
from gameday.hosts.clock import RunClock, utc_text
from gameday.hosts.inbox import Inbox
from gameday.runner.crew import Crew

TICK_S = 0.02
SEAL_EVERY_NS = 500_000_000
_REPORTED = StepEnded | UndoEnded | LedgerRead


def _permitted(_: State) -> str:
    return ""


@dataclass(slots=True)
class Loop:
    """One run's deciding thread. `beat` is called at least once a tick, between decisions.

    `permit` says why a state may not be entered: it is asked of the load's start and of the first step
    that may touch the world, because a gate may have opened long after the policy was judged.
    """

    state: State
    history: HistoryWriter
    crew: Crew
    clock: RunClock
    inbox: Inbox
    actor: str
    beat: Callable[[], None]
    permit: Callable[[State], str] = _permitted
    _sealed_ns: int = 0
    _broken: bool = field(default=False)

    def run(self) -> State:
        """Go on until the run is over and return its last state."""
        while not self.state.is_over:
            self.turn()
        return self.state

    def turn(self) -> None:
        """Wait for one event, at most a tick, and see to it."""
        try:
            at_ns, event = self.inbox.get(timeout=TICK_S)
        except queue.Empty:
            self.take(self.clock.now_ns(), None)
        else:
            self.take(at_ns, event)
        self.beat()
        self._seal()

    def take(self, at_ns: int, event: Event | None) -> None:
        """Record an event, ask the engine, and have done what it decides."""
        if isinstance(event, Sample | LoadBucket):
            self.history.keep(event)
        elif event is not None:
            self._record(at_ns, event, sync=False, safe=True)
        self.state, decided = self._decide(self.clock.now_ns(), event)
        for is_safe, commands in groupby(decided, _is_safe):
            if is_safe:
                self._order_safe(tuple(commands))
            else:
                for command in commands:
                    self._order(command)
        if self.history.disk_error and not self._broken:
            self._break(f"the history cannot be written: {self.history.disk_error}")

    def _decide(self, now_ns: int, event: Event | None) -> tuple[State, tuple[Decision, ...]]:
        """Ask the engine. Where what it decides is not permitted any more, ask again with the refusal."""
        state, decided = step(self.state, now_ns, event)
        if not _begins(self.state, state) or not (reason := self.permit(state)):
            return state, decided
        refused = HaltAsked(by="policy", reason=reason)
        self._record(now_ns, refused, sync=False, safe=True)
        return step(apply(self.state, now_ns, event), now_ns, refused)

    def _order_safe(self, commands: tuple[Decision, ...]) -> None:
        """Record kills, undos and halts with one wait for all of them, then have them done in order."""
        wait = any(not isinstance(command, _REPORTED) for command in commands)
        for number, command in enumerate(commands, start=1):
            self._record(self.clock.now_ns(), command, sync=wait and number == len(commands), safe=True)
        for command in commands:
            self.crew.carry_out(command)

    def _order(self, command: Decision) -> None:
        if self._broken:
            self._leave_undone(command)
            return
        try:
            self._record(self.clock.now_ns(), command, sync=True, safe=False)
        except HistoryError as error:
            self._break(str(error))
            self._leave_undone(command)
            return
        self.crew.carry_out(command)

    def _record(self, at_ns: int, event: Command | Report, *, sync: bool, safe: bool) -> None:
        self.history.record(at_ns, utc_text(), self.actor, event, sync=sync, safe=safe)

    def _break(self, reason: str) -> None:
        """No record, no injection: from here on only the safe direction is carried out."""
        if not self._broken:
            self._broken = True
            self.inbox.put((self.clock.now_ns(), HaltAsked(by="history", reason=reason)))

    def _leave_undone(self, command: Decision) -> None:
        if isinstance(command, StepStarted):
            ended = StepEnded(command.step, Effect.DID_NOT_HAPPEN, detail="not recorded, so not carried out")
            self.inbox.put((self.clock.now_ns(), ended))

    def _seal(self) -> None:
        now_ns = self.clock.now_ns()
        if now_ns - self._sealed_ns >= SEAL_EVERY_NS:
            self._sealed_ns = now_ns
            self.history.seal(now_ns, utc_text())


def _begins(before: State, after: State) -> bool:
    """Tell whether the load is started, or the first step that may touch the world."""
    starts = before.phase is Phase.ARMING and after.phase is Phase.BASELINE
    return starts or (after.people.touched and not before.people.touched)


def _is_safe(command: Decision) -> bool:
    """Kills, undos and halts make nothing worse; nor do less load, saying where we are, and reports."""
    if isinstance(command, LoadAsked):
        return command.ask in ("stop", "ease")
    if isinstance(command, StepStarted):
        return command.completing
    return isinstance(
        command,
        KillAsked | UndoStarted | Halted | PhaseChanged | GateWaiting | GateEnded | TrialEnded | _REPORTED,
    )
