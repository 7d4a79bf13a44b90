"""Real sign-offs of a real queueing server whose limit is known: the interval must contain it."""

from __future__ import annotations

import heapq
import json
import random
import subprocess
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.answers import JsonAnswers

ROOT = Path(__file__).resolve().parents[2]
SHARE = 0.05
PROFILE = """
from locust import FastHttpUser, task

class Visitor(FastHttpUser):
    @task
    def visit(self):
        self.client.get("/")
"""
PLAN = """\
title: The limit of a queue
kind: capacity
service: queue
target: {{environment: lab, identity: {{http: "http://127.0.0.1:{identity}/identity"}}}}
load:
  - {{profile: loadprofiles/visit.py, rate: 5/s, host: "http://127.0.0.1:{port}", max_users: 400}}
capacity:
  load: visit
  forecast: {{peak: {peak}/s, source: a test}}
  headroom: 20%
  slos: [latency]
  duration: 20s
  at_most: 60s
  warm_up: 4s
  artefact: {{http: "http://127.0.0.1:{identity}/identity", key: version}}
  price: {{per_hour: 1.5, currency: EUR}}
  search: {{width: 10%, trials: 10, each: 30s, at_most: 90s}}
probes:
  control: {{http: {{url: "http://127.0.0.1:{identity}/identity"}}, every: 500ms, timeout: 400ms}}
slos:
  control: {{probe: control, objective: 80%, window: 5s}}
  latency: {{load: p95, below: {below_ms}ms, objective: 95%, window: 5s}}
steady_state: {{slos: [control], baseline: 3s, stabilise: 3s}}
stop_conditions:
  - {{probe: control, bad: 20 in a row, then: halt}}
blast_radius: {{max: 1 of 1, duration: 40m}}
"""


class Identity(JsonAnswers):
    def do_GET(self):
        said = {
            "environment": "lab",
            "name": f"queue-{self.server.server_port}",
            "nodes": ["one"],
            "version": "sha256:" + "1" * 64,
        }
        self.reply(200, said)


def slower_share(c, mean_s, rate, limit_s, count=400_000):
    """The share of requests slower than a limit, with c servers and arrivals at a constant rate, played out."""
    rng, free, slow = random.Random(7), [0.0] * c, 0
    for n in range(count):
        at = n / rate
        end = max(at, free[0]) + rng.expovariate(1 / mean_s)
        heapq.heapreplace(free, end)
        slow += end - at > limit_s
    return slow / count


def true_limit(c, mean_s, limit_s):
    low, high = 0.0, c / mean_s
    for _ in range(11):
        middle = (low + high) / 2
        low, high = (middle, high) if slower_share(c, mean_s, middle, limit_s) < SHARE else (low, middle)
    return (low + high) / 2


@pytest.fixture
def identity():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Identity)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.timeout(2700)
@pytest.mark.parametrize(
    ("c", "mean_s", "below_ms", "part"), [(8, 0.025, 120, 0.7), (12, 0.04, 160, 0.8)], ids=["M8", "M12"]
)
def test_a_real_search_contains_the_true_limit(tmp_path, identity, c, mean_s, below_ms, part):
    limit = true_limit(c, mean_s, below_ms / 1000)
    queue = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/bench/queue_server.py"), str(c), str(mean_s), "3"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        port = int(queue.stdout.readline())
        for folder in ("experiments", "loadprofiles"):
            (tmp_path / folder).mkdir()
        (tmp_path / "loadprofiles" / "visit.py").write_text(PROFILE)
        peak = round(limit * part / 1.2)
        text = PLAN.format(port=port, identity=identity, peak=peak, below_ms=below_ms)
        (tmp_path / "experiments" / "queue.yaml").write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "gameday", "run", "experiments/queue.yaml", "--plain", "--run-dir", "it"],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=2400,
        )
    finally:
        queue.stdin.close()
        queue.wait()
    print(f"true limit {limit:.1f}/s\n{done.stdout}{done.stderr}")
    findings = json.loads((tmp_path / "it" / "findings.json").read_text())
    by_name = {finding["name"]: finding for finding in findings["findings"]}
    assert by_name["capacity queue"]["observed"] == "GO"
    numbers = by_name["capacity limit"]["numbers"]
    assert numbers["proven_per_1000s"] <= limit * 1000 <= numbers["refuted_per_1000s"]
    assert by_name["capacity limit"]["verdict"] == "pass"
    assert numbers["width_ppm"] <= 100_000
    assert numbers["trials"] <= 11
    assert done.returncode == 0
