"""What the checkers make of a sign-off: decision and limit from the history alone, and the verifier beside them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gameday.checkers.capacity import LIMIT, assess, expiry
from gameday.checkers.check import check
from gameday.checkers.findings import Verdict
from gameday.checkers.view import view_of
from gameday.evidence import capacity as told
from gameday.history.capacityevents import ArtefactRead, TrialEnded
from gameday.history.events import LoadBucket, Outcome, RunEnded, RunStarted, Sample
from gameday.history.record import Record, Trace
from gameday.plan.capacity import Price
from gameday.plan.model import NS
from tests.engine.capacity_world import CapacityWorld, ran, sign_off


def trace_of(world, *, halted=False):
    """The history of a world that has run, as it would be read back."""
    started = RunStarted("r", "0" * 64, "0", "b", "0", (), "nobody", "here")
    outcome = Outcome.HALTED if halted else Outcome.COMPLETED
    events = [(0, started), (0, ArtefactRead("a test", "sha256:1")), *world.log]
    events += [(at, event) for at, event in world.events if event is not None]
    events.append((world.now, RunEnded(outcome, (), failed_over=False)))
    kept = [(at, e) for at, e in events if not isinstance(e, LoadBucket | Sample)]
    kept.sort(key=lambda item: item[0])
    records = tuple(
        Record(n, at, "2026-11-25T10:00:00.000000000Z", "r", event) for n, (at, event) in enumerate(kept)
    )
    return Trace(
        records=records,
        samples=tuple(e for _, e in events if isinstance(e, Sample)),
        load=tuple(e for _, e in events if isinstance(e, LoadBucket)),
    )


def findings_of(world, **more):
    found = check(world.plan, trace_of(world, **more))
    return {finding.name: finding for finding in found.findings}


@pytest.fixture(scope="module")
def go():
    priced = sign_off()
    priced = replace(priced, capacity=replace(priced.capacity, price=Price(3_600_000, "EUR")))
    return CapacityWorld(priced).run(3000 * NS)


def test_a_rate_that_holds_with_n_and_with_the_fault_is_go(go):
    finding = findings_of(go)["capacity s"]
    numbers = dict(finding.numbers)
    assert (finding.observed, finding.verdict) == ("GO", Verdict.PASS)
    assert numbers["required_per_1000s"] == 500_000
    assert numbers["artefact"] == "sha256:1"
    assert numbers["fault"] == "lose"
    assert numbers["expires_utc"] == "2027-02-23"
    assert numbers["n_verdict"] == numbers["n_minus_1_verdict"] == "holds"
    assert numbers["n_requests"] >= 4900
    assert numbers["n_worst_allowed_ppm"] == 10_000


def test_the_limit_is_an_interval_with_what_follows_from_it(go):
    finding = findings_of(go)[LIMIT]
    numbers = dict(finding.numbers)
    assert finding.verdict is Verdict.PASS
    assert numbers["proven_per_1000s"] <= 700_000 < numbers["refuted_per_1000s"]
    assert numbers["headroom_over_forecast_ppm"] == (numbers["proven_per_1000s"] - 400_000) * 10**6 // 400_000
    # 3.60 an hour is a thousandth a second: a million requests at r/s take 1e6/r s.
    assert numbers["cost_per_million_micro"] == pytest.approx(1000 * 1e9 / numbers["proven_per_1000s"], abs=1)
    assert numbers["hysteresis"] == "held"


def test_a_rate_that_fails_with_the_fault_is_no_go():
    found = findings_of(ran(limit_with_fault=450))
    assert (found["capacity s"].observed, found["capacity s"].verdict) == ("NO-GO", Verdict.FAIL)


def test_a_silent_generator_is_undecided_and_names_itself():
    finding = findings_of(ran(search=False, silent_at=400))["capacity s"]
    assert (finding.observed, finding.verdict) == ("UNDECIDED", Verdict.UNKNOWN)
    assert dict(finding.numbers)["n_generator"]
    assert "N-1 was left out" in finding.why


def test_a_halt_before_the_decision_is_undecided_and_never_go():
    world = ran(halt_at_ns=9 * NS)
    finding = findings_of(world, halted=True)["capacity s"]
    assert finding.verdict is Verdict.UNKNOWN
    assert "halted by operator" in finding.why


def test_a_record_that_claims_a_verdict_does_not_make_it(go):
    """What the runner decided on the way is not believed: the buckets are judged anew."""
    world = ran(limit_with_fault=450)
    trace = trace_of(world)
    lied = tuple(
        replace(r, event=replace(r.event, verdict="holds")) if isinstance(r.event, TrialEnded) else r
        for r in trace.records
    )
    found = assess(view_of(world.plan, replace(trace, records=lied)))
    assert found.decision.decision == "NO-GO"


def test_the_probe_that_turned_bad_first_is_named_as_saturated():
    world = CapacityWorld(sign_off(search=False), limit=300, bad_from_ns=6 * NS)
    world.plan = replace(world.plan, stop_conditions=world.plan.stop_conditions[1:])
    finding = findings_of(world.run(3000 * NS))["capacity s"]
    assert dict(finding.numbers)["saturated"] == "probe p"


def test_the_load_that_is_tried_has_no_finding_of_its_own(go):
    assert "load orders" not in findings_of(go)


def test_the_report_begins_with_the_decision_and_leaves_a_line_to_sign(go):
    trace = trace_of(go)
    tables = told.tables(view_of(go.plan, trace), check(go.plan, trace))
    cells = [cell.text for table in tables for line in table.rows for cell in line]
    assert tables[0].rows[0][1].text == "GO"
    assert "Capacity owner" in cells
    assert [table.title for table in tables] == ["Capacity sign-off", "Trials", "Limit"]


def test_a_day_is_the_last_one_that_counts():
    assert expiry("2026-11-25T23:00:00Z", 90 * 86_400 * NS) == "2027-02-23"
    assert expiry("", NS) == ""
