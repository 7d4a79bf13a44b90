"""Drills on real nodes, with pods that answer HTTP under Locust and a watcher that shares no code with gameday."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.truth import Watched, meets
from tests.drills import ROOT, Run
from tests.kubernetes.nodes.conftest import get

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
HERE = Path(__file__).parent
NODE = "tests.kubernetes.nodes.node"
ONE = {"max": "1", "duration": "10m"}  # A selector's pods are one target.


def project(folder, url, steps, rto="40s", load="50/s", **more):
    plan = {
        "title": "Nodes",
        "hypothesis": "Visitors are served again within the objective, by the cluster's own controllers.",
        "kind": "dr",
        "service": "shop",
        "author": "r.ito",
        "owner": "sre",
        "target": {"environment": "lab", "identity": {"http": f"{url}/identity"}},
        "objectives": [
            {"service": "shop", "measured_by": "health", "rto": rto, "mtpd": "15m", "minimum_capacity": "80%"}
        ],
        "recovery": "system",
        "load": [{"profile": "loadprofiles/profile.py", "rate": load, "host": url, "max_users": 200}],
        "probes": {"health": {"http": {"url": f"{url}/health"}, "every": "100ms", "timeout": "400ms"}},
        "slos": {"availability": {"probe": "health", "objective": "95%", "window": "5s"}},
        "steady_state": {"slos": ["availability"], "baseline": "5s", "stabilise": "5s"},
        "stop_conditions": [
            {"slo": "availability", "bad": "above 97%", "for": "60s", "then": "halt"},
            {"silence": "5s", "then": "halt"},
        ],
        "blast_radius": {"max": "1 of 2", "duration": "10m"},
        "steps": steps,
        **more,
    }
    (folder / "experiments").mkdir(parents=True)
    (folder / "loadprofiles").mkdir()
    shutil.copy(HERE / "profile.py", folder / "loadprofiles")
    shutil.copy(ROOT / "policy.yaml", folder)
    (folder / "experiments" / "nodes.yaml").write_text(json.dumps(plan))
    return folder


def watched(folder, url):
    """Run the drill beside the watcher; return its exit code, words, findings, and what was seen."""
    path = folder / "watched.txt"
    host = url.removeprefix("http://")
    watcher = subprocess.Popen(
        [sys.executable, str(HERE / "watcher.py"), host, "80", str(path)], stdin=subprocess.PIPE
    )
    run = Run(folder, "nodes")
    try:
        code, out = run.end(240)
    finally:
        watcher.communicate()
    assert (run.folder / "findings.json").exists(), out
    return code, out, json.loads((run.folder / "findings.json").read_text()), Watched(path), run


def test_a_node_dies_and_its_pods_come_up_elsewhere(site, space, tmp_path):
    """The node is lost with its pods; nothing of the drill brings it back before the service has recovered."""
    given = {"folder": str(site.folder), "name": "node2"}
    fault = {
        "fault": "node2 is lost",
        "do": {"action": f"{NODE}.die", "with": given},
        "undo": {"action": f"{NODE}.start", "with": given},
        "in_place": {"action": f"{NODE}.is_dead", "with": given},
        "target": "node:node2",
        "ttl": "3m",
        "timeout": "30s",
        "undo_timeout": "60s",
    }
    folder = project(tmp_path / "p", site.url, [fault, {"hold": "45s"}])
    code, out, found, seen, run = watched(folder, site.url)
    assert code == 0, out + run.explain()
    print(f"node death: {agree(found, seen, slack_s=HALF_LOST_S)}")
    assert found["rta_s"]["min"] > 1  # Half of what visitors ask for is lost until the node is given up.
    site.plane.until(lambda: site.plane.ready_nodes() == 2, "node2 did not come back")
    assert get(f"{site.url}/health") == "well\n"


def fault(action, timeout="60s", **given):
    return {"fault": action, "do": {"action": f"gameday.actions.{action}", "with": given}, "ttl": "3m",
            "timeout": timeout, "undo_timeout": "60s"}  # fmt: skip


STABILISE_NS = 5_000_000_000  # As in the plan: a relapse within it voids the recovery.


def outage_s(seen):
    """From the first bad answer to the last that no 5 s without one came before: at least, at most."""
    bad = [n for n, row in enumerate(seen.rows) if not row[3]]
    last = bad[0]
    for n in bad:
        if seen.rows[n][1] - seen.rows[last][2] > STABILISE_NS:
            break
        last = n
    first, before, after = seen.rows[bad[0]], seen.rows[bad[0] - 1], seen.rows[last + 1]
    return max(seen.rows[last][1] - first[2], 0) / 1e9, (after[2] - before[1]) / 1e9


# Of a service that loses every other request a probe misses the last loss by n samples once in 2**n times.
HALF_LOST_S = 14 * 0.1


def agree(found, seen, *, slack_s=0.0):
    """Hold what was reported against what the watcher saw; return both as text."""
    reported = (found["rta_s"]["min"], found["rta_s"]["max"])
    if seen.first is None:
        assert reported[0] == 0, reported
        return f"reported {reported}, the watcher saw no outage"
    theirs = outage_s(seen)
    assert meets((reported[0] - slack_s, reported[1] + slack_s), theirs), (reported, theirs)
    return f"reported {reported}, watcher {theirs}"


def test_pods_are_lost_and_the_service_goes_on(site, space, tmp_path):
    """Two of four pods, without grace: their controller brings two others, the Service leaves the dead out."""
    lost = fault("kubernetes.terminate", **space, selector="app=shop", count=2, seed=1, grace_s=0)
    folder = project(tmp_path / "p", site.url, [lost, {"hold": "15s"}], blast_radius=ONE)
    code, out, found, seen, run = watched(folder, site.url)
    assert code == 0, out + run.explain()
    print(f"pod loss: {agree(found, seen)}")


def test_a_node_is_drained_while_visitors_are_served(site, space, tmp_path):
    cluster = {key: space[key] for key in ("kubeconfig", "context")}
    drained = fault("kubenodes.drain", "90s", **cluster, node="node2", timeout_s=80)
    folder = project(tmp_path / "p", site.url, [drained, {"hold": "10s"}])
    code, out, found, seen, run = watched(folder, site.url)
    assert code == 0, out + run.explain()
    print(f"node drain: {agree(found, seen)}")
    assert not site.plane.get("/api/v1/nodes/node2")["spec"].get("unschedulable")


BREAK = {
    "container": "main",
    "command": ["mv", "/www/health", "/www/gone"],
    "undo_command": ["mv", "/www/gone", "/www/health"],
    "check": ["test", "-e", "/www/gone"],
}


def ready(site, space):
    pods = site.plane.get(f"/api/v1/namespaces/{space['namespace']}/pods")["items"]
    conditions = [c for pod in pods for c in pod["status"].get("conditions", ()) if c["type"] == "Ready"]
    return sum(c["status"] == "True" for c in conditions)


def test_a_command_in_real_containers_is_undone_after_kill_9(site, space, tmp_path):
    """The page that readiness asks for is moved away in two pods; the kubelet finds them not ready."""
    broken = fault("kubeexec.execute", **space, selector="app=shop", count=2, seed=4, **BREAK)
    folder = project(tmp_path / "p", site.url, [broken, {"hold": "90s"}], blast_radius=ONE)
    run = Run(folder, "nodes")
    run.wait_for(lambda kind, data: kind == "StepEnded" and data.get("in_place") is True, 200)
    site.plane.until(lambda: ready(site, space) == 2, "the pods are ready all the same")
    run.kill()
    run.wait_rescued(120)
    run.process.communicate()
    site.plane.until(lambda: ready(site, space) == 4, "the pods did not become ready again")
    pods = site.plane.get(f"/api/v1/namespaces/{space['namespace']}/pods")["items"]
    assert "gameday" not in str([pod["metadata"].get("annotations") for pod in pods])


def test_what_a_kubelet_says_of_a_command_is_one_clear_line(space):
    from gameday.actions import kubeexec
    from gameday.actions.http import ActionError

    given = {**space, "selector": "app=shop", "container": "main"}
    for command, said in ((["sh", "-c", "exit 3"], "exit code 3"), (["no-such"], "not found")):
        with pytest.raises(ActionError, match=said) as caught:
            kubeexec.execute(**given, command=command, seed=len(command[0]), name=command[0])
        assert "\n" not in str(caught.value)
        kubeexec.take_back(**given, name=command[0])
    assert kubeexec.execute(**given, command=["hostname"], seed=1)["stdout"][0].startswith("shop-")
