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
    mine, theirs = (found["rta_s"]["min"], found["rta_s"]["max"]), seen.downtime_s()
    print(f"node death: reported {mine}, watcher {theirs}\n{out}")
    assert code == 0, out + run.explain()
    assert meets(mine, theirs), (mine, theirs)
    site.plane.until(lambda: site.plane.ready_nodes() == 2, "node2 did not come back")
    assert get(f"{site.url}/health") == "well\n"
