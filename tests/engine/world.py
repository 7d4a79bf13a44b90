"""A simulated world for the engine: hosts that finish, fail, hang, die or answer late, in virtual time."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

from gameday.engine.decide import step
from gameday.engine.state import State, begin
from gameday.history.events import (
    Armed,
    Effect,
    HaltAsked,
    KillAsked,
    LedgerAsked,
    LedgerRead,
    PurgeAsked,
    Reading,
    Sample,
    StepEnded,
    StepStarted,
    SyntheticPurged,
    UndoEnded,
    UndoStarted,
)
from gameday.plan.model import (
    NS,
    Activity,
    BlastRadius,
    Ledger,
    Plan,
    Probe,
    ProbeKind,
    Slo,
    SteadyState,
    Step,
    StepKind,
    StopCondition,
    Target,
)

MS = NS // 1000
ACT = Activity("x", "{}", 5 * NS)


def fault(name: str, group: int, **more) -> Step:
    more.setdefault("target", f"node:{name}")
    more.setdefault("ttl_ns", 60 * NS)
    return Step(
        name,
        name,
        StepKind.FAULT,
        group,
        2 * NS,
        do=ACT,
        undo=ACT,
        in_place=ACT,
        undo_deadline_ns=3 * NS,
        **more,
    )


def failover(name: str, group: int, **more) -> Step:
    return Step(name, name, StepKind.FAILOVER, group, 2 * NS, do=ACT, undo_deadline_ns=3 * NS, **more)


def hold(name: str, group: int, for_ns: int) -> Step:
    return Step(name, name, StepKind.HOLD, group, for_ns + NS, for_ns=for_ns)


def undo_step(name: str, group: int, target: str) -> Step:
    return Step(name, name, StepKind.UNDO, group, 10 * NS, target=target)


def plan(*steps: Step, **more) -> Plan:
    values = dict(
        title="t",
        kind="game-day",
        service="s",
        source="t.yaml",
        about=(),
        target=Target("lab", "http://127.0.0.1/identity"),
        objectives=(),
        recovery="plan",
        load=(),
        probes=(Probe("p", ProbeKind.HTTP, "{}", 100 * MS, 100 * MS),),
        slos=(Slo("a", NS, 900_000, probe="p"),),
        steady_state=SteadyState(("a",), NS, NS, 8 * NS),
        stop_conditions=(
            StopCondition("row", "halt", probe="p", in_a_row=3),
            StopCondition("silence", "halt", silence_ns=NS),
        ),
        blast_radius=BlastRadius((), 9, None, 120 * NS),
        steps=tuple(steps),
        ledger=None,
    )
    values.update(more)
    return Plan(**values)


def failover_plan(**more) -> Plan:
    """Lose a, fail over to b, fail back: the shape of the main drill."""
    book, back = "promote", "failback"
    return plan(
        fault("lose", 0, target="node:a"),
        failover("fence", 1, runbook=book, undo=ACT, in_place=ACT, target="node:a"),
        failover(
            "promote",
            2,
            runbook=book,
            undo=ACT,
            in_place=ACT,
            target="node:a",
            supersedes=("node:a",),
            point_of_no_return=True,
            complete=True,
        ),
        failover("switch", 3, runbook=book, complete=True),
        failover("verify", 4, runbook=book),
        hold("dwell", 5, NS),
        Step("rejoin-a", "rejoin-a", StepKind.UNDO, 6, 10 * NS, target="node:a", runbook=back),
        failover("stop-b", 7, runbook=back, undo=ACT, in_place=ACT, target="node:b"),
        failover(
            "promote-a",
            8,
            runbook=back,
            undo=ACT,
            in_place=ACT,
            target="node:b",
            supersedes=("node:b",),
            point_of_no_return=True,
            complete=True,
        ),
        failover("switch-a", 9, runbook=back, complete=True, returns_home=True),
        Step("rejoin-b", "rejoin-b", StepKind.UNDO, 10, 10 * NS, target="node:b", runbook=back),
        **more,
    )


@dataclass
class World:
    """Plays a plan against scripted or random behaviour and keeps everything that was decided."""

    plan: Plan
    seed: int = 0
    calm: bool = True
    halt_at_ns: int | None = None
    bad_from_ns: int | None = None
    silent_from_ns: int | None = None
    behave: dict = field(default_factory=dict)
    state: State = None
    now: int = 0
    log: list = field(default_factory=list)
    events: list = field(default_factory=list)
    queue: list = field(default_factory=list)
    present: dict = field(default_factory=dict)
    dead: set = field(default_factory=set)
    order: int = 0

    def run(self, until_ns: int = 600 * NS) -> "World":
        self.rng = random.Random(self.seed)
        self.state = begin(self.plan)
        self.post(0, Armed(1))
        if self.halt_at_ns is not None:
            self.post(self.halt_at_ns, HaltAsked("operator", "test"))
        tick = 0
        while not self.state.is_over:
            tick += 50 * MS
            assert tick < until_ns, f"run does not finish, seed {self.seed}: {self.state}"
            if tick % (100 * MS) == 0:
                self.sample(tick)
            while self.queue and self.queue[0][0] <= tick:
                at, _, event = heapq.heappop(self.queue)
                self.feed(at, event)
            self.feed(tick, None)
        return self

    def sample(self, at: int) -> None:
        if self.silent_from_ns is not None and at >= self.silent_from_ns:
            return
        bad = self.bad_from_ns is not None and at >= self.bad_from_ns and self.state.phase == "running"
        self.post(at, Sample("p", at - 10 * MS, at, Reading.BAD if bad else Reading.GOOD))

    def post(self, at: int, event) -> None:
        self.order += 1
        heapq.heappush(self.queue, (at, self.order, event))

    def feed(self, at: int, event) -> None:
        self.now = at
        self.events.append((at, event))
        self.state, decided = step(self.state, at, event)
        for command in decided:
            self.log.append((at, command))
            self.carry_out(at, command)

    def carry_out(self, at: int, command) -> None:
        match command:
            case StepStarted(step=name):
                item = self.plan_step(name)
                if item.do is None:
                    return
                self.behaviour(at, name, "do")
            case UndoStarted(step=name):
                self.behaviour(at, name, "undo")
            case KillAsked(step=name, role=role):
                self.dead.add((name, role))
                if self.rng.random() < 0.9:
                    event = (
                        StepEnded(name, Effect.INDETERMINATE, detail="killed")
                        if role == "do"
                        else UndoEnded(name, False, "killed")
                    )
                    self.post(at + 30 * MS, event)
            case LedgerAsked(occasion=occasion):
                self.post(at + 100 * MS, LedgerRead(occasion, True, 1))
            case PurgeAsked():
                self.post(at + 100 * MS, SyntheticPurged(1, 1, True))

    def plan_step(self, name: str) -> Step:
        return next(s for s in self.plan.steps if s.id == name)

    def behaviour(self, at: int, name: str, role: str) -> None:
        how = self.behave.get((name, role)) or (
            "ok" if self.calm else self.rng.choice(["ok"] * 6 + ["fail", "hang", "late", "refuse"])
        )
        delay = self.rng.randrange(10, 800) * MS
        if role == "do":
            self.present[name] = True
            if how == "ok" or how == "late":
                self.post(
                    at + delay + (5 * NS if how == "late" else 0), StepEnded(name, Effect.HAPPENED, True)
                )
            elif how == "fail":
                self.post(at + delay, StepEnded(name, Effect.INDETERMINATE, None, "failed"))
            elif how == "refuse":
                self.present[name] = False
                self.post(at + delay, StepEnded(name, Effect.DID_NOT_HAPPEN, False, "refused"))
        elif how in ("ok", "refuse"):
            self.post(at + delay, UndoEnded(name, True))
        elif how == "fail":
            self.post(at + delay, UndoEnded(name, False, "still there"))
        elif how == "late":
            self.post(at + delay + 5 * NS, UndoEnded(name, True))

    # -- views of the log
    def starts(self) -> list[str]:
        return [c.step for _, c in self.log if isinstance(c, StepStarted)]

    def undos(self) -> list[str]:
        return [c.step for _, c in self.log if isinstance(c, UndoStarted)]
