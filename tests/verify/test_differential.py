"""The verifier against the checkers: two programs, written apart from the same rules, on simulated drills.

They share no code. Where they differ, one of the two is wrong, and the seed says where to look.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from gameday.canonical import canonical, to_json
from gameday.checkers.check import check
from gameday.checkers.document import as_document
from gameday.history.events import (
    ClockRead,
    Effect,
    Halted,
    LedgerMark,
    LedgerRead,
    Outcome,
    PhaseChanged,
    Reading,
    RunEnded,
    StepEnded,
    UndoEnded,
    UndoStarted,
)
from gameday.verify.chain import KEPT, History, Record
from gameday.verify.levels import load_levels
from gameday.verify.recompute import AS_STATED, differences, recompute
from gameday.verify.segments import Loads
from gameday.verify.strictjson import parse_canonical
from tests.evidence import synthetic
from tests.simulated import simulate

FAST, SLOW = 12, 10_000


def history_of(plan: dict, trace) -> History:
    """What the verifier would read from the files of that run."""
    history = History(loads=Loads(load_levels(plan)), is_sound=True)
    for record in trace.records:
        kind = type(record.event).__name__
        history.last_ns = max(history.last_ns, record.at_ns)
        history.last_utc, history.last_kind = record.utc, kind
        if kind in KEPT:
            data = parse_canonical(canonical(to_json(record.event)), kind)
            history.records.append(Record(record.seq, record.at_ns, record.utc, kind, data))
    for into, items in (
        (history.samples, trace.samples), (history.loads, trace.load), (history.ledger, trace.ledger),
    ):  # fmt: skip
        into.take("".join(canonical(to_json(item)).decode() + "\n" for item in items), "segment")
    return history


def disagreements(plan, trace) -> list[str]:
    """Where the two differ: verdicts, numbers, and the intervals to the nanosecond."""
    theirs = check(plan, trace)
    data = parse_canonical(canonical(to_json(plan)), "plan.json")
    mine = recompute(data, history_of(data, trace))
    wrong, foreign = differences(mine, as_document(theirs))
    wrong += [f"not computed: {name}" for name in foreign]
    spans = [
        (f.name, f.interval and (f.interval.min_ns, f.interval.max_ns))
        for f in theirs.findings
        if not f.name.startswith(AS_STATED)
    ]
    found = [(f.name, f.interval) for f in mine.findings]
    return wrong if spans == found else [*wrong, f"intervals {spans} against {found}"]


def perturbed(trace, dice: random.Random):
    """The same run with a few things changed that no simulation thinks of."""
    records, samples = list(trace.records), list(trace.samples)
    load, ledger = list(trace.load), list(trace.ledger)
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(1, len(records))
        record = records[at]
        match dice.randrange(8):
            case 0:
                del records[at]
            case 1:
                records[at] = replace(record, at_ns=max(record.at_ns + dice.randrange(-(10**9), 10**9), 0))
            case 2:
                records[at] = replace(record, event=bent(record.event, dice))
            case 3 if samples:
                for place in dice.sample(range(len(samples)), min(len(samples), dice.randrange(1, 20))):
                    samples[place] = replace(samples[place], reading=dice.choice(list(Reading)))
            case 4:
                del samples[(start := dice.randrange(len(samples) + 1)) : start + dice.randrange(200)]
            case 5:
                del load[(start := dice.randrange(len(load) + 1)) : start + dice.randrange(100)]
            case 6 if ledger:
                place = dice.randrange(len(ledger))
                ledger[place] = replace(
                    ledger[place], mark=dice.choice(list(LedgerMark)), count=dice.randrange(1, 3)
                )
            case _:
                del ledger[(start := dice.randrange(len(ledger) + 1)) : start + dice.randrange(10)]
    return replace(
        trace, records=tuple(records), samples=tuple(samples), load=tuple(load), ledger=tuple(ledger)
    )


def bent(event, dice: random.Random):
    """An event that says something else."""
    match event:
        case ClockRead():
            return replace(event, boot_id=dice.choice(["", "x"]), bound_ns=dice.choice([None, 10**6]),
                           wall_minus_boot_ns=str(dice.choice([0, 10**9])))  # fmt: skip
        case UndoStarted():
            return replace(event, why=dice.choice(["halt", "ttl", "for", "end", "step", "lost"]))
        case StepEnded():
            return replace(event, effect=dice.choice(list(Effect)), in_place=dice.choice([True, False, None]),
                           read_back_ns=dice.choice([None, event.read_back_ns]))  # fmt: skip
        case UndoEnded():
            return replace(event, undone=not event.undone)
        case Halted():
            return replace(event, by=dice.choice(["operator r.ito", "stop condition", "lease", "baseline"]))
        case LedgerRead():
            return replace(event, ok=not event.ok)
        case RunEnded():
            return replace(
                event, outcome=dice.choice(list(Outcome)), stuck=dice.choice([(), event.stuck, ("x",)])
            )
        case PhaseChanged():
            return replace(event, reason=dice.choice(["the steady state held", "patience ended"]))
    return event


def differing(seeds) -> dict[str, str]:
    """Every seed as it was simulated, and once more with something changed."""
    wrong = {}
    for seed in seeds:
        drill = simulate(seed)
        for name, trace in (("", drill.trace), (" perturbed", perturbed(drill.trace, random.Random(seed)))):
            found = disagreements(drill.plan, trace)
            if found:
                wrong[f"{seed}{name}"] = found[0]
    return wrong


def test_they_agree_on_simulated_drills():
    assert not differing(range(FAST))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_they_agree_on_ten_thousand_simulated_drills():
    wrong = differing(range(SLOW))
    assert not wrong, f"{len(wrong)} of {2 * SLOW} differ: {dict(list(wrong.items())[:5])}"


def named_load(story):
    """The same story, with names of requests; its load is compared over the fault."""
    story.load = [replace(b, endpoints=(("POST /orders", b.good, b.bad, b.latency),)) for b in story.load]
    return story


STORIES = {
    "completed": synthetic.completed,
    "halted": synthetic.halted,
    "completed, named": lambda: named_load(synthetic.completed()),
    "halted, named": lambda: named_load(synthetic.halted()),
    "stuck, named": lambda: named_load(synthetic.halted(stuck=True)),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=list(STORIES))
def test_they_agree_on_the_synthetic_runs(story):
    from tests.checkers.made import trace_of

    made = story()
    assert not disagreements(made.plan, trace_of(made))


def test_a_comparison_that_was_improved_afterwards_is_seen():
    from tests.checkers.made import trace_of

    made = named_load(synthetic.completed())
    trace = trace_of(made)
    data = parse_canonical(canonical(to_json(made.plan)), "plan.json")
    document = as_document(check(made.plan, trace))
    mine = recompute(data, history_of(data, trace))
    row = next(r for r in document["findings"] if r["name"].startswith("load orders: before"))
    row["numbers"]["during_failed"] -= 1
    wrong, foreign = differences(mine, document)
    assert (len(wrong), foreign) == (1, [])
    assert "during_failed is stated as" in wrong[0]
