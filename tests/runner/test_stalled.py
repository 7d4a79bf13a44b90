"""A target that accepts and never answers: seen within a second, with clients that wait for thirty."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from tests.drills import Run

PROFILE = """
from locust import FastHttpUser, HttpUser, between, task

class Buyer(%s):
    wait_time = between(0.05, 0.15)
    network_timeout = connection_timeout = 30.0

    @task
    def buy(self):
        self.client.get("/orders"%s)
"""
ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 22\r\n\r\n" + b'{"environment": "lab"}'


class Target:
    """Answers at once, until it is told to stall; knows when it gave its last answer."""

    def __init__(self):
        self.stalls = threading.Event()
        self.last_s = 0.0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.kept = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer):
        with suppress(OSError):
            head = peer.recv(65536)
            if self.stalls.is_set() and b" /orders" in head:
                self.kept.append(peer)  # Neither answered nor closed.
                return
            peer.sendall(ANSWER)
            self.last_s = time.monotonic()
            peer.close()


@contextmanager
def target():
    made = Target()
    try:
        yield made
    finally:
        made.listener.close()
        for peer in made.kept:
            peer.close()


def plan(url, load, stop):
    return json.dumps(
        {
            "title": "stalled",
            "kind": "game-day",
            "service": "orders",
            "target": {"environment": "lab", "identity": {"http": f"{url}/identity"}},
            "load": [{"profile": "loadprofiles/buyer.py", "host": url, "timeout": "30s", **load}],
            "probes": {"up": {"http": {"url": f"{url}/up"}, "every": "200ms", "timeout": "400ms"}},
            "slos": {"up": {"probe": "up", "objective": "90%", "window": "1s"}},
            "steady_state": {"slos": ["up"], "baseline": "2s", "stabilise": "500ms", "patience": "15s"},
            "stop_conditions": [
                {**stop, "then": "halt", "stops": "load"},
                {"silence": "30s", "then": "halt"},
            ],
            "blast_radius": {"max": "1", "duration": "5m"},
            "steps": [{"hold": "60s"}],
        }
    )


ANSWERED = {"load": "answered", "below": "50%", "within": "800ms"}
SLOW = {"load": "p99", "above": "500ms", "within": "2s"}


@pytest.mark.slow
@pytest.mark.parametrize("user", ["FastHttpUser", "HttpUser"])
@pytest.mark.parametrize("load", [{"rate": "40/s"}, {"users": 10}], ids=["rate", "users"])
@pytest.mark.parametrize("stop", [ANSWERED, SLOW], ids=["answered", "p99"])
def test_a_stalled_target_halts_the_drill_within_a_second(tmp_path, user, load, stop):
    project = tmp_path / "project"
    for part in ("experiments", "loadprofiles"):
        (project / part).mkdir(parents=True)
    timeout = ", timeout=30" if user == "HttpUser" else ""
    (project / "loadprofiles" / "buyer.py").write_text(PROFILE % (user, timeout))
    with target() as server:
        (project / "experiments" / "stalled.yaml").write_text(plan(server.url, load, stop))
        run = Run(project, "stalled")
        run.wait_for(lambda kind, data: kind == "PhaseChanged" and data["phase"] == "running")
        time.sleep(1.0)
        server.stalls.set()
        began_s = time.monotonic()
        run.wait_for(lambda kind, data: kind == "Halted", timeout_s=5)
        took_s = time.monotonic() - began_s
        code, out = run.end()
    halted = next(data for kind, data in run.kinds() if kind == "Halted")
    print(
        f"\n{user} {load} {stop['load']}: halted {took_s:.2f} s after the target began to stall: {halted['reason']}"
    )
    assert halted["condition"] == "1-load"
    assert took_s <= 1.0, out
    assert code != 0
