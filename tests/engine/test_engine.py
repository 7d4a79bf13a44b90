"""The engine's promises, in virtual time: examples for each limit, properties over random worlds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gameday.engine.apply import LEDGER_DEADLINE_NS, apply
from gameday.engine.decide import step
from gameday.engine.state import begin
from gameday.history.events import (
    Effect,
    Halted,
    KillAsked,
    LedgerAsked,
    LedgerRead,
    Phase,
    PhaseChanged,
    RunnerLost,
    Sample,
    StepEnded,
    StepStarted,
    UndoEnded,
    UndoStarted,
)
from gameday.plan.model import NS, BlastRadius, Ledger, SteadyState, StepKind
from tests.engine.world import MS, World, failover, failover_plan, fault, hold, plan, undo_step


def phases(world):
    return [c.phase for _, c in world.log if isinstance(c, PhaseChanged)]


def halted(world):
    return next((c for _, c in world.log if isinstance(c, Halted)), None)


def test_a_calm_run_passes_through_every_phase_in_order():
    world = World(plan(fault("f", 0), hold("h", 1, NS))).run()
    assert phases(world) == [Phase.BASELINE, Phase.RUNNING, Phase.UNDOING, Phase.RECOVERING, Phase.FINISHED]
    assert world.undos() == ["f"]
    assert halted(world) is None


def test_nothing_is_injected_before_the_steady_state_has_held():
    world = World(plan(fault("f", 0)), silent_from_ns=0).run()
    assert world.starts() == []
    assert halted(world).by == "baseline"


def test_baseline_takes_at_least_its_time():
    world = World(plan(fault("f", 0))).run()
    at = {c.phase: t for t, c in world.log if isinstance(c, PhaseChanged)}
    assert at[Phase.RUNNING] - at[Phase.BASELINE] >= NS


def test_undos_start_in_reverse_order_of_injection():
    world = World(plan(fault("a", 0), fault("b", 1), fault("c", 2), hold("h", 3, NS))).run()
    assert world.undos() == ["c", "b", "a"]


def test_steps_of_one_group_start_together_and_the_next_waits_for_all():
    world = World(plan(fault("a", 0), fault("b", 0), hold("h", 1, NS))).run()
    at = {c.step: t for t, c in world.log if isinstance(c, StepStarted)}
    assert at["a"] == at["b"] < at["h"]


def test_a_fault_with_a_duration_is_undone_before_the_next_step():
    world = World(plan(fault("a", 0, for_ns=NS), hold("h", 1, NS))).run()
    order = [(type(c).__name__, c.step) for _, c in world.log if isinstance(c, StepStarted | UndoStarted)]
    assert order == [("StepStarted", "a"), ("UndoStarted", "a"), ("StepStarted", "h")]
    assert next(c.why for _, c in world.log if isinstance(c, UndoStarted)) == "for"


def test_a_ttl_undoes_its_fault_on_the_dot():
    world = World(plan(fault("a", 0, ttl_ns=2 * NS), hold("h", 1, 6 * NS))).run()
    started = next(t for t, c in world.log if isinstance(c, StepStarted))
    undo_at, undo = next((t, c) for t, c in world.log if isinstance(c, UndoStarted))
    assert undo.why == "ttl"
    assert 0 <= undo_at - (started + 2 * NS) <= 50 * MS


def test_three_bad_samples_in_a_row_halt_and_undo():
    world = World(plan(fault("a", 0), hold("h", 1, 20 * NS)), bad_from_ns=5 * NS).run()
    stop = halted(world)
    assert stop.condition == "row"
    assert stop.breach_after_ns < stop.breach_before_ns
    assert world.undos() == ["a"]


def test_silence_is_a_breach():
    world = World(plan(fault("a", 0), hold("h", 1, 20 * NS)), silent_from_ns=5 * NS).run()
    assert halted(world).condition == "silence"
    assert world.undos() == ["a"]


def test_the_blast_radius_ends_a_drill_that_takes_too_long():
    radius = BlastRadius((), 1, None, 3 * NS)
    world = World(plan(fault("a", 0), hold("h", 1, 20 * NS), blast_radius=radius)).run()
    assert halted(world).by == "blast radius"
    assert world.undos() == ["a"]


def test_a_warning_does_not_halt_and_is_given_once():
    base = plan(fault("a", 0), hold("h", 1, 5 * NS))
    warn = replace(base, stop_conditions=(replace(base.stop_conditions[0], then="warn"),))
    world = World(warn, bad_from_ns=4 * NS).run()
    assert halted(world) is None
    assert sum(type(c).__name__ == "Warned" for _, c in world.log) == 1


def test_a_hanging_action_is_killed_at_its_deadline_and_undone():
    world = World(plan(fault("a", 0), hold("h", 1, NS)), behave={("a", "do"): "hang"}).run()
    started = next(t for t, c in world.log if isinstance(c, StepStarted))
    killed = next(t for t, c in world.log if isinstance(c, KillAsked))
    assert 2 * NS <= killed - started <= 2 * NS + 50 * MS
    assert world.undos() == ["a"]
    assert "h" not in world.starts()


def test_a_fault_that_did_not_happen_halts_and_owes_no_undo():
    world = World(plan(fault("a", 0), hold("h", 1, NS)), behave={("a", "do"): "refuse"}).run()
    assert halted(world).by == "step"
    assert world.undos() == []


def test_an_undo_that_fails_is_tried_again_then_stuck_and_stops_nothing():
    world = World(plan(fault("a", 0), fault("b", 1), hold("h", 2, NS)), behave={("b", "undo"): "fail"}).run()
    assert world.undos().count("b") == 3
    assert world.state.stuck == ("b",)
    assert "a" in world.undos()


def test_the_next_undo_does_not_wait_for_one_that_hangs():
    world = World(
        plan(fault("a", 0), fault("b", 1), fault("c", 2), hold("h", 3, NS)), behave={("c", "undo"): "hang"}
    ).run()
    at = {c.step: t for t, c in world.log if isinstance(c, UndoStarted)}
    assert 500 * MS <= at["b"] - at["c"] <= 600 * MS
    assert world.state.stuck == ("c",)


def test_a_hanging_undo_holds_the_others_up_once_not_each_of_them():
    names = "abcdefghij"
    steps = [fault(name, number) for number, name in enumerate(names)]
    world = World(plan(*steps, hold("wait", 10, NS)), behave={("j", "undo"): "hang"}).run()
    at = {c.step: t for t, c in world.log if isinstance(c, UndoStarted)}
    ended = {e.step: t for t, e in world.events if isinstance(e, UndoEnded)}
    for before, after in zip(names[8:0:-1], names[7::-1], strict=False):
        assert at[after] <= min(ended[before], at[before] + 500 * MS) + 50 * MS, (before, after)


def test_undos_of_one_target_wait_for_one_another():
    world = World(
        plan(fault("a", 0, target="node:x"), fault("b", 1, target="node:x"), hold("h", 2, NS)),
        behave={("b", "undo"): "hang"},
    ).run()
    at = {c.step: t for t, c in world.log if isinstance(c, UndoStarted)}
    assert at["a"] - at["b"] >= 3 * NS


def test_an_undo_waits_for_the_death_of_its_own_action():
    world = World(plan(fault("a", 0)), behave={("a", "do"): "hang"}, halt_at_ns=2 * NS).run()
    killed = next(t for t, c in world.log if isinstance(c, KillAsked))
    undo = next(t for t, c in world.log if isinstance(c, UndoStarted))
    assert undo > killed


class Deaf(World):
    """A world in which nothing that is killed answers."""

    def carry_out(self, at, command):
        if not isinstance(command, KillAsked):
            super().carry_out(at, command)


def test_an_undo_waits_for_the_grace_that_its_step_asked_for():
    behave = {("a", "do"): "hang"}
    world = Deaf(plan(fault("a", 0, grace_ns=3 * NS)), behave=behave, halt_at_ns=2 * NS).run()
    killed = next(t for t, c in world.log if isinstance(c, KillAsked))
    undo = next(t for t, c in world.log if isinstance(c, UndoStarted))
    ended = next(t for t, c in world.log if isinstance(c, StepEnded))
    assert 3 * NS <= undo - killed <= 4 * NS
    assert 3 * NS <= ended - killed <= 5 * NS


def test_the_main_drill_fails_over_and_back_and_owes_nothing():
    world = World(failover_plan()).run()
    assert halted(world) is None
    assert world.undos() == ["promote", "promote-a"]
    assert not world.state.failed_over
    assert [c.why for _, c in world.log if isinstance(c, UndoStarted)] == ["step", "step"]


def test_a_halt_before_the_point_of_no_return_undoes_the_fence_then_the_fault():
    world = World(failover_plan(), behave={("fence", "do"): "hang"}, halt_at_ns=3 * NS).run()
    assert "promote" not in world.starts()
    assert world.undos() == ["fence", "lose"]
    assert not world.state.failed_over


def test_a_halt_while_promoting_completes_the_failover_and_rejoins_the_old_primary():
    world = World(failover_plan(), seed=3).run()
    promote_at = next(t for t, c in world.log if isinstance(c, StepStarted) and c.step == "promote")
    world = World(failover_plan(), seed=3, halt_at_ns=promote_at + 5 * MS).run()
    assert world.starts()[-1] == "switch"
    assert "verify" not in world.starts()
    assert world.undos() == ["promote"]
    assert world.state.failed_over
    assert not [c for _, c in world.log if isinstance(c, KillAsked)]


def test_a_promotion_that_failed_is_tried_again_when_completing():
    world = World(failover_plan(), behave={("promote", "do"): "fail"}).run()
    starts = [c for _, c in world.log if isinstance(c, StepStarted) and c.step == "promote"]
    assert [c.completing for c in starts] == [False, True]
    assert "switch" not in world.starts()
    assert world.undos() == ["promote"]


def test_a_promotion_that_certainly_did_not_happen_brings_the_first_undos_back():
    world = World(failover_plan(), behave={("promote", "do"): "refuse"}).run()
    assert world.undos() == ["fence", "lose"]
    assert not world.state.failed_over


def test_the_ledger_is_read_after_the_failover_and_at_the_end():
    ledger = Ledger("orders", "{}", 20 * MS, 400 * MS)
    world = World(failover_plan(ledger=ledger)).run()
    asked = [(t, c.occasion) for t, c in world.log if isinstance(c, LedgerAsked)]
    assert [occasion for _, occasion in asked] == ["after-failover", "end"]
    dwell = next(t for t, c in world.log if isinstance(c, StepStarted) and c.step == "dwell")
    assert asked[0][0] < dwell


def test_several_ledgers_have_been_read_when_the_last_of_them_answers_or_is_late():
    ledgers = [Ledger("orders", "{}", 20 * MS, 400 * MS, name) for name in ("here", "there")]
    state = begin(plan(fault("f", 0), ledger=ledgers[0], more_ledgers=tuple(ledgers[1:])))
    state = apply(state, 0, LedgerAsked("end", resume=False))
    state = apply(state, MS, LedgerRead("end", ok=True, recovered=1, ledger="there"))
    assert state.ledger.waiting == ("here",) and state.ledger_read == ()
    late, said = step(state, LEDGER_DEADLINE_NS, None)
    assert said == (LedgerRead("end", ok=False, recovered=0, detail="no answer in time", ledger="here"),)
    assert (late.ledger, late.ledger_read) == (None, ("end",))
    state = apply(state, 2 * MS, LedgerRead("end", ok=True, recovered=1, ledger="here"))
    assert (state.ledger, state.ledger_read) == (None, ("end",))


def test_an_undo_step_carries_out_what_is_owed_on_its_target():
    world = World(plan(fault("a", 0), undo_step("u", 1, "node:a"), hold("h", 2, NS))).run()
    order = [(type(c).__name__, c.step) for _, c in world.log if isinstance(c, StepStarted | UndoStarted)]
    assert order == [("StepStarted", "a"), ("StepStarted", "u"), ("UndoStarted", "a"), ("StepStarted", "h")]


def test_a_person_who_asks_twice_skips_the_watching_but_never_the_undo():
    world = World(plan(fault("a", 0), hold("h", 1, 9 * NS)), halt_at_ns=4 * NS)
    from gameday.history.events import HaltAsked

    world.post(4 * NS + 10 * MS, HaltAsked("operator", "again"))
    world.run()
    at = {c.phase: t for t, c in world.log if isinstance(c, PhaseChanged)}
    assert world.undos() == ["a"]
    assert at[Phase.FINISHED] - at[Phase.RECOVERING] < 200 * MS


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("calm", [True, False])
def test_promises_hold_in_random_worlds(seed, calm):
    """Draw a plan and a world from the seed; every run must keep what the module docstring says."""
    drill = random_plan(seed)
    halt = None if seed % 3 == 0 else (seed * 137 % 9000) * MS
    world = World(drill, seed=seed, calm=calm, halt_at_ns=halt).run()
    check_promises(world)


def random_plan(seed):
    import random

    rng = random.Random(seed)
    if seed % 4 == 1:
        return failover_plan(ledger=Ledger("orders", "{}", 20 * MS, 400 * MS) if seed % 8 == 1 else None)
    steps, group = [], 0
    for number in range(rng.randrange(1, 7)):
        group += rng.random() < 0.7
        kind = rng.choice(["fault", "fault", "hold", "failover", "undo"])
        if kind == "fault":
            more = {"for_ns": NS} if rng.random() < 0.3 else {}
            more |= {"ttl_ns": rng.choice([1, 4, 60]) * NS}
            steps.append(fault(f"s{number}", group, target=f"node:{rng.randrange(3)}", **more))
        elif kind == "hold":
            steps.append(hold(f"s{number}", group, rng.randrange(1, 4) * NS))
        elif kind == "undo":
            steps.append(undo_step(f"s{number}", group, f"node:{rng.randrange(3)}"))
        else:
            steps.append(failover(f"s{number}", group))
    return plan(*steps)


def check_promises(world):
    log = world.log
    halt_at = next((i for i, (_, c) in enumerate(log) if isinstance(c, Halted)), len(log))
    for _, command in log[halt_at:]:
        if isinstance(command, StepStarted):
            item = world.plan_step(command.step)
            assert command.completing and item.complete, f"{command} started after the halt"
    superseded = {t for s in world.starts() for t in world.plan_step(s).supersedes}
    last_happened = {}
    for _, event in world.events:
        if isinstance(event, StepEnded):
            last_happened.setdefault(event.step, event.effect)
    for name in set(world.starts()):
        item = world.plan_step(name)
        owes = item.undo is not None and last_happened.get(name) is not Effect.DID_NOT_HAPPEN
        if owes and item.target not in superseded:
            assert name in world.undos(), f"{name} may have happened and was never undone"
    for target in superseded:
        undone = [s for s in world.undos() if world.plan_step(s).target == target]
        assert undone, f"nothing undid {target}"
    assert not world.state.owed and not world.state.undoing and not world.state.running
    check_deadlines(world)


def check_deadlines(world):
    ended = {}
    for at, event in world.events:
        if isinstance(event, StepEnded):
            ended.setdefault(event.step, at)
    for at, command in world.log:
        if isinstance(command, StepEnded):
            ended.setdefault(command.step, at)
    killed = {c.step: t for t, c in world.log if isinstance(c, KillAsked) and c.role == "do"}
    for at, command in world.log:
        if isinstance(command, StepStarted) and not command.completing:
            item = world.plan_step(command.step)
            if item.kind in (StepKind.FAULT, StepKind.FAILOVER):
                end = min(ended.get(command.step, 10**18), killed.get(command.step, 10**18))
                assert end - at <= item.deadline_ns + 50 * MS, f"{command.step} ran past its deadline"


def test_the_same_events_give_the_same_commands():
    for seed in range(10):
        world = World(random_plan(seed), seed=seed, calm=False).run()
        state, again = begin(world.plan), []
        for at, event in world.events:
            state, decided = step(state, at, event)
            again += [(at, c) for c in decided]
        assert again == world.log


@pytest.mark.parametrize("seed", range(12))
def test_a_history_cut_anywhere_folds_to_a_state_that_undoes_everything(seed):
    """What the watchdog does: fold records up to any point, add RunnerLost, go on without probes."""
    drill = failover_plan() if seed % 2 else random_plan(seed)
    whole = World(drill, seed=seed).run()
    records = recorded(whole)
    for cut in range(1, len(records) + 1):
        rescue(drill, records[:cut])


def recorded(world):
    """The records a runner would have written: reports and commands in order, no samples."""
    state, out = begin(world.plan), []
    for at, event in world.events:
        if event is not None and not isinstance(event, Sample):
            out.append((at, event))
        state, decided = step(state, at, event)
        out += [(at, command) for command in decided]
    return out


def rescue(drill, records):
    state = begin(drill)
    for at, event in records:
        state = apply(state, at, event)
    if state.is_over:
        return
    may_have = {e.step for _, e in records if isinstance(e, StepStarted)}
    undone = {e.step for _, e in records if isinstance(e, UndoEnded) and e.undone}
    now, log = records[-1][0], []
    pending = [(now, RunnerLost("watchdog", "test"))]
    while not state.is_over:
        now += 20 * MS
        assert now < records[-1][0] + 60 * NS, state
        event = pending.pop(0)[1] if pending else None
        state, decided = step(state, now, event)
        for command in decided:
            log.append(command)
            if isinstance(command, StepStarted):
                assert command.completing
                pending.append((now, StepEnded(command.step, Effect.HAPPENED)))
            if isinstance(command, UndoStarted):
                pending.append((now, UndoEnded(command.step, True)))
    assert not state.owed and not state.stuck
    done = undone | {c.step for c in log if isinstance(c, UndoStarted)}
    superseded = {t for s in may_have for t in next(x for x in drill.steps if x.id == s).supersedes}
    for name in may_have:
        item = next(x for x in drill.steps if x.id == name)
        if item.undo is not None and item.target not in superseded:
            assert name in done, f"{name} was left in place"
