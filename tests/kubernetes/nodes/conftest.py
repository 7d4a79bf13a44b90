"""Two real nodes for the session, and in each test's namespace a shop of four pods that answer HTTP."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.kubernetes.controlplane import BINARIES, CONTEXT, ControlPlane, why_not
from tests.kubernetes.nodes.image import make
from tests.kubernetes.nodes.node import Node

ADDRESS = "10.88.0.1"
NODES = ("node1", "node2")
IMAGE = "gameday.local/shop:1"
APPLETS = tuple("sh httpd sleep cat echo mv hostname nc wget kill ls env touch rm test true false".split())
SERVE = 'echo well > /www/health; echo "$IDENTITY" > /www/identity; exec httpd -f -p 8080 -h /www'
IDENTITY = {"environment": "lab", "id": "shop-on-nodes", "nodes": list(NODES)}
_NUMBER = itertools.count(1)


class Site:
    """A control plane and its nodes, in this network namespace."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plane = ControlPlane(folder / "plane", ADDRESS, NODES)
        self.nodes: dict[str, Node] = {}

    def up(self) -> None:
        for words in (
            "link add gd0 type veth peer name gd1", "link set gd1 up", *(f"addr add 10.88.0.{n + 1}/24 dev gd0" for n in range(len(NODES))),
            "link set gd0 up", "route add default dev gd0",
        ):  # fmt: skip
            subprocess.run(["ip", *words.split()], check=True)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        self.plane.up()
        busybox = Path(shutil.which("busybox") or "/bin/busybox")
        files, links = {"/bin/busybox": busybox}, {f"/bin/{name}": "busybox" for name in APPLETS}
        images = [
            make(
                self.folder / "pause.tar", "gameday.local/pause:1", ["/bin/sleep", "99999999"], files, links
            ),
            make(self.folder / "shop.tar", IMAGE, ["/bin/sh", "-c", SERVE], files, links),
        ]
        for number, name in enumerate(NODES):
            node = Node.make(self.folder, name, number + 1, self.plane.config(name), BINARIES)
            self.nodes[name] = node
            node.start()
            for image in images:
                node.import_image(image)
        self.plane.start(
            "proxy", str(self.plane.binary("kube-proxy")), f"--kubeconfig={self.plane.config('proxy')}",
            f"--hostname-override={NODES[0]}", "--proxy-mode=iptables", f"--bind-address={ADDRESS}",
            "--cluster-cidr=10.200.0.0/16", "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
            "--iptables-min-sync-period=100ms",
        )  # fmt: skip
        self.plane.until(lambda: self.plane.ready_nodes() == len(NODES), "no nodes are ready")

    def down(self) -> None:
        for node in self.nodes.values():
            node.die()
        self.plane.down()
        for node in self.nodes.values():
            node.remove_cgroups()


def get(url: str, timeout_s: float = 1.0) -> str:
    """Return what a pod answers; empty when it does not."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            return answer.read().decode()
    except OSError:
        return ""


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Real nodes; absent by name where this is not the place that nodes.sh makes."""
    missing = (
        "real nodes: make test-kubernetes-nodes" if os.environ.get("GAMEDAY_NODES") != "1" else why_not()
    )
    if missing:
        pytest.skip(missing)
    found = Site(tmp_path_factory.mktemp("site"))
    try:
        found.up()
        yield found
    finally:
        found.down()


def shop(replicas: int) -> list[dict]:
    """A deployment spread over the nodes, which leaves a lost node after 3 s, and its Service."""
    labels = {"app": "shop"}
    gone = [
        {
            "key": f"node.kubernetes.io/{why}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 3,
        }
        for why in ("not-ready", "unreachable")
    ]
    container = {
        "name": "main",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "env": [{"name": "IDENTITY", "value": json.dumps(IDENTITY)}],
        "readinessProbe": {
            "httpGet": {"path": "/health", "port": 8080},
            "periodSeconds": 1,
            "failureThreshold": 1,
        },
    }
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
              "labelSelector": {"matchLabels": labels}}  # fmt: skip
    pod = {
        "containers": [container],
        "terminationGracePeriodSeconds": 2,
        "tolerations": gone,
        "topologySpreadConstraints": [spread],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }
    ports = [{"port": 80, "targetPort": 8080}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "shop"},
        "spec": {"selector": labels, "ports": ports},
    }
    return [deployment, service]


@pytest.fixture
def space(site):
    """A namespace with a shop whose Service answers; the arguments that reach it."""
    name = f"shop-{next(_NUMBER)}"
    plane = site.plane
    plane.kubectl("create", "namespace", name)
    for item in shop(4):
        plane.kubectl("-n", name, "apply", "-f", "-", given=json.dumps(item))
    plane.kubectl("-n", name, "rollout", "status", "deployment/shop", "--timeout=50s")
    site.url = f"http://{plane.get(f'/api/v1/namespaces/{name}/services/shop')['spec']['clusterIP']}"
    give_up = time.monotonic() + 20
    while get(f"{site.url}/health") != "well\n":
        assert time.monotonic() < give_up, "the Service does not answer"
        time.sleep(0.1)
    yield {"kubeconfig": str(plane.kubeconfig), "context": CONTEXT, "namespace": name}
    plane.kubectl("delete", "namespace", name, "--wait=false")
