"""The verifier against the checkers: two programs, written apart from the same rules, on simulated drills.

They share no code. Where they differ, one of the two is wrong, and the seed says where to look.
"""

from __future__ import annotations

import pytest

from gameday.canonical import canonical, to_json
from gameday.checkers.check import check
from gameday.checkers.document import as_document
from gameday.verify.chain import KEPT, History, Record
from gameday.verify.levels import load_levels
from gameday.verify.recompute import differences, recompute
from gameday.verify.segments import Loads
from gameday.verify.strictjson import parse_canonical
from tests.evidence import synthetic
from tests.simulated import simulate

FAST, SLOW = 150, 10_000


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
    spans = [(f.name, f.interval and (f.interval.min_ns, f.interval.max_ns)) for f in theirs.findings]
    found = [(f.name, f.interval) for f in mine.findings]
    return wrong if spans == found else [*wrong, f"intervals {spans} against {found}"]


def test_they_agree_on_simulated_drills():
    for seed in range(FAST):
        drill = simulate(seed)
        assert not disagreements(drill.plan, drill.trace), f"seed {seed}"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_they_agree_on_ten_thousand_simulated_drills():
    wrong = {}
    for seed in range(SLOW):
        drill = simulate(seed)
        found = disagreements(drill.plan, drill.trace)
        if found:
            wrong[seed] = found[0]
    assert not wrong, f"{len(wrong)} of {SLOW} differ: {dict(list(wrong.items())[:5])}"


@pytest.mark.parametrize("story", [synthetic.completed, synthetic.halted], ids=["completed", "halted"])
def test_they_agree_on_the_synthetic_runs(story):
    from tests.checkers.made import trace_of

    made = story()
    assert not disagreements(made.plan, trace_of(made))
