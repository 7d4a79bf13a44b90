"""What a plan touches counts, whatever kind of step says it and however its target is spelt."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml

from gameday.errors import NotAuthorised, PlanError
from gameday.plan.load import load_plan
from gameday.plan.permit import judge
from gameday.plan.policy import Rule, Waiver
from gameday.plan.policyfile import load_policy
from gameday.plan.radius import faults, most_at_once, reach_of
from gameday.runner.arming import freeze
from tests.drills import make_project

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
KILL = {"action": "gameday.actions.postgres.kill", "with": {"node": "a"}}
START = {"action": "gameday.actions.postgres.start", "with": {"node": "a"}}


@pytest.fixture
def plan_of(tmp_path):
    """Return a function that makes a plan of the given steps."""
    project = make_project(tmp_path)
    text = (project / "experiments" / "latency.yaml").read_text()

    def made(*steps, **more):
        given = yaml.safe_load(text) | {"steps": list(steps)} | more
        path = project / "experiments" / "it.yaml"
        path.write_text(json.dumps(given))
        return load_plan(path)

    return made


@pytest.fixture
def refused(tmp_path):
    """Return a function that gives what a policy's rules for the lab say against a plan."""

    def found(rules, plan):
        path = tmp_path / "ops.yaml"
        path.write_text(f"environments: {{lab: {{modules: ['*'], {rules}}}}}\n")
        return {item.rule: item.reason for item in judge(load_policy(path), plan, NOW).refusals}

    return found


def mistakes(plan_of, *steps):
    with pytest.raises(PlanError) as caught:
        plan_of(*steps)
    return str(caught.value)


def test_a_fault_written_as_another_step_needs_an_undo_and_its_own_target(plan_of):
    assert "this action is a fault" in mistakes(plan_of, {"failover": "lose it", "do": KILL})
    for kind in ("failover", "change"):
        step = {kind: "lose it", "do": KILL, "undo": START, "target": "node:harmless"}
        assert "this action touches 'node:a'" in mistakes(plan_of, step)
    assert "itself a fault" in mistakes(
        plan_of, {"change": "x", "do": START, "undo": KILL, "target": "node:a"}
    )


@pytest.mark.parametrize("kind", ["failover", "change"])
def test_a_fault_written_as_another_step_meets_every_rule_of_a_fault(plan_of, refused, kind):
    plan = plan_of({kind: "lose it", "do": KILL, "undo": START})
    (step,) = plan.steps
    assert faults(plan) == (step,) and step.target == "node:a" and step.owes_undo and step.in_place
    rules = "ttl: 2m, protect: ['node:a'], native_ttl: true"
    assert set(refused(rules, plan)) == {Rule.TTL, Rule.PROTECT, Rule.NATIVE_TTL}
    assert "not among node:b" in refused("only: ['node:b']", plan)[Rule.ONLY]
    other = {"fault": "lose b", "do": {**KILL, "with": {"node": "b"}}, "ttl": "1m"}
    both = plan_of(plan_step(kind), other, blast_radius={"max": "2", "duration": "1m"})
    assert set(refused("targets: '1', at_once: 1", both)) == {Rule.TARGETS, Rule.AT_ONCE}


def plan_step(kind):
    return {kind: "lose it", "do": KILL, "undo": START}


def test_only_holds_for_every_step_that_says_what_it_touches(plan_of, refused):
    step = {"change": "x", "do": {"action": "lib.flip"}, "undo": {"action": "lib.flop"}, "target": "flag:x"}
    assert "flag:x is not among node:*" in refused("only: ['node:*']", plan_of(step))[Rule.ONLY]
    assert not faults(plan_of(step))


@pytest.mark.parametrize("kind", ["failover", "change"])
def test_an_action_that_nobody_knows_meets_the_ttl_and_the_caps_of_the_policy(plan_of, refused, kind):
    def step(node, **more):
        return {kind: f"flip {node}", "do": {"action": "lib.flip"}, "target": f"node:{node}", **more}

    undo = {"undo": {"action": "lib.flop"}}
    plan = plan_of(step("a", **undo), step("b", **undo), blast_radius={"max": "9", "duration": "1m"})
    assert not faults(plan)
    found = refused("ttl: 2m, targets: '1', at_once: 1", plan)
    assert set(found) == {Rule.TTL, Rule.TARGETS, Rule.AT_ONCE}
    assert "its action is not gameday's own: write it as a fault" in found[Rule.TTL]
    assert "touch 2 nodes" in found[Rule.TARGETS]
    undo["in_place"] = {"action": "lib.is_flipped"}
    fault = {"fault": "flip", "do": {"action": "lib.flip"}, "target": "node:a", "ttl": "1m", **undo}
    assert not refused("ttl: 2m, targets: '1', at_once: 1", plan_of(fault))


def test_steps_that_recover_are_there_to_stay(plan_of, refused):
    undo = {"undo": {"action": "lib.rejoin"}, "supersedes": ["node:a"]}
    lost = {"fault": "lose a", "do": KILL, "ttl": "1m"}
    promote = {"failover": "promote b", "do": {"action": "lib.promote"}, "target": "node:a", **undo}
    assert not refused("ttl: 2m", plan_of(lost, promote))


def test_the_freeze_counts_what_nobody_knows_by_the_policys_caps(plan_of, tmp_path):
    change = {
        "change": "x", "do": {"action": "lib.flip"}, "undo": {"action": "lib.flop"}, "target": "proxy:users"
    }  # fmt: skip
    path = tmp_path / "ops.yaml"
    for rule, said in (("targets: 1 of 2", "touch 2 of 2 targets"), ("at_once: 1", "the policy allows 1")):
        path.write_text(f"environments: {{lab: {{{rule}}}}}\n")
        with pytest.raises(NotAuthorised, match=said):
            freeze(plan_of(change, network("cut", proxy="replication-a")), TWO_NODES, load_policy(path), NOW)


def test_the_text_arguments_of_a_program_are_read_without_a_crash(plan_of):
    run = {"provider": {"type": "process", "path": "true", "arguments": "--fast now"}}
    assert plan_of({"failover": "run it", "do": run}).steps[0].target == ""


def network(func, **arguments):
    do = {"action": f"gameday.actions.network.{func}", "with": arguments}
    return {"fault": func, "do": do, "ttl": "30s"}


TWO_NODES = {"proxy:replication-a": {"node": "a"}, "proxy:users": {"node": "b"}, "node:a": {}, "node:b": {}}


def test_a_partition_of_two_proxies_has_two_targets(plan_of, refused):
    plan = plan_of(network("partition", proxies=["replication-a", "users"]))
    reach = reach_of(plan, TWO_NODES)
    assert reach.targets == ("proxy:replication-a", "proxy:users")
    assert reach.units == most_at_once(plan, TWO_NODES) == ("node:a", "node:b")
    assert "proxy:users is protected" in refused("protect: ['proxy:users']", plan)[Rule.PROTECT]
    assert "proxy:users is not among" in refused("only: ['proxy:replication-*']", plan)[Rule.ONLY]


def test_a_server_named_by_a_variable_is_not_the_node(plan_of, refused):
    lock = "gameday.actions.postgres.lock_table"

    def step(**arguments):
        return {"fault": "lock", "do": {"action": lock, "with": {"table": "t", **arguments}}, "ttl": "30s"}

    plan = plan_of(step(dsn_env="PROD"))
    assert plan.steps[0].target == "server:PROD"
    assert "server:PROD is not among node:*" in refused("only: ['node:*']", plan)[Rule.ONLY]
    assert "name two servers" in mistakes(plan_of, step(dsn_env="PROD", node="b"))


def test_a_proxy_elsewhere_is_named_by_its_url_and_protected_by_its_name(plan_of, refused):
    plan = plan_of(network("cut", proxy="users", api="http://127.0.0.1:8474/"))
    assert plan.steps[0].target == "proxy:http://127.0.0.1:8474/users"
    assert Rule.PROTECT in refused("protect: ['proxy:users']", plan)
    assert Rule.ONLY in refused("only: ['proxy:users']", plan)
    assert plan_of(network("cut", proxy="users", api="${lab.toxiproxy}")).steps[0].target == "proxy:users"


def test_the_freeze_holds_every_step_to_what_the_policy_protects(plan_of, tmp_path):
    change = {
        "change": "x", "do": {"action": "lib.flip"}, "undo": {"action": "lib.flop"}, "target": "proxy:users"
    }  # fmt: skip
    path = tmp_path / "ops.yaml"
    path.write_text("environments: {lab: {protect: ['node:b']}}\n")
    policy, plan = load_policy(path), plan_of(change, network("cut", proxy="replication-a"))
    with pytest.raises(NotAuthorised, match="step 'x': proxy:users is protected by the policy"):
        freeze(plan, TWO_NODES, policy, NOW)
    waiver = Waiver(Rule.PROTECT, "", "", "moved", "a.chen", "2026-11-24")
    assert freeze(plan, TWO_NODES, replace(policy, waivers=(waiver,)), NOW).units == ("node:a",)
