"""Whole drills on a real API server: undone at the end, after kill -9, and never blocked by a frozen server."""

from __future__ import annotations

import http.server
import json
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from gameday.history.events import StepEnded, UndoEnded
from gameday.plan.inverse import ACTIONS
from gameday.plan.kubesystems import KUBE_INVERSES
from tests.drills import ROOT, Run
from tests.kubernetes.test_faults import BREAK, MESH, TO_WEB, node, web

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HOLD = "45s"


@pytest.fixture(scope="module")
def identity():
    """What the cluster says of itself: a lab, with these nodes."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = {"environment": "lab", "id": "real-kubernetes", "nodes": ["node-1", "node-2", "node-3"]}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


GROUPS = {
    "workloads": ("kubernetes.terminate", "kubernetes.roll", "kubernetes.scale"),
    "nodes": ("kubenodes.cordon", "kubenodes.drain", "kubeexec.execute"),
    "network": ("kubenet.deny_ingress", "kubenet.deny_egress", "kubenet.mesh"),
    "release": ("kubernetes.roll a bad image",),
}
every_group = pytest.mark.parametrize("group", GROUPS)  # Three at a time: each fault arms hosts of its own.


def faults(space, *names):
    """Faults, every one of them has an undo of gameday's own, on things that do not meet."""
    cluster = {key: space[key] for key in ("kubeconfig", "context")}
    given = {
        "kubernetes.terminate": {**space, "selector": "app=web", "count": 2, "seed": 5, "grace_s": 0},
        "kubernetes.roll": {**space, "deployment": "rolled"},
        "kubernetes.roll a bad image": {
            **space,
            "deployment": "rolled",
            "container": "main",
            "image": "shop:broken",
        },
        "kubernetes.scale": {**space, "deployment": "scaled", "replicas": 1},
        "kubenodes.cordon": {**cluster, "node": "node-1"},
        "kubenodes.drain": {**cluster, "node": "node-2", "timeout_s": 40},
        "kubeexec.execute": {**space, "selector": "app=scaled", **BREAK},
        "kubenet.deny_ingress": {**space, "selector": "app=web"},
        "kubenet.deny_egress": {**space, "selector": "app=web"},
        "kubenet.mesh": {**space, "kind": "NetworkChaos", "spec": MESH | TO_WEB},
    }
    return [
        {
            "fault": name,
            "do": {"action": f"gameday.actions.{name.split()[0]}", "with": arguments},
            "ttl": "4m",
            "timeout": "60s",
            "undo_timeout": "60s",
        }
        for name, arguments in given.items()
        if name in names
    ]


def project(folder, url, steps, **more):
    """A project with one plan. YAML is JSON, and the other way round."""
    plan = {
        "title": "kubernetes",
        "kind": "game-day",
        "service": "shop",
        "target": {"environment": "lab", "identity": {"http": f"{url}/identity"}},
        "probes": {"well": {"http": {"url": f"{url}/health"}, "every": "250ms", "timeout": "2s"}},
        "steady_state": {"slos": [], "baseline": "100ms", "stabilise": "100ms"},
        "stop_conditions": [{"probe": "well", "bad": "9 in a row", "then": "halt"}],
        "blast_radius": {"max": "20", "duration": "10m"},
        "steps": steps,
        **more,
    }
    (folder / "experiments").mkdir(parents=True)
    shutil.copy(ROOT / "policy.yaml", folder)
    (folder / "experiments" / "kube.yaml").write_text(json.dumps(plan))
    return folder


@pytest.fixture
def shop(plane, space, mesh_kinds):
    """The namespace with two more deployments, for faults that do not meet."""
    from tests.kubernetes.conftest import workload

    for name in ("rolled", "scaled"):
        plane.kubectl("-n", space["namespace"], "apply", "-f", "-", given=json.dumps(workload(name, 2)))
    for name in ("rolled", "scaled"):
        plane.kubectl("-n", space["namespace"], "rollout", "status", f"deployment/{name}", "--timeout=60s")
    return space


def left(plane, space):
    """Return every trace that a drill may have left on the server."""
    where = space["namespace"]
    objects = [
        *plane.get(f"/apis/apps/v1/namespaces/{where}/deployments")["items"],
        *plane.get(f"/api/v1/namespaces/{where}/pods")["items"],
        *plane.get("/api/v1/nodes")["items"],
        *plane.get(f"/apis/networking.k8s.io/v1/namespaces/{where}/networkpolicies")["items"],
        *plane.get(f"/apis/chaos-mesh.org/v1alpha1/namespaces/{where}/networkchaos")["items"],
    ]
    marked = [
        o["metadata"]["name"] for o in objects if "gameday" in json.dumps(o["metadata"].get("labels", {}))
    ]
    marked += [
        o["metadata"]["name"]
        for o in objects
        if any("gameday" in k for k in o["metadata"].get("annotations", {}))
    ]
    marked += [f"node-{n} cordoned" for n in (1, 2, 3) if node(plane, f"node-{n}")]
    deployments = {o["metadata"]["name"]: o["spec"] for o in objects if o.get("spec", {}).get("replicas")}
    replicas = {name: spec["replicas"] for name, spec in deployments.items()}
    if replicas != {"web": 3, "rolled": 2, "scaled": 2}:
        marked.append(str(replicas))
    if (deployments["rolled"]["template"]["metadata"].get("annotations") or {}).get(
        "kubectl.kubernetes.io/restartedAt"
    ):
        marked.append("rolled")
    if deployments["rolled"]["template"]["spec"]["containers"][0]["image"] != "shop:1":
        marked.append("rolled to another image")
    return marked


def all_in(run, steps):
    def there():
        return sum(k == "StepEnded" and d.get("in_place") is True for k, d in run.kinds())

    give_up = time.monotonic() + 180
    while there() < len(steps):
        assert run.process.poll() is None, run.end()[1] + run.explain()
        assert time.monotonic() < give_up, run.explain()
        time.sleep(0.05)


def test_the_groups_hold_every_fault_that_the_catalogue_knows():
    faults = {
        name.removeprefix(f"{ACTIONS}.") for name, inverse in KUBE_INVERSES.items() if not inverse.by_steps
    }
    assert {name.split()[0] for group in GROUPS.values() for name in group} == faults


@every_group
def test_every_fault_is_there_during_a_drill_and_gone_after_it(plane, shop, identity, tmp_path, group):
    steps = faults(shop, *GROUPS[group])
    run = Run(project(tmp_path / "p", identity, [*steps, {"hold": "2s"}]), "kube")
    code, out = run.end(240)
    events = [record.event for record in run.trace().records]
    there = [e for e in events if isinstance(e, StepEnded) and e.in_place is True]
    gone = [e for e in events if isinstance(e, UndoEnded) and e.undone]
    assert (len(there), len(gone)) == (len(steps), len(steps)), out + run.explain()
    assert code == 0, out
    assert left(plane, shop) == []


@every_group
def test_every_fault_is_undone_by_the_watchdog_after_kill_9(plane, shop, identity, tmp_path, group):
    steps = faults(shop, *GROUPS[group])
    run = Run(project(tmp_path / "p", identity, [*steps, {"hold": HOLD}]), "kube")
    all_in(run, steps)
    assert len(left(plane, shop)) >= len(steps) - 1  # Pods come back by themselves.
    run.kill()
    run.wait_rescued(90)
    run.process.communicate()
    gone = [r.event for r in run.trace().records if isinstance(r.event, UndoEnded) and r.event.undone]
    assert len(gone) == len(steps), run.explain()
    assert left(plane, shop) == []


@every_group
def test_a_frozen_api_server_never_blocks_a_halt_and_recover_undoes_the_rest(
    plane, shop, identity, tmp_path, group
):
    """Halted with every fault in place while nothing answers: it ends by the undos' deadlines, says each that is
    stuck with the command for it, and exits 5; `recover` takes all of them back when the server answers again."""
    steps = [step | {"undo_timeout": "8s"} for step in faults(shop, *GROUPS[group])]
    folder = project(tmp_path / "p", identity, [*steps, {"hold": HOLD}])
    run = Run(folder, "kube")
    all_in(run, steps)
    plane.freeze()
    try:
        began = time.monotonic()
        run.kill(signal.SIGINT)
        code, out = run.end(120)
        took = time.monotonic() - began
    finally:
        plane.thaw()
    assert code == 5, out
    assert took < 30, out  # Eight seconds, half a second between the starts of three.
    found = json.loads((run.folder / "findings.json").read_text())
    owed = {
        f"{n}-{step['fault'].replace('.', '-').replace('_', '-').replace(' ', '-')}"
        for n, step in enumerate(steps, 1)
    }
    assert set(found["stuck"]) == owed
    by_hand = {
        "workloads": "kubernetes.unscale", "nodes": "kubenodes.uncordon", "network": "kubenet.unmesh",
        "release": "kubernetes.unroll",
    }  # fmt: skip
    assert by_hand[group] in out and f"context={shop['context']}" in out  # with everything it needs
    assert len(left(plane, shop)) >= len(steps) - 1
    done = subprocess.run(
        [sys.executable, "-m", "gameday", "recover", str(run.folder)],
        cwd=folder, capture_output=True, text=True, timeout=150,
    )  # fmt: skip
    assert left(plane, shop) == [], done.stdout + done.stderr


def test_a_server_that_freezes_under_an_action_does_not_hold_the_halt_up(plane, shop, identity, tmp_path):
    """The action itself hangs on the server; the halt kills it at once, and the undo is owed."""
    step = faults(shop, "kubernetes.scale")[0] | {"undo_timeout": "8s"}
    run = Run(project(tmp_path / "p", identity, [{"hold": "2s"}, step]), "kube")
    run.wait_for(lambda kind, data: kind == "StepStarted")
    plane.freeze()
    try:
        run.wait_for(lambda kind, data: kind == "StepStarted" and "scale" in str(data), 30)
        time.sleep(0.5)
        began = time.monotonic()
        run.kill(signal.SIGINT)
        run.wait_for(lambda kind, data: kind in ("Halted", "HaltAsked"), 10)
        assert time.monotonic() - began < 5
        code, out = run.end(60)
    finally:
        plane.thaw()
    assert code == 5, out
    assert time.monotonic() - began < 25
    assert web(plane, shop)["spec"]["replicas"] == 3


def test_no_credential_reaches_the_record(plane, shop, identity, tmp_path):
    step = faults(shop, "kubenet.deny_egress")[0]
    run = Run(project(tmp_path / "p", identity, [step]), "kube")
    code, out = run.end(90)
    assert code == 0, out
    written = b"".join(p.read_bytes() for p in run.folder.rglob("*") if p.is_file())
    assert plane.tokens["admin"].encode() not in written and str(plane.kubeconfig).encode() in written
