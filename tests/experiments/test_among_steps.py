"""An experiment as a step of a native plan: in order among the others, its rollbacks the undo."""

import http.server
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.answers import JsonAnswers
from tests.experiments.sidebyside import BIN

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
IDENTITY = {"environment": "lab", "nodes": {"a": {"region": "a"}}}
PLAN = """
title: An experiment among steps
hypothesis: It goes on
kind: game-day
service: orders
author: a
owner: b
target: {{environment: lab, identity: {{http: "{url}"}}}}
probes:
  up: {{http: {{url: "{url}"}}, every: 200ms, timeout: 200ms}}
slos:
  availability: {{probe: up, objective: 50%, window: 2s}}
steady_state: {{slos: [availability], baseline: 1s, stabilise: 1s}}
stop_conditions:
  - {{silence: 20s, then: halt}}
blast_radius: {{select: {{region: a}}, max: 1 of 1, duration: 5m}}
steps:
  - experiment: experiments/touch.json
    name: touch a file
    variables: {{wait: "{wait}"}}
    ttl: 2m
  - hold: 500ms
"""
TOUCH = {
    "title": "touch",
    "description": "d",
    "configuration": {"wait": "0"},
    "method": [
        {
            "type": "action",
            "name": "f",
            "provider": {"type": "process", "path": "touch", "arguments": ["fault"]},
        },
        {
            "type": "action",
            "name": "w",
            "provider": {"type": "process", "path": "sleep", "arguments": ["${wait}"]},
        },
    ],
    "rollbacks": [
        {"type": "action", "name": "u", "provider": {"type": "process", "path": "rm", "arguments": ["fault"]}}
    ],
}


class _Answer(JsonAnswers):
    def do_GET(self):
        self.reply(200, IDENTITY)


@pytest.fixture
def project(tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "touch.json").write_text(json.dumps(TOUCH))

    def write(wait):
        url = f"http://127.0.0.1:{server.server_port}/"
        (tmp_path / "experiments" / "it.yaml").write_text(PLAN.format(url=url, wait=wait))
        return tmp_path

    yield write
    server.shutdown()


def start(folder: Path) -> subprocess.Popen:
    command = [BIN / "gameday", "run", "--plain", "--yes", "--run-dir", folder / "run", "experiments/it.yaml"]
    env = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    return subprocess.Popen(
        list(map(str, command)),
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_it_runs_in_order_and_is_a_finding_and_its_journal_is_kept(project):
    folder = project("0")
    said, _ = (process := start(folder)).communicate(timeout=300)
    assert process.returncode == 0, said
    findings = json.loads((folder / "run" / "findings.json").read_text())["findings"]
    assert ("experiment: touch a file", "pass") in [(f["name"], f["verdict"]) for f in findings]
    (journal,) = (folder / "run").glob("journal*.json")
    assert [run["status"] for run in json.loads(journal.read_text())["rollbacks"]] == ["succeeded"]
    assert not (folder / "fault").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_what_it_did_is_taken_back_when_the_runner_ends(project, number):
    folder = project("83.5")
    with start(folder) as process:
        give_up_s = time.monotonic() + 120
        while not (folder / "fault").exists():
            assert time.monotonic() < give_up_s and process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        process.wait(120)
    while (folder / "fault").exists():
        assert time.monotonic() < give_up_s + 60
        time.sleep(0.05)
