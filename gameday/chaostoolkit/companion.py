"""The companion of one `chaos run`: samples, limits, history and ledger, in a process of its own.

One thread decides; others only wait. What `chaos` asks and what probes see come through one queue. On a
breach it records the halt, sends SIGUSR1 (chaoslib's own way to end and still play rollbacks) and kills
every program that `chaos` started. chaoslib cannot be interrupted while its main thread is inside C code
or waits for background activities, so after `patience` it is killed; then the rollbacks are played here.
They are played here, too, when `chaos` dies or ends without having played them.
"""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from gameday.chaostoolkit.papers import Terms
from gameday.chaostoolkit.replay import Player
from gameday.engine.apply import apply
from gameday.engine.limits import breach, held_for
from gameday.engine.state import State
from gameday.errors import HistoryError
from gameday.history.events import (
    Command,
    Effect,
    Halted,
    KillAsked,
    LedgerAsked,
    LedgerRead,
    Noted,
    Outcome,
    Phase,
    PhaseChanged,
    PurgeAsked,
    Report,
    RunEnded,
    RunnerLost,
    Sample,
    StepEnded,
    StepStarted,
    SyntheticPurged,
    UndoEnded,
    UndoStarted,
    Warned,
)
from gameday.history.store import HistoryWriter
from gameday.hosts.clock import RunClock, utc_text
from gameday.hosts.clockbound import read_clock
from gameday.hosts.inbox import Inbox
from gameday.hosts.ledgers import Ledgers
from gameday.hosts.probes import ProbeCrew
from gameday.hosts.processes import is_alive, kill_all, send
from gameday.hosts.words import one_line
from gameday.plan.model import NS

TICK_S = 0.02
SEAL_EVERY_NS = 500_000_000
LEDGER_PATIENCE_S = 20.0
BY = "guard of chaos run"
Reply = dict[str, Any]
_ORDER = tuple(Phase)  # A run only goes forward.


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of `chaos`; `request` None: it is gone, or wants no more."""

    request: dict[str, Any] | None
    answer: Callable[[Reply], None]


@dataclass(frozen=True, slots=True)
class Chaos:
    """The process under guard: who it is, what marks all that it starts, and how to undo after it."""

    pid: int
    ticks: int
    marker: str
    rollbacks: tuple[dict[str, Any], ...]
    configuration: dict[str, Any]
    secrets: dict[str, Any]
    project: Path


@dataclass(slots=True)
class Companion:
    """One run's companion, from its first record to its last."""

    state: State
    terms: Terms
    chaos: Chaos
    history: HistoryWriter
    clock: RunClock
    inbox: Inbox
    probes: ProbeCrew
    ledgers: Ledgers | None
    player: Player
    finish: Callable[[], Reply]
    halted_ns: int | None = None
    has_reacted: bool = False
    is_lost: bool = False
    rolled_back: bool = False
    is_over: bool = False
    reads: list[LedgerRead] = field(default_factory=list)
    purges: list[SyntheticPurged] = field(default_factory=list)
    writing: bool = False
    sealed_ns: int = 0

    def serve(self) -> None:
        """Go on until the run is over."""
        while not self.is_over:
            self.turn()

    def turn(self) -> None:
        """Wait for one thing to happen, at most a tick, and see to it."""
        try:
            at_ns, event = self.inbox.get(timeout=TICK_S)
        except queue.Empty:
            self._take(self.clock.now_ns(), None)
        else:
            found: Any = event
            if isinstance(found, Asked):
                self._serve(found)
            else:
                self._take(at_ns, found)
        self._look()

    # --- what is seen ------------------------------------------------------------------------

    def _take(self, at_ns: int, event: Sample | Report | None) -> None:
        if isinstance(event, Sample):
            self.history.keep(event)
        elif event is not None:
            self._record(event, sync=False)
            if isinstance(event, LedgerRead):
                self.reads.append(event)
            elif isinstance(event, SyntheticPurged):
                self.purges.append(event)
        self.state = apply(self.state, at_ns, event)

    def _look(self) -> None:
        now_ns = self.clock.now_ns()
        watching = self.state.halted is None and not self.has_reacted
        if watching and (found := breach(self.state)) is not None:
            if isinstance(found, Warned):
                self._note(found)
            else:
                self._halt(found)
        stuck = self.halted_ns is not None and now_ns - self.halted_ns > self.terms.patience_ns
        if stuck and not self.has_reacted and self.terms.when_stuck == "kill":
            self._kill_chaos()
        if now_ns - self.sealed_ns >= SEAL_EVERY_NS:
            self.sealed_ns = now_ns
            self.history.seal(now_ns, utc_text())

    # --- halting -----------------------------------------------------------------------------

    def _halt(self, found: Halted) -> None:
        """Stop `chaos` and what it started. Its rollbacks cannot begin before this has ended: they ask."""
        self._note(found)
        self.halted_ns = self.clock.now_ns()
        for running in self.state.running:
            self._note(KillAsked(running.step, "do", found.reason))
        if is_alive(self.chaos.pid, self.chaos.ticks):
            send(self.chaos.pid, signal.SIGUSR1)
        kill_all(0, self.chaos.marker, since_ticks=self.chaos.ticks)

    def _kill_chaos(self) -> None:
        self.has_reacted = True
        seconds = self.terms.patience_ns / NS
        text = f"chaos did not end within {seconds:g} s of the halt: killed, its rollbacks are played here"
        self._note(Noted(by=BY, mark="", text=text))
        if is_alive(self.chaos.pid, self.chaos.ticks):
            send(self.chaos.pid, signal.SIGKILL)
        kill_all(0, self.chaos.marker, since_ticks=self.chaos.ticks)

    def _lost(self) -> None:
        """`chaos` is gone without its end: undo what it left, and finish."""
        if self.state.halted is None:
            self.is_lost = True
            self._note(RunnerLost(by="companion", reason="chaos ended without a word: killed, or crashed"))
        if not self.rolled_back:  # Else a rollback may have started again what is to stay.
            kill_all(0, self.chaos.marker, since_ticks=self.chaos.ticks)
        self._end({"status": "lost"})

    # --- requests ----------------------------------------------------------------------------

    def _serve(self, asked: Asked) -> None:
        if asked.request is None:
            self._lost()
            return
        try:
            reply = self._answer(asked.request)
        except HistoryError as error:
            reply = {"error": str(error)}
        asked.answer(reply)

    def _answer(self, request: dict[str, Any]) -> Reply:
        match request["do"]:
            case "phase":
                self._phase(Phase(request["phase"]), request["reason"])
            case "started" if self.state.halted is not None:
                return {"error": "the guard has halted this experiment: nothing starts any more"}
            case "started":
                self._record(StepStarted(request["step"]), sync=True)
                self.state = apply(self.state, self.clock.now_ns(), StepStarted(request["step"]))
            case "ended":
                ended = StepEnded(request["step"], Effect(request["effect"]), None, request["detail"])
                self._note(ended)
            case "note":
                self._note(Noted(by=request["by"], mark="", text=request["text"]))
            case "rolled back":
                self._rolled_back(ok=request["ok"], detail=request["detail"])
            case "ledger":
                return self._ledger(request["ask"], request.get("occasion", "end"))
            case "end":
                return self._end(request)
            case unknown:
                return {"error": f"{unknown!r} is no request"}
        return {"ok": True}

    def _phase(self, phase: Phase, reason: str) -> None:
        if phase is Phase.UNDOING:
            self.has_reacted = True
            self._owe("halt" if self.state.halted is not None else "end", reason)
        # A hypothesis is looked at during and after the method, too; the guard stays in force.
        if _ORDER.index(phase) > _ORDER.index(self.state.phase):
            self._note(PhaseChanged(phase, reason))

    def _owe(self, why: str, reason: str) -> None:
        """Say that the undos begin: one list of rollbacks for all that may have been left."""
        if self.state.phase is Phase.UNDOING:
            return
        self._note(PhaseChanged(Phase.UNDOING, reason))
        for step in self._owing():
            self._note(UndoStarted(step, why))

    def _owing(self) -> list[str]:
        owed = [entry.step for entry in self.state.owed] + [entry.step for entry in self.state.undoing]
        started = [step.id for step in self.state.plan.steps if step.undo is not None and step.id in owed]
        return started[::-1]

    def _rolled_back(self, *, ok: bool, detail: str) -> None:
        self.rolled_back = True
        for step in self._owing():
            self._note(UndoEnded(step, undone=ok, detail=one_line(detail)))

    # --- the ledger --------------------------------------------------------------------------

    def _ledger(self, ask: str, occasion: str) -> Reply:
        if self.ledgers is None:
            return {"error": "the experiment starts no ledger in its method"}
        if ask == "start":
            if not self.writing:
                self.ledgers.start()
            self.writing = True
            return {"ok": True}
        if not self.writing:
            return {"error": "the ledger writes no more, or not yet"}
        return self._read_back(occasion, resume=ask == "read")

    def _read_back(self, occasion: str, *, resume: bool) -> Reply:
        assert self.ledgers is not None
        wanted = len(self.state.plan.ledgers)
        before = len(self.reads)
        self._record(LedgerAsked(occasion, resume), sync=False)
        self.ledgers.ask(occasion, resume)
        self._pump(lambda: len(self.reads) >= before + wanted, LEDGER_PATIENCE_S)
        found = self.reads[before:]
        if not resume:
            self._purge()
        if len(found) < wanted or not all(read.ok for read in found):
            said = next((read.detail for read in found if not read.ok), "no answer in time")
            return {"error": f"the ledger could not be read back: {said}"}
        return {"ok": True, "read_back": sum(read.recovered for read in found)}

    def _purge(self) -> None:
        assert self.ledgers is not None
        self.writing = False
        self._record(PurgeAsked(self.history.run_dir.name), sync=False)
        self.ledgers.purge()
        self._pump(lambda: bool(self.purges), LEDGER_PATIENCE_S)

    # --- the end -----------------------------------------------------------------------------

    def _end(self, request: dict[str, Any]) -> Reply:
        self.has_reacted = True
        lost = request["status"] == "lost"
        begun = self.state.phase is not Phase.ARMING and self.state.phase is not Phase.BASELINE
        if begun and not self.rolled_back and (lost or self.terms.plays_rollbacks):
            why = "lost" if lost else "halt" if self.state.halted else "end"
            self._owe(why, "chaos played no rollbacks: they are played here")
            done = self.player.play(timeout_s=self.terms.rollback_timeout_ns / NS, wait=self._pump)
            for text in done.said:
                self._note(Noted(by="companion", mark="", text=text))
            self._rolled_back(ok=done.ok, detail=done.detail)
        reason = self._recover(request)
        if self.writing:
            self._read_back("end", resume=False)
        self.player.close()
        self.probes.stop(2.0)
        if self.ledgers is not None:
            self.ledgers.stop()
        self._note(PhaseChanged(Phase.FINISHED, reason))
        self._note(read_clock())
        self.history.seal(self.clock.now_ns(), utc_text())
        stopped = self.state.halted is not None or request["status"] in ("interrupted", "aborted")
        outcome = Outcome.CRASHED if self.is_lost else Outcome.HALTED if stopped else Outcome.COMPLETED
        left = (*self.state.stuck, *(step for step in self._owing() if step not in self.state.stuck))
        self._record(RunEnded(outcome, left, failed_over=False), sync=True)
        self.history.close()
        self.is_over = True
        return self.finish() | {"halted_by": self.state.halted.reason if self.state.halted else ""}

    def _recover(self, request: dict[str, Any]) -> str:
        """Watch until the steady state holds again; without one, believe the hypothesis of `chaos`."""
        steady = self.state.plan.steady_state
        if not steady.slos:
            met = request.get("met")
            return "the steady state held" if met else "the hypothesis was not met, or not looked at"
        self._note(PhaseChanged(Phase.RECOVERING, "what was left is taken back"))
        held = self._pump(lambda: held_for(self.state, steady.stabilise_ns), steady.patience_ns / NS)
        return "the steady state held" if held else "it had not returned when patience ended"

    # --- small -------------------------------------------------------------------------------

    def _pump(self, done: Callable[[], bool], patience_s: float) -> bool:
        """Go on sampling until `done` says so, or patience ends; requests wait meanwhile."""
        until_s = time.monotonic() + patience_s
        later: list[tuple[int, Any]] = []
        while not (over := done()) and time.monotonic() < until_s:
            try:
                at_ns, event = self.inbox.get(timeout=TICK_S)
            except queue.Empty:
                self._take(self.clock.now_ns(), None)
            else:
                if isinstance(cast("Any", event), Asked):
                    later.append((at_ns, event))
                else:
                    self._take(at_ns, cast("Any", event))
            self._look()
        for item in later:
            self.inbox.put(item)
        return over

    def _note(self, event: Command | Report) -> None:
        """Record what must not be held up by a disk, and count it."""
        self.history.record(self.clock.now_ns(), utc_text(), "companion", event, sync=True, safe=True)
        self.state = apply(self.state, self.clock.now_ns(), event)

    def _record(self, event: Command | Report, *, sync: bool) -> None:
        self.history.record(self.clock.now_ns(), utc_text(), "companion", event, sync=sync)
