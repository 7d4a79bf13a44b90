"""Least privilege from a plan: names where there are names, nothing of actions it does not use."""

from __future__ import annotations

import importlib
import json

import pytest

from gameday.plan.load import load_plan
from gameday.plan.rbac import NEEDS, manifests, needs, unknown
from tests.commands import in_this_process
from tests.drills import ROOT

PLAN = ROOT / "experiments" / "kubernetes-region.yaml"


@pytest.mark.parametrize(
    "module", ["kubeexec", "kubernetes", "kubenodes", "kubenet", "kubesteps", "kubeprobes"]
)
def test_every_action_says_what_it_needs(module):
    functions = importlib.import_module(f"gameday.actions.{module}").__all__
    assert {f"{module}.{name}" for name in functions} == {n for n in NEEDS if n.startswith(f"{module}.")}


def test_the_rules_of_a_plan_name_what_it_touches():
    plan = load_plan(PLAN)
    rules = needs(plan)
    assert set(rules) == {"shop"} and not unknown(plan)
    patched = {
        (rule["resources"][0], *rule.get("resourceNames", ()))
        for rule in rules["shop"]
        if "patch" in rule["verbs"]
    }
    assert patched == {("deployments", "web-a"), ("deployments", "web-b"), ("services", "web")}
    assert not any("*" in str(rule) or "secrets" in str(rule) for rule in rules["shop"])
    kinds = [item["kind"] for item in manifests(plan)]
    assert kinds == ["Role", "RoleBinding"]


def test_the_command_prints_what_kubectl_takes():
    done = in_this_process(ROOT, "plan", str(PLAN), "--rbac", "drills/night")
    shown = json.loads(done.stdout)
    assert (done.returncode, shown["kind"], done.stderr) == (0, "List", "")
    assert shown["items"][1]["subjects"] == [
        {"kind": "ServiceAccount", "name": "night", "namespace": "drills"}
    ]
    wrong = in_this_process(ROOT, "plan", str(PLAN), "--rbac", "night")
    assert wrong.returncode == 2 and "NAMESPACE/ACCOUNT" in wrong.stderr
