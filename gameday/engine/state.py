"""All the engine knows of a run: small, immutable, and a fold over the history.

Every field is derived from events alone, so the watchdog (or a person with `gameday recover`) that
reads the history of a dead runner arrives at the same state and can go on from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gameday.engine.meters import Meter, meters_of
from gameday.engine.people import NOBODY, People, begin_people
from gameday.engine.trials import Trials, begin_trials
from gameday.engine.windows import Gauge, gauges_of
from gameday.history.events import Halted, Phase
from gameday.plan.model import Plan, Step


@dataclass(frozen=True, slots=True)
class Running:
    """A step whose action is under way. `killed_ns` is set once its kill was asked."""

    step: str
    started_ns: int
    deadline_ns: int
    killed_ns: int | None = None
    completing: bool = False


@dataclass(frozen=True, slots=True)
class Owed:
    """An undo that is owed because the step may have changed the world.

    `replaced` holds the undos that this one superseded: they come back if the superseding step
    certainly did not happen.
    """

    step: str
    target: str
    since_ns: int
    ttl_at_ns: int | None = None
    for_until_ns: int | None = None
    replaced: tuple[Owed, ...] = ()


@dataclass(frozen=True, slots=True)
class Undoing:
    """An undo under way."""

    step: str
    target: str
    started_ns: int
    deadline_ns: int
    why: str
    attempts: int = 1
    killed_ns: int | None = None
    retry: bool = False


@dataclass(frozen=True, slots=True)
class LedgerTask:
    """A read-back that was asked for and has not been answered by all ledgers."""

    occasion: str
    deadline_ns: int
    waiting: tuple[str, ...] = ("",)


@dataclass(frozen=True, slots=True)
class Script:
    """The plan's steps, looked up by id and by group."""

    steps: Mapping[str, Step]
    groups: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class State:
    """Where a run stands."""

    plan: Plan
    script: Script
    phase: Phase = Phase.ARMING
    phase_since_ns: int = 0
    now_ns: int = 0
    armed: bool = False
    ended: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    running: tuple[Running, ...] = ()
    owed: tuple[Owed, ...] = ()
    undoing: tuple[Undoing, ...] = ()
    last_undo_ns: int | None = None
    stuck: tuple[str, ...] = ()
    halted: Halted | None = None
    halt_asked: Halted | None = None
    hurried: bool = False
    lost: bool = False
    load_lost: str | None = None
    past_return: tuple[str, ...] = ()
    completing_tried: tuple[str, ...] = ()
    failed_over: bool = False
    load_running: tuple[str, ...] = ()
    gauges: tuple[Gauge, ...] = ()
    readable_ns: tuple[tuple[str, int, int], ...] = ()  # probe, sent and end of its last readable sample
    meters: tuple[Meter, ...] = ()
    warned: tuple[str, ...] = ()
    held_since_ns: int | None = None
    ledger: LedgerTask | None = None
    ledger_read: tuple[str, ...] = ()
    purge_deadline_ns: int | None = None
    purged: bool = False
    people: People = NOBODY
    trials: Trials | None = None

    @property
    def is_over(self) -> bool:
        """Tell whether the run has reached its last phase."""
        return self.phase is Phase.FINISHED

    def read_ns(self, probe: str) -> tuple[int, int] | None:
        """Return when the last readable sample of a probe was sent and when it ended; None before any."""
        return next((entry[1:] for entry in self.readable_ns if entry[0] == probe), None)

    @property
    def load_stopped(self) -> bool:
        """Tell whether a halt stopped the load as well, because its stop condition says so."""
        name = self.halted.condition if self.halted is not None else ""
        return any(c.name == name and c.stops != "faults" for c in self.plan.stop_conditions if name)

    @property
    def is_refused(self) -> bool:
        """Tell whether the right to begin was not there before anything was touched: nothing was tested."""
        by = self.halted.by if self.halted is not None else ""
        return by in ("approval", "policy") and not self.people.touched

    def step(self, step_id: str) -> Step:
        """Return the plan's step of that id."""
        return self.script.steps[step_id]


def begin(plan: Plan) -> State:
    """Return the state of a run that has done nothing yet."""
    groups: dict[int, list[str]] = {}
    for step in plan.steps:
        groups.setdefault(step.group, []).append(step.id)
    script = Script(
        steps={step.id: step for step in plan.steps},
        groups=tuple(tuple(groups[number]) for number in sorted(groups)),
    )
    needs, timeout_ns = begin_people(plan)
    people = People(start_needs=needs, start_timeout_ns=timeout_ns)
    return State(
        plan=plan, script=script, gauges=gauges_of(plan), meters=meters_of(plan), people=people,
        trials=begin_trials(plan),
    )  # fmt: skip
