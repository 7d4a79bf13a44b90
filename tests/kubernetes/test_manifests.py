"""What 1.20 does not know (CronJob in batch/v1, policy/v1) against the published OpenAPI, offline and strictly."""

from __future__ import annotations

import json

import pytest
import yaml
from jsonschema import ValidationError

from gameday.plan.load import load_plan
from gameday.plan.rbac import manifests
from tests.drills import ROOT
from tests.kubernetes.schemas import VERSIONS, check, is_there

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not is_there(), reason="Kubernetes' OpenAPI is not here: python -m tests.kubernetes.schemas"
    ),
]
FOLDER = ROOT / "docs" / "kubernetes"


def objects():
    for path in sorted(FOLDER.rglob("*.yaml")):
        for item in yaml.safe_load_all(path.read_text()):
            if item["kind"] != "Kustomization":
                yield item


def named(items):
    return [f"{item['kind']}-{item['metadata']['name']}" for item in items]


@pytest.mark.parametrize("item", list(objects()), ids=named(objects()))
def test_every_manifest_is_what_the_published_api_says(item):
    for version in VERSIONS:
        check(item, version)
    if item["kind"] in ("Job", "CronJob"):  # The check can fail.
        item["spec"]["backoffLimits"] = 0
        with pytest.raises(ValidationError, match="backoffLimits"):
            check(item, VERSIONS[-1])


def test_the_roles_of_a_plan_are_too():
    plan = load_plan(ROOT / "experiments" / "kubernetes-region.yaml")
    for item in manifests(plan):
        check(item, VERSIONS[-1])


def test_the_eviction_that_a_drain_sends_is_too():
    meta = {"name": "web-1", "namespace": "shop"}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
    check(eviction, VERSIONS[-1])


def test_the_cronjobs_job_is_the_job():
    """Two files, one pod: only where its runs go differs."""
    drill = next(yaml.safe_load_all((FOLDER / "drill.yaml").read_text()))["spec"]
    nightly = yaml.safe_load((FOLDER / "nightly" / "cronjob.yaml").read_text())["spec"]["jobTemplate"]["spec"]
    for spec in (drill, nightly):
        container = spec["template"]["spec"]["containers"][0]
        assert "--run-dir" in " ".join(container.pop("command"))
    assert json.dumps(nightly, sort_keys=True) == json.dumps(drill, sort_keys=True)


def test_what_is_to_be_listed_is():
    for folder in (FOLDER, FOLDER / "nightly"):
        listed = set(yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"])
        assert listed == {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
