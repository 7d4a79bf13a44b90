"""Gates and work by hand: nothing passes an unapproved gate, nothing waits for ever, undos are owed."""

from __future__ import annotations

import random

import pytest

from gameday.engine.apply import apply
from gameday.engine.decide import step
from gameday.engine.people import missing
from gameday.engine.state import begin
from gameday.history.events import (
    Armed,
    Effect,
    Halted,
    Phase,
    PhaseChanged,
    RunnerLost,
    StepEnded,
    StepStarted,
    UndoEnded,
    UndoStarted,
)
from gameday.history.people import ApprovalsNeeded, GateEnded, GateWaiting, ManualReported, Need
from gameday.plan.approvals import Requirement
from gameday.plan.model import NS, StepKind
from tests.engine.people_world import (
    PeopleWorld,
    before,
    by_hand,
    gate,
    manual,
    manual_with_action,
    signed,
)
from tests.engine.world import ACT, MS, failover, failover_plan, fault, hold, plan, undo_step

LIVE = Requirement(live=True)
TWO = Requirement(count=2, live=True)


def halted(world):
    return next((c for _, c in world.log if isinstance(c, Halted)), None)


def ended(world, name):
    return next(
        (e for _, e in [*world.events, *world.log] if isinstance(e, StepEnded) and e.step == name), None
    )


# --- the gate before the first fault ----------------------------------------------------------


def test_nothing_starts_before_the_start_is_approved_and_then_the_drill_goes_on():
    world = PeopleWorld(plan(fault("f", 0), approvals=before(TWO))).run()
    opened = next(t for t, c in world.log if isinstance(c, GateEnded))
    first = next(t for t, c in world.log if isinstance(c, PhaseChanged))
    assert opened <= first
    assert world.starts() == ["f"] and halted(world) is None


@pytest.mark.parametrize("how", ["hang", "late", "claim", "twice", "one-key", "wrong-role"])
def test_an_unapproved_start_is_refused_and_nothing_is_injected(how):
    world = PeopleWorld(plan(fault("f", 0), approvals=before(TWO)), behave={("start", "gate"): how}).run()
    assert world.starts() == [] and world.undos() == []
    assert halted(world).by == "approval" and "nothing was injected" in halted(world).reason
    assert world.state.is_refused
    waited = next(t for t, c in world.log if isinstance(c, GateWaiting))
    given_up = next(t for t, c in world.log if isinstance(c, GateEnded))
    assert 3 * NS <= given_up - waited <= 3 * NS + 50 * MS


def test_a_run_that_was_told_nothing_falls_back_on_what_its_plan_asks_for():
    state = begin(plan(fault("f", 0), approvals=before(LIVE)))
    assert state.people.start_needs == (Need("approver", 1, True),)


def test_what_the_policy_adds_is_needed_too():
    more = ApprovalsNeeded((Need("approver", 2, False), Need("boss", 1, True)), 3 * NS)
    world = PeopleWorld(plan(fault("f", 0)))
    world.post(0, more)
    world.post(0, signed("start", "ann", live=False))
    world.behave = {("start", "gate"): "hang"}
    world.post(NS, signed("start", "bob", "boss"))
    world.run()
    assert world.starts() == [] and world.state.is_refused
    assert "1 approver did not sign" in halted(world).reason


def test_approvals_given_beforehand_open_the_gate_at_once():
    world = PeopleWorld(plan(fault("f", 0), approvals=before(Requirement(count=2))))
    for who in ("ann", "bob"):
        world.post(0, signed("start", who, live=False))
    world.behave = {("start", "gate"): "hang"}
    world.run()
    assert world.starts() == ["f"]


def test_a_live_gate_takes_no_signature_that_was_given_beforehand():
    world = PeopleWorld(plan(fault("f", 0), approvals=before(LIVE)), behave={("start", "gate"): "hang"})
    world.post(0, signed("start", "ann", live=False))
    assert world.run().starts() == []


def test_a_halt_while_waiting_ends_the_waiting_and_is_no_refusal():
    world = PeopleWorld(
        plan(fault("f", 0), approvals=before(LIVE)), behave={("start", "gate"): "hang"}, halt_at_ns=NS
    ).run()
    assert world.starts() == [] and not world.state.is_refused
    assert [c.passed for _, c in world.log if isinstance(c, GateEnded)] == [False]


# --- gates among the steps --------------------------------------------------------------------


def test_a_gate_among_the_steps_holds_up_what_comes_after_it():
    world = PeopleWorld(plan(fault("f", 0), gate("go", 1), fault("g", 2))).run()
    opened = next(t for t, c in world.log if isinstance(c, GateEnded) and c.passed)
    started = next(t for t, c in world.log if isinstance(c, StepStarted) and c.step == "g")
    assert opened <= started and halted(world) is None


@pytest.mark.parametrize("how", ["hang", "late", "claim", "wrong-role"])
def test_a_gate_that_is_not_opened_halts_and_undoes(how):
    world = PeopleWorld(plan(fault("f", 0), gate("go", 1), fault("g", 2)), behave={("go", "gate"): how}).run()
    assert world.starts() == ["f", "go"] and world.undos() == ["f"]
    assert halted(world).by == "approval" and not world.state.is_refused
    assert ended(world, "go").effect is Effect.DID_NOT_HAPPEN


def test_a_gate_before_any_effect_is_a_refusal_even_after_a_hold():
    world = PeopleWorld(plan(hold("h", 0, NS), gate("go", 1), fault("f", 2)), behave={("go", "gate"): "hang"})
    assert world.run().state.is_refused
    assert world.undos() == []


def test_a_signature_for_one_gate_opens_no_other():
    world = PeopleWorld(plan(gate("one", 0), gate("two", 1), fault("f", 2)), behave={("two", "gate"): "hang"})
    world.post(2 * NS, signed("one", "ann"))
    assert world.run().starts() == ["one", "two"]


def test_a_halted_run_past_the_point_of_no_return_completes_without_its_gates():
    base = failover_plan()
    at = next(i for i, s in enumerate(base.steps) if s.id == "switch")
    later = [*base.steps[:at], gate("go", 3), *base.steps[at:]]
    drill = plan(*(s if i < at else _moved(s, i) for i, s in enumerate(later)))
    world = PeopleWorld(drill, behave={("go", "gate"): "hang"}).run()
    assert halted(world).by == "approval"
    assert "switch" in world.starts() and "verify" not in world.starts()


def _moved(item, group):
    from dataclasses import replace

    return replace(item, group=group)


def test_nobody_counts_twice_whatever_their_name_or_key():
    needs = (Need("approver", 2, True),)
    ann, same_key = signed("g", "ann"), signed("g", "bob", fingerprint="key of ann")
    assert missing(needs, (ann, ann)) == (Need("approver", 1, True),)
    assert missing(needs, (ann, signed("g", "ann", fingerprint="her other key"))) == (
        Need("approver", 1, True),
    )
    assert missing(needs, (ann, same_key)) == (Need("approver", 1, True),)
    assert missing(needs, (ann, signed("g", "bob", verified=False))) == (Need("approver", 1, True),)
    assert missing(needs, (ann, signed("g", "bob"))) == ()


def test_who_approved_beforehand_may_sign_live_as_well_but_not_twice_live():
    needs = (Need("approver", 1, False), Need("approver", 2, True))
    given = (signed("g", "ann", live=False), signed("g", "ann"))
    assert missing(needs, given) == (Need("approver", 1, True),)
    assert missing(needs, (*given, signed("g", "ann"))) == (Need("approver", 1, True),)
    assert missing(needs, (*given, signed("g", "bob"))) == ()


def test_who_signs_in_a_role_nobody_asked_for_may_still_sign_in_another():
    needs = (Need("boss", 1, True),)
    assert missing(needs, (signed("g", "ann", "clown"), signed("g", "ann", "boss"))) == ()


def test_who_only_claimed_is_not_named_among_those_who_approved():
    world = PeopleWorld(plan(fault("f", 0), approvals=before(LIVE)), behave={("start", "gate"): "hang"})
    world.post(NS, signed("start", "bob", verified=False))
    world.post(2 * NS, signed("start", "ann"))
    world.run()
    assert [c.reason for _, c in world.log if isinstance(c, GateEnded)] == ["approved by ann"]


def test_a_live_signature_from_before_the_gate_was_reached_counts_for_nothing():
    world = PeopleWorld(plan(hold("h", 0, NS), gate("go", 1), fault("f", 2)), behave={("go", "gate"): "hang"})
    world.post(0, signed("go", "ann"))
    assert "f" not in world.run().starts()


def test_a_signature_on_the_last_instant_is_too_late():
    state, decided = step(begin(plan(fault("f", 0), approvals=before(LIVE))), 0, Armed(1))
    assert decided == (GateWaiting("start", (Need("approver", 1, True),), 3 * NS),)
    state, decided = step(state, 3 * NS, signed("start", "ann"))
    assert [c.passed for c in decided if isinstance(c, GateEnded)] == [False]


def test_a_refused_run_has_no_recovery_to_look_at():
    world = PeopleWorld(plan(gate("go", 0), fault("f", 1)), behave={("go", "gate"): "hang"}).run()
    at = {c.phase: t for t, c in world.log if isinstance(c, PhaseChanged)}
    assert at[Phase.FINISHED] - at[Phase.UNDOING] < 200 * MS


# --- steps by hand ----------------------------------------------------------------------------


def test_a_manual_step_ends_when_a_person_says_so():
    world = PeopleWorld(plan(manual("call", 0), fault("f", 1))).run()
    assert ended(world, "call").effect is Effect.HAPPENED and world.starts() == ["call", "f"]


def test_a_manual_step_does_not_end_by_itself():
    world = PeopleWorld(plan(manual("call", 0, deadline_ns=3 * NS), fault("f", 1)))
    world.behave = {("call", "do"): "hang"}
    world.run()
    began = next(t for t, c in world.log if isinstance(c, StepStarted))
    over = next(t for t, c in world.log if isinstance(c, StepEnded) and c.step == "call")
    assert 3 * NS <= over - began <= 3 * NS + 50 * MS
    assert "f" not in world.starts() and halted(world).by == "step"


@pytest.mark.parametrize("how", ["fail", "hang", "late"])
@pytest.mark.parametrize("make", [by_hand, manual_with_action])
def test_a_manual_step_that_failed_or_was_late_halts_and_its_undo_is_owed(make, how):
    world = PeopleWorld(plan(make("call", 0), fault("f", 1)), behave={("call", "do"): how}).run()
    assert ended(world, "call").effect is Effect.INDETERMINATE
    assert halted(world).by == "step" and world.undos() == ["call"]
    assert world.state.stuck == () and not world.state.is_refused


def test_an_undo_by_hand_nobody_does_is_stuck_with_its_words_and_holds_up_nothing():
    drill = plan(fault("f", 0), by_hand("call", 1), hold("h", 2, NS))
    world = PeopleWorld(drill, behave={("call", "undo"): "hang"}).run()
    assert world.state.stuck == ("call",)
    said = next(c for _, c in world.log if isinstance(c, UndoEnded) and c.step == "call")
    assert "undo call" in said.detail
    at = {c.step: t for t, c in world.log if isinstance(c, UndoStarted)}
    assert at["f"] - at["call"] <= 600 * MS
    assert world.undos().count("call") == 1


def test_an_undo_by_hand_that_failed_is_stuck_at_once():
    world = PeopleWorld(plan(by_hand("call", 0), hold("h", 1, NS)), behave={("call", "undo"): "fail"}).run()
    assert world.state.stuck == ("call",) and world.undos() == ["call"]


def test_who_confirms_a_stuck_undo_later_clears_it():
    drill = plan(fault("f", 0, ttl_ns=90 * NS), by_hand("call", 1), hold("h", 2, NS))
    state = begin(drill)
    for at, event in stuck_run(drill):
        state = apply(state, at, event)
    assert state.stuck == ("call",)
    at = state.now_ns
    state, decided = step(state, at, ManualReported("call", "undo", False, "ann"))
    assert not [c for c in decided if isinstance(c, UndoEnded)]
    state, decided = step(state, at, ManualReported("call", "undo", True, "ann"))
    assert [c.undone for c in decided if isinstance(c, UndoEnded)] == [True] and state.stuck == ()


def stuck_run(drill):
    """A run whose undo by hand is stuck while it waits for the steady state."""
    return [
        (1, PhaseChanged(Phase.RUNNING, "x")),
        (2, StepStarted("call")),
        (3, ManualReported("call", "do", True, "ann")),
        (4, StepEnded("call", Effect.HAPPENED)),
        (5, PhaseChanged(Phase.UNDOING, "x")),
        (6, UndoStarted("call", "end")),
        (4 * NS, UndoEnded("call", False, "nobody")),
        (5 * NS, PhaseChanged(Phase.RECOVERING, "x")),
    ]


def test_a_halt_takes_back_a_manual_step_that_may_have_been_done():
    world = PeopleWorld(
        plan(by_hand("call", 0), fault("f", 1)), behave={("call", "do"): "hang"}, halt_at_ns=2 * NS
    ).run()
    assert world.undos() == ["call"] and ended(world, "call").detail == "halted"


def test_a_word_about_a_step_that_does_not_wait_is_no_word():
    world = PeopleWorld(plan(fault("f", 0), manual("call", 1)), behave={("call", "do"): "hang"})
    world.post(10 * MS, ManualReported("call", "do", True, "too early"))
    world.post(20 * MS, ManualReported("f", "do", True, "an action's affair"))
    world.post(20 * MS, ManualReported("f", "undo", True, "an action's affair"))
    world.run()
    assert halted(world).by == "step" and "call" in halted(world).reason
    assert world.undos() == ["f"] and not [c for _, c in world.log if isinstance(c, UndoEnded)]


def test_manual_steps_fail_over_complete_and_supersede_as_automatic_ones_do():
    book = "book"
    drill = plan(
        fault("lose", 0, target="node:a"),
        manual(
            "promote",
            1,
            runbook=book,
            undo_by_hand="rejoin a",
            target="node:a",
            supersedes=("node:a",),
            point_of_no_return=True,
            complete=True,
        ),
        manual("switch", 2, runbook=book, complete=True),
        manual("verify", 3, runbook=book),
    )
    began = 1200 * MS
    world = PeopleWorld(drill, seed=3).run()
    began = next(t for t, c in world.log if isinstance(c, StepStarted) and c.step == "promote")
    world = PeopleWorld(drill, seed=3, halt_at_ns=began + 5 * MS).run()
    assert ended(world, "promote").effect is Effect.HAPPENED
    assert world.starts() == ["lose", "promote", "switch"] and world.undos() == ["promote"]
    assert world.state.failed_over


def test_what_was_said_of_a_first_try_says_nothing_of_the_second():
    drill = plan(
        manual(
            "promote", 0, runbook="b", point_of_no_return=True, complete=True, undo_by_hand="x", target="n"
        ),
        fault("f", 1),
    )
    world = PeopleWorld(drill, behave={("promote", "do"): "fail"}).run()
    first = next(t for t, c in world.log if isinstance(c, StepStarted) and c.completing)
    answers = [(t, c) for t, c in world.log if isinstance(c, StepEnded) and c.step == "promote"]
    assert len(answers) == 2 and answers[1][0] > first


# --- properties -------------------------------------------------------------------------------


def random_drill(seed):
    rng = random.Random(seed)
    if seed % 5 == 1:
        base = failover_plan()
        return plan(
            *(_by_people(s) if s.kind is StepKind.FAILOVER and rng.random() < 0.4 else s for s in base.steps)
        )
    steps, group = [], 0
    for number in range(rng.randrange(2, 8)):
        name, kind = (
            f"s{number}",
            rng.choice(["fault", "hold", "failover", "undo", "gate", "manual", "by_hand", "acted"]),
        )
        group += (
            1 if kind == "gate" or (steps and steps[-1].kind is StepKind.APPROVAL) else rng.random() < 0.7
        )
        target = f"node:{rng.randrange(3)}"
        match kind:
            case "fault":
                steps.append(fault(name, group, target=target, ttl_ns=rng.choice([1, 4, 60]) * NS))
            case "hold":
                steps.append(hold(name, group, NS))
            case "failover":
                steps.append(failover(name, group))
            case "undo":
                steps.append(undo_step(name, group, target))
            case "gate":
                roles = [
                    Requirement(r, rng.randrange(1, 3), True)
                    for r in rng.sample(["approver", "boss"], rng.randrange(1, 3))
                ]
                steps.append(gate(name, group, *roles))
            case "manual":
                steps.append(manual(name, group))
            case "by_hand":
                steps.append(by_hand(name, group, target=target))
            case _:
                steps.append(manual(name, group, undo=ACT, in_place=ACT, target=target))
    asked = before(Requirement(count=rng.randrange(1, 3), live=True)) if rng.random() < 0.4 else before()
    return plan(*steps, approvals=asked)


def _by_people(item):
    from dataclasses import replace

    by_hand_text = "by hand" if item.undo is not None else ""
    return replace(item, kind=StepKind.MANUAL, do=None, undo=None, in_place=None, undo_by_hand=by_hand_text)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("calm", [True, False])
def test_promises_hold_with_people_in_random_worlds(seed, calm):
    halt = None if seed % 3 == 0 else (seed * 137 % 9000) * MS
    world = PeopleWorld(random_drill(seed), seed=seed, calm=calm, halt_at_ns=halt).run()
    passes_no_closed_gate(world)
    starts_nothing_after_a_halt(world)
    undoes_what_may_have_happened(world)


def passes_no_closed_gate(world):
    groups = {s.id: s.group for s in world.plan.steps}
    open_gates = set()
    for _, command in world.log:
        if isinstance(command, GateEnded) and command.passed:
            open_gates.add(command.gate)
            enough(world, command.gate)
        if isinstance(command, StepStarted) and not command.completing:
            if world.plan.approvals.before_faults:
                assert "start" in open_gates, f"{command.step} started before the start was approved"
            for item in world.plan.steps:
                if item.kind is StepKind.APPROVAL and item.group < groups[command.step]:
                    assert item.id in open_gates, f"{command.step} started past the closed gate {item.id}"


def enough(world, name):
    """The signatures at a gate, counted by another rule than the engine's: distinct people and keys."""
    needs = world.plan.approvals.before_faults if name == "start" else world.plan_step(name).needs
    given = [e for _, e in world.events if getattr(e, "gate", "") == name and getattr(e, "verified", False)]
    for need in needs:
        mine = [a for a in given if a.role == need.role]
        assert (
            len({a.principal for a in mine}) >= need.count
            and len({a.fingerprint for a in mine}) >= need.count
        )


def starts_nothing_after_a_halt(world):
    at = next((i for i, (_, c) in enumerate(world.log) if isinstance(c, Halted)), len(world.log))
    for _, command in world.log[at:]:
        assert not isinstance(command, GateWaiting), "a gate was opened after the halt"
        if isinstance(command, StepStarted):
            assert command.completing and world.plan_step(command.step).complete


def undoes_what_may_have_happened(world):
    first = {}
    for _, event in [*world.events, *world.log]:
        if isinstance(event, StepEnded):
            first.setdefault(event.step, event.effect)
    superseded = {t for s in world.starts() for t in world.plan_step(s).supersedes}
    for name in set(world.starts()):
        item = world.plan_step(name)
        if item.owes_undo and first.get(name) is not Effect.DID_NOT_HAPPEN and item.target not in superseded:
            assert name in world.undos(), f"{name} may have happened and was never undone"
    assert not world.state.owed and not world.state.undoing and not world.state.running
    assert not [g for g in world.state.people.gates if g.passed is None]


def test_the_same_events_give_the_same_commands_with_people():
    for seed in range(12):
        world = PeopleWorld(random_drill(seed), seed=seed, calm=False).run()
        state, again = begin(world.plan), []
        for at, event in world.events:
            state, decided = step(state, at, event)
            again += [(at, c) for c in decided]
        assert again == world.log


@pytest.mark.parametrize("seed", range(12))
def test_a_history_cut_at_a_gate_or_in_a_manual_step_folds_to_a_state_that_undoes_everything(seed):
    drill = random_drill(seed)
    whole = PeopleWorld(drill, seed=seed).run()
    state, records = begin(drill), []
    for at, event in whole.events:
        if event is not None and type(event).__name__ != "Sample":
            records.append((at, event))
        state, decided = step(state, at, event)
        records += [(at, command) for command in decided]
    for cut in range(1, len(records) + 1):
        rescue(drill, records[:cut])


def rescue(drill, records):
    state = begin(drill)
    for at, event in records:
        state = apply(state, at, event)
    if state.is_over:
        return
    now, log, items = records[-1][0], [], {s.id: s for s in drill.steps}
    pending = [RunnerLost("watchdog", "test")]
    while not state.is_over:
        now += 20 * MS
        assert now < records[-1][0] + 60 * NS, state
        state, decided = step(state, now, pending.pop(0) if pending else None)
        for command in decided:
            log.append(command)
            if isinstance(command, StepStarted):
                assert command.completing
                by = items[command.step].kind is StepKind.MANUAL
                done = ManualReported(command.step, "do", True, "ann")
                pending.append(done if by else StepEnded(command.step, Effect.HAPPENED))
            if isinstance(command, UndoStarted):
                by = bool(items[command.step].undo_by_hand)
                done = ManualReported(command.step, "undo", True, "ann")
                pending.append(done if by else UndoEnded(command.step, True))
    assert not state.owed and not state.stuck
    undone = {e.step for _, e in records if isinstance(e, UndoEnded) and e.undone}
    undone |= {c.step for c in log if isinstance(c, UndoStarted | UndoEnded)}
    started = {e.step for _, e in records if isinstance(e, StepStarted)}
    superseded = {t for s in started for t in items[s].supersedes}
    for name in started:
        if items[name].owes_undo and items[name].target not in superseded:
            assert name in undone, f"{name} was left in place"
