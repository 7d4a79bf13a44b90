"""One control plane for the session, and a deployment of three pods in a namespace of each test's own."""

from __future__ import annotations

import itertools
import json
import os
import time

import pytest

from tests.kubernetes.controlplane import CONTEXT, ControlPlane, why_not

_NUMBER = itertools.count(1)


def workload(name: str, replicas: int, **labels: str) -> dict:
    labels = labels or {"app": name}
    pod = {"containers": [{"name": "main", "image": "shop:1"}], "terminationGracePeriodSeconds": 2}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


@pytest.fixture(scope="session")
def plane(tmp_path_factory):
    """A control plane with three nodes; where it is not built skipped by name, in its own lane a failure."""
    missing = why_not()
    assert not (missing and os.environ.get("GAMEDAY_KUBERNETES_LANE") == "must"), missing
    if missing:
        pytest.skip(missing)
    found = ControlPlane(tmp_path_factory.mktemp("kubernetes"))
    try:
        found.up()
        found.start_kubelet(3)
        yield found
    finally:
        found.down()


@pytest.fixture
def space(plane):
    """A namespace with a deployment `web` of three pods; the arguments that reach it."""
    name = f"shop-{next(_NUMBER)}"
    plane.kubectl("create", "namespace", name)
    plane.kubectl("-n", name, "apply", "-f", "-", given=json.dumps(workload("web", 3)))
    plane.kubectl("-n", name, "rollout", "status", "deployment/web", "--timeout=40s")
    yield {"kubeconfig": str(plane.kubeconfig), "context": CONTEXT, "namespace": name}
    bare = ("delete", "pod", "alone", "--ignore-not-found", "--force", "--grace-period=0")
    plane.kubectl("-n", name, *bare)  # A namespace takes its time, and nodes are everybody's.
    plane.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def cluster(plane):
    """The arguments of what stands in no namespace."""
    return {"kubeconfig": str(plane.kubeconfig), "context": CONTEXT}


@pytest.fixture(autouse=True)
def own_records(tmp_path, monkeypatch):
    """Fault records of these tests stay out of the user's."""
    folder = tmp_path / "faults"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("GAMEDAY_FAULT_DIR", str(folder))


@pytest.fixture(scope="session")
def mesh_kinds(plane):
    """Chaos Mesh's kind, without its controller: objects are kept, nothing acts on them."""
    names = {
        "plural": "networkchaos",
        "singular": "networkchaos",
        "kind": "NetworkChaos",
        "listKind": "NetworkChaosList",
    }
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "networkchaos.chaos-mesh.org"},
        "spec": {
            "group": "chaos-mesh.org",
            "names": names,
            "scope": "Namespaced",
            "versions": [{"name": "v1alpha1", "served": True, "storage": True, "schema": schema}],
        },
    }
    plane.kubectl("apply", "-f", "-", given=json.dumps(body))
    plane.kubectl("wait", "--for=condition=established", "crd/networkchaos.chaos-mesh.org", "--timeout=20s")
    give_up = time.monotonic() + 20
    while plane.get("/apis/chaos-mesh.org/v1alpha1/networkchaos") is None:
        assert time.monotonic() < give_up
        time.sleep(0.1)
