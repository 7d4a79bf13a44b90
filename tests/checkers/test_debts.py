"""What a history says is owed is what the engine owed when it ended."""

from __future__ import annotations

import pytest

from gameday.checkers.debts import debts_of
from gameday.engine.apply import apply
from gameday.engine.state import begin
from gameday.history.events import Effect, Sample, StepEnded, StepStarted, UndoEnded
from gameday.history.loadevents import LoadBucket
from gameday.history.record import Record, Trace
from tests.engine.world import MS, World, failover_plan, fault, plan

PARALLEL = plan(fault("a", 0), fault("b", 0), fault("c", 1, target="node:a"))


class Recorded(World):
    """A world that keeps its records, as the loop writes them: what came in, then what was decided."""

    def feed(self, at, event):
        if event is not None and not isinstance(event, Sample | LoadBucket):
            self.records.append((at, event))
        before = len(self.log)
        super().feed(at, event)
        self.records += self.log[before:]


def trace(*pairs):
    return Trace(tuple(Record(n, at, "", "runner", event) for n, (at, event) in enumerate(pairs)))


@pytest.mark.parametrize("seed", range(40))
def test_at_the_end_of_any_run_the_checkers_and_the_engine_agree(seed):
    world = Recorded(failover_plan() if seed % 2 else PARALLEL, seed=seed, calm=False)
    world.records = []
    world.run()
    left = {debt.step for debt in debts_of(world.plan, trace(*world.records)).left}
    assert left == {owed.step for owed in world.state.owed} | set(world.state.stuck), f"seed {seed}"


def test_a_superseding_step_that_did_not_happen_gives_the_debt_back():
    drill = failover_plan()
    lost = [(1, StepStarted("lose")), (2, StepEnded("lose", Effect.HAPPENED, True))]
    promoted = [*lost, (3, StepStarted("promote"))]
    refused = [*promoted, (4, StepEnded("promote", Effect.DID_NOT_HAPPEN))]
    for events, owed in ((lost, "lose"), (promoted, "promote"), (refused, "lose")):
        debts = debts_of(drill, trace(*events))
        assert [debt.step for debt in debts.left] == [owed]
        undone = debts_of(drill, trace(*events, (9, UndoEnded(owed, undone=True, read_back_ns=8 * MS))))
        assert undone.left == () and undone.end_of("lose") == (owed, 8 * MS)
        other = "lose" if owed == "promote" else "promote"
        assert debts_of(drill, trace(*events, (9, UndoEnded(other, undone=True)))).left
        state = begin(drill)
        for at, event in events:
            state = apply(state, at, event)
        assert [item.step for item in state.owed] == [owed], "as the engine has it"
