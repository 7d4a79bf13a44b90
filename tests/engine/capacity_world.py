"""A simulated target with a limit, for the engine: what a load gets back at each rate, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache

from gameday.capacity.goal import index_of
from gameday.history.capacityevents import StepSkipped, TrialEnded, TrialStarted
from gameday.history.loadevents import LoadAsked, LoadBucket
from gameday.plan.capacity import Artefact, Capacity, Forecast, LimitSearch
from gameday.plan.model import NS, Load, Slo, SteadyState, Step, StepKind, StopCondition
from tests.engine.world import MS, World, fault, plan, undo_step

BASE = 100_000


def trial_step(name: str, group: int, kind: StepKind = StepKind.TRIAL) -> Step:
    return Step(name, name, kind, group, 300 * NS, for_ns=60 * NS)


def sign_off(*, with_fault: bool = True, search: bool = True, **more):
    """A sign-off of 500/s: N, a fault, N-1, its undo, a search."""
    steps = [trial_step("n", 0)]
    if with_fault:
        steps += [
            fault("lose", 1, target="node:b"),
            trial_step("n-1", 2),
            undo_step("back", 3, "node:b"),
        ]
    if search:
        steps.append(trial_step("search", 4, StepKind.SEARCH))
    found = Capacity(
        load="orders", forecast=Forecast(400_000, "a test"), headroom_ppm=250_000, slos=("slow", "errors"),
        duration_ns=10 * NS, duration_max_ns=30 * NS, warm_up_ns=2 * NS, confidence_ppm=950_000,
        expires_ns=90 * 86_400 * NS, artefact=Artefact("v1"), fault="lose" if with_fault else "",
        search=LimitSearch(None, 100_000, 10, 5 * NS, 15 * NS, 5_000_000) if search else None,
    )  # fmt: skip
    values = dict(
        kind="capacity",
        load=(Load("orders", "x.py", "0" * 64, rate_per_1000s=BASE, max_users=10_000),),
        slos=(
            Slo("a", NS, 900_000, probe="p"),
            Slo("slow", 2 * NS, 990_000, load_stat="p99", below_ns=300 * MS),
            Slo("errors", 2 * NS, 990_000, load_stat="errors"),
        ),
        steady_state=SteadyState(("a",), NS, NS, 8 * NS),
        stop_conditions=(
            StopCondition("row", "halt", probe="p", in_a_row=3),
            StopCondition("slow", "halt", slo="slow", bad_above_ppm=500_000, for_ns=NS),
        ),
        capacity=found,
    )
    values.update(more)
    made = plan(*steps, **values)
    return replace(made, blast_radius=replace(made.blast_radius, duration_ns=2000 * NS))


@dataclass
class CapacityWorld(World):
    """Up to `limit` a second are answered fast, beyond it none are; with the fault up to `limit_with_fault`."""

    limit: int = 700
    limit_with_fault: int = 700
    lingers_ns: int = 0  # For so long after an overload everything is slow.
    silent_at: int | None = None  # The generator says nothing at rates beyond this one.
    rate: int = 0
    overloaded_ns: int = -(10**18)
    rates: list = field(default_factory=list)

    def sample(self, at: int) -> None:
        super().sample(at)
        if self.rate and not (self.silent_at is not None and self.rate > self.silent_at * 1000):
            self.post(at, self.bucket(at))

    def bucket(self, at: int) -> LoadBucket:
        number = self.rate // 10_000
        faulty = any(owed.step == "lose" for owed in self.state.owed)
        limit = self.limit_with_fault if faulty else self.limit
        if self.rate > limit * 1000:
            self.overloaded_ns = at
        slow = self.rate > limit * 1000 or at - self.overloaded_ns < self.lingers_ns
        latency = ((index_of(900_000 if slow else 5_000), number),)
        waiting = round(self.rate / 1000 * (0.9 if slow else 0.005))
        return LoadBucket(
            "orders", at - 100 * MS, number, number, 0, 0, number, 0, (), latency, waiting, 0, 100_000
        )

    def carry_out(self, at: int, command) -> None:
        super().carry_out(at, command)
        if isinstance(command, LoadAsked):
            self.rate = 0 if command.ask == "stop" else command.rate_per_1000s
            self.rates.append((at, command.ask, self.rate))

    # -- views
    def trials(self) -> list[TrialStarted]:
        return [c for _, c in self.log if isinstance(c, TrialStarted)]

    def ends(self) -> list[TrialEnded]:
        return [c for _, c in self.log if isinstance(c, TrialEnded)]

    def skipped(self) -> list[str]:
        return [c.step for _, c in self.log if isinstance(c, StepSkipped)]


@cache
def ran(**more) -> CapacityWorld:
    """A sign-off of 500/s that has run in such a world. Do not change it: others look at it too."""
    plan_of = {key: more.pop(key) for key in ("search", "with_fault") if key in more}
    return CapacityWorld(sign_off(**plan_of), **more).run(3000 * NS)
