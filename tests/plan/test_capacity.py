"""Capacity sign-offs as plans: the steps made from the block, the forecast's peak, and every error with its place."""

from __future__ import annotations

import pytest

from gameday.cli.words import plan_words
from gameday.errors import PlanError
from gameday.plan.load import load_plan
from gameday.plan.model import StepKind
from gameday.plan.stored import read_plan, write_plan
from tests.drills import make_project

PLAN = """\
title: Sign orders off for the launch
kind: capacity
service: orders
author: r.ito
owner: payments-sre
target: {environment: lab, identity: {http: "${lab.url}/identity"}}
load:
  - {profile: loadprofiles/orders.py, rate: 10/s, host: "${lab.url}"}
capacity:
  load: orders
  forecast: {peak: 25/s, source: launch plan of May}
  headroom: 20%
  slos: [errors, latency]
  duration: 20s
  warm_up: 3s
  n_minus_one:
    fault: the standby dies
    do: {action: gameday.actions.postgres.kill, with: {node: b}}
    ttl: 2m
  artefact: {digest: v1.2.3}
  price: {per_hour: 4.20, currency: EUR}
  search: {width: 20%, trials: 4, each: 8s}
probes:
  payments: {http: {url: "${lab.url}/payments/health"}, every: 500ms, timeout: 400ms}
slos:
  payments: {probe: payments, objective: 90%, window: 10s}
  errors: {load: errors, objective: 99%, window: 5s}
  latency: {load: p99, below: 300ms, objective: 95%, window: 5s}
steady_state: {slos: [errors, latency], baseline: 5s, stabilise: 5s}
stop_conditions:
  - {probe: payments, bad: 3 in a row, then: halt}
blast_radius: {max: 1 of 2, duration: 10m}
"""
FORECAST = """\
# orders, November
start_utc,seconds,requests
2026-11-20T10:00:00Z,60,1200
2026-11-20T11:00:00Z,60,2401
2026-11-20T12:00:00Z,300,2401
"""


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def loaded(project, text=PLAN):
    path = project / "experiments" / "it.yaml"
    path.write_text(text)
    return load_plan(path)


def refused(project, old, new):
    assert old in PLAN
    with pytest.raises(PlanError) as caught:
        loaded(project, PLAN.replace(old, new))
    return "\n".join(f"{p.line}: {p.message}" for p in caught.value.problems)


def test_the_steps_are_made_from_the_block(project):
    plan = loaded(project)
    kinds = [step.kind for step in plan.steps]
    assert kinds == [StepKind.TRIAL, StepKind.FAULT, StepKind.TRIAL, StepKind.UNDO, StepKind.SEARCH]
    assert len({step.group for step in plan.steps}) == 5
    assert plan.capacity.tested_per_1000s == 30_000
    assert plan.capacity.fault == plan.steps[1].id
    assert plan.capacity.price.per_hour_micro == 4_200_000


def test_it_is_kept_in_the_run_folder_as_it_was(project, tmp_path):
    plan = loaded(project)
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan


def test_a_fault_may_stand_among_the_steps_by_its_name(project):
    block = PLAN[PLAN.index("    fault:") : PLAN.index("  artefact:")]
    fault = "steps:\n  -" + block[3:].replace("\n    ", "\n    ")
    text = PLAN.replace("  n_minus_one:\n" + block, "  n_minus_one: the standby dies\n") + fault
    assert [s.kind for s in loaded(project, text).steps] == [s.kind for s in loaded(project).steps]


def test_without_a_fault_and_a_search_one_trial_is_left_and_a_warning(project):
    text = PLAN.replace("  search: {width: 20%, trials: 4, each: 8s}\n", "")
    block = text[text.index("  n_minus_one:") : text.index("  artefact:")]
    plan = loaded(project, text.replace(block, ""))
    assert [step.kind for step in plan.steps] == [StepKind.TRIAL]
    assert any("with N only" in warning for warning in plan.warnings)


def test_the_peak_of_a_forecast_file_is_its_highest_rate_rounded_up(project):
    (project / "loadprofiles" / "november.csv").write_text(FORECAST)
    text = PLAN.replace("{peak: 25/s, source: launch plan of May}", "{file: loadprofiles/november.csv}")
    forecast = loaded(project, text).capacity.forecast
    assert forecast.peak_per_1000s == 40_017
    assert "row 3 (2026-11-20T11:00:00Z)" in forecast.source
    assert len(forecast.file_sha256) == 64


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("capacity:\n  load", "notes: x\ncapacity:\n  loads", "11: unknown key 'loads'"),
        ("kind: capacity", "kind: dr", "this block belongs to `kind: capacity`"),
        ("  load: orders\n", "  load: order\n", "10: 'order': no such load; there are orders"),
        ("rate: 10/s", "users: 5", "needs one `rate`"),
        ("rate: 10/s", "rate: 31/s", "above the 30/s that is to be tested"),
        (", source: launch plan of May", "", "a forecast needs its `source`"),
        ("{peak: 25/s, ", "{peak: 25/s, file: x.csv, ", "exactly one of `peak` and `file`"),
        ("slos: [errors, latency]\n  d", "slos: [errors, payments]\n  d", "SLO 'payments' samples a probe"),
        ("slos: [errors, latency]\n  d", "slos: [errors, lag]\n  d", "'lag': no such SLO"),
        ("ttl: 2m", "ttl: 40s", "19: the trial with this fault takes up to 88s: its `ttl`"),
        ("headroom: 20%", "headroom: 2000%", "expected 0% to 1000%"),
        ("  warm_up: 3s", "  confidence: 50%", "expected 80% to 99.99%"),
        ("  warm_up: 3s", "  expires: 1h", "a sign-off that is void within a day"),
        ("{digest: v1.2.3}", "{digest: a, http: b}", "exactly one of `digest`, `http` and `argv`"),
        ("duration: 10m", "duration: 3m", "the blast radius allows 3m"),
        ("blast_radius:", "recovery: system\nblast_radius:", "nothing is recovered in a capacity sign-off"),
        ("blast_radius:", "steps: [{hold: 1s}]\nblast_radius:", "are made from `capacity:`"),
        ("width: 20%", "width: 0.1%", "expected 1% to 50%"),
        ("currency: EUR", "currency: euro", "currency"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(project, old, new, says):
    assert says in refused(project, old, new)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("2026-11-20T11:00:00Z,0,5", "row 3: 0 s with 5 requests is out of range"),
        ("2026-11-20T11:00:00Z,60", "row 3 is '2026-11-20T11:00:00Z,60', expected"),
        ("2026-11-20T11:00:00Z,60,many", "row 3 is"),
    ],
)
def test_a_forecast_that_is_none_is_refused_with_its_row(project, row, says):
    (project / "loadprofiles" / "november.csv").write_text(
        FORECAST.replace("2026-11-20T11:00:00Z,60,2401", row)
    )
    said = refused(project, "{peak: 25/s, source: launch plan of May}", "{file: loadprofiles/november.csv}")
    assert says in said


def test_other_kinds_still_need_steps(project):
    block = PLAN[PLAN.index("capacity:\n") : PLAN.index("probes:")]
    with pytest.raises(PlanError, match="'steps' is missing"):
        loaded(project, PLAN.replace(block, "").replace("kind: capacity", "kind: game-day"))


def test_the_plan_in_words_says_what_go_would_mean(project):
    said = "\n".join(plan_words(loaded(project)))
    assert "forecast peak 25/s (launch plan of May), with 20 % headroom: 30/s of load orders" in said
    assert "GO would mean: this artefact, in lab, holds 30/s with N and with N-1" in said
    assert "valid for 90 days" in said
