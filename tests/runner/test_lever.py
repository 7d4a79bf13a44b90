"""The safety levers: files, shared files and servers, that lie, hang or go away. None may block a decision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gameday.errors import LeverUnreadable, NotAuthorised
from gameday.plan.policy import default_policy
from gameday.runner.lever import Lever, Levers, RemoteLever, project_lever
from tests.drills import ROOT, Run, make_project

ENGAGED = {"engaged": True, "by": "m.okafor", "utc": "2026-11-24T20:00:00Z", "reason": "incident 4711"}


@pytest.fixture
def server():
    """A lever's server; what it answers stands in `answer`: (status, body), or a function of the handler."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer = self.server.answer
            if callable(answer):
                answer(self)
                return
            self.send_response(answer[0])
            self.send_header("Location", "/released")
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.answer = (200, b'{"engaged": false}')
    server.url = f"http://127.0.0.1:{server.server_port}/lever?x=1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


MADE = []


@pytest.fixture(autouse=True)
def _nobody_goes_on_reading():
    yield
    while MADE:
        MADE.pop().close()


def levers(project, *named, silence_s=10.0):
    policy = replace(default_policy(), levers=tuple(map(str, named)), lever_silence_ns=int(silence_s * 1e9))
    MADE.append(Levers(project, policy))
    return MADE[-1]


def wait_until(is_so, timeout_s=10.0):
    give_up_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < give_up_s
        time.sleep(0.01)


def test_the_projects_lever_is_engaged_with_name_and_reason_and_released(tmp_path):
    lever = project_lever(tmp_path)
    assert lever.read() == "" and not lever.release()
    lever.engage(by="m", reason="freeze")
    lever.engage(by="n", reason="real incident")
    assert "engaged by n at " in lever.read() and "real incident" in lever.read()
    assert lever.release() and lever.read() == ""


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff", b'{"engaged": "no"}', b"[" * 5000, b'{"engaged": 0}']
)
def test_a_lever_that_says_nothing_clear_cannot_be_read(tmp_path, data):
    path = tmp_path / "lever.json"
    path.write_bytes(data)
    for is_shared in (True, False):
        with pytest.raises(LeverUnreadable):
            Lever(path, is_shared=is_shared).read()


def test_what_it_says_is_one_line_without_a_password(tmp_path):
    path = tmp_path / "lever.json"
    path.write_text(json.dumps({**ENGAGED, "reason": "a\nb password=hunter22 \x1b[31m" + "x" * 5000}))
    said = Lever(path).read()
    assert "\n" not in said and "\x1b" not in said and "hunter22" not in said and len(said) < 800


def test_a_shared_lever_that_is_not_there_is_not_released(tmp_path):
    lever = Lever(tmp_path / "lever.json", is_shared=True)
    with pytest.raises(LeverUnreadable, match="No such file"):
        lever.read()
    lever.release(by="m")
    assert lever.read() == ""
    lever.engage(by="m", reason="x")
    assert "engaged by m" in lever.read()
    lever.release(by="m")
    assert lever.read() == "" and lever.path.exists()


def test_a_pipe_or_a_folder_in_its_place_holds_nobody(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    (tmp_path / "folder").mkdir()
    began = time.monotonic()
    for path in (pipe, tmp_path / "folder"):
        with pytest.raises(LeverUnreadable):
            Lever(path, is_shared=True).read()
    os.close(writer)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, b'{"engaged": false}'), ""),
        ((200, json.dumps(ENGAGED).encode()), "engaged by m.okafor at 2026-11-24T20:00:00Z: incident 4711"),
        ((200, b"{}"), None),
        ((200, b'{"engaged": null}'), None),
        ((200, b"<html>"), None),
        ((302, b'{"engaged": false}'), None),
        ((404, b'{"engaged": false}'), None),
        ((500, b""), None),
        (lambda handler: handler.wfile.write(b"garbage\r\n\r\n"), None),
        (lambda handler: None, None),
    ],
)
def test_a_lever_behind_a_url(server, answer, said):
    server.answer = answer
    if said is None:
        with pytest.raises(LeverUnreadable):
            RemoteLever(server.url).read()
    else:
        assert RemoteLever(server.url).read() == said


def test_nothing_starts_while_one_is_engaged_or_unreadable(tmp_path, server):
    shared = tmp_path / "shared.json"
    with pytest.raises(LeverUnreadable, match="No such file"):
        levers(tmp_path, shared).check()
    Lever(shared, is_shared=True).release()
    levers(tmp_path, shared, server.url).check()
    server.answer = (200, json.dumps(ENGAGED).encode())
    with pytest.raises(NotAuthorised, match="incident 4711"):
        levers(tmp_path, shared, server.url).check()
    with pytest.raises(LeverUnreadable, match="refused"):
        levers(tmp_path, "http://127.0.0.1:1/lever").check()


def test_engaging_a_shared_lever_is_seen_by_a_run(tmp_path):
    shared = Lever(tmp_path / "shared.json", is_shared=True)
    shared.release()
    watched = levers(tmp_path / "project", shared.path)
    watched.check()
    assert watched.halting() == ""
    shared.engage(by="other-host", reason="real incident")
    wait_until(watched.halting)
    assert "engaged by other-host" in watched.halting()
    watched.close()


def test_a_lever_that_goes_away_halts_after_its_silence_and_not_before(tmp_path):
    shared = Lever(tmp_path / "shared.json", is_shared=True)
    shared.release()
    watched = levers(tmp_path / "project", shared.path, silence_s=1.0)
    watched.check()
    shared.path.unlink()
    gone_s = time.monotonic()
    wait_until(watched.halting)
    assert time.monotonic() - gone_s > 0.5
    assert "cannot be read: No such file" in watched.halting() and "allowed are 1 s" in watched.halting()
    shared.release()
    wait_until(lambda: not watched.halting())  # back in time: nothing more speaks for a halt
    watched.close()


def test_a_server_that_never_answers_blocks_no_decision(tmp_path, server):
    watched = levers(tmp_path, server.url, silence_s=0.5)
    watched.check()
    ending = threading.Event()
    server.answer = lambda handler: ending.wait(20)
    slowest_s, until_s = 0.0, time.monotonic() + 10
    while not (reason := watched.halting()):
        began_s = time.monotonic()
        watched.halting()
        slowest_s = max(slowest_s, time.monotonic() - began_s)
        assert time.monotonic() < until_s
        time.sleep(0.005)
    ending.set()
    watched.close()
    assert "does not answer" in reason or "cannot be read" in reason
    assert slowest_s < 0.5


@pytest.mark.slow
def test_a_server_that_drips_keeps_nothing_waiting_at_the_start(tmp_path, server):
    ending = threading.Event()

    def drip(handler):
        handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        while not ending.wait(0.5):
            try:
                handler.wfile.write(b" ")
                handler.wfile.flush()
            except OSError:
                return

    server.answer = drip
    began_s = time.monotonic()
    with pytest.raises(LeverUnreadable, match="gives no answer within"):
        levers(tmp_path, server.url).check()
    ending.set()
    assert time.monotonic() - began_s < 15


def gameday(project, *words):
    return subprocess.run(
        [sys.executable, "-m", "gameday", *words],
        cwd=project,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.slow
def test_the_command_shows_and_moves_shared_levers(tmp_path):
    project = make_project(tmp_path / "project")
    shared = tmp_path / "shared.json"
    (project / "policy.yaml").write_text(f"environments: {{lab: {{modules: ['*']}}}}\nlevers: [{shared}]\n")
    refused = gameday(project, "run", "experiments/latency.yaml", "--plain")
    assert refused.returncode == 3 and "cannot be read: No such file" in refused.stderr
    assert gameday(project, "lever", "release", "--shared").returncode == 0
    done = gameday(project, "lever", "engage", "--shared", "--reason", "freeze", "--by", "m")
    assert done.returncode == 0, done.stderr
    status = json.loads(gameday(project, "lever", "status", "--json").stdout)
    assert status["engaged"] and "freeze" in status["reason"] and len(status["levers"]) == 2
    refused = gameday(project, "run", "experiments/latency.yaml", "--plain")
    assert refused.returncode == 3 and "engaged by m" in refused.stderr


@pytest.mark.slow
def test_a_drill_halts_when_its_shared_lever_goes_silent(tmp_path, lab):
    project = make_project(tmp_path / "project")
    shared = Lever(tmp_path / "shared.json", is_shared=True)
    shared.release()
    text = f"environments: {{lab: {{modules: ['*']}}}}\nlevers: [{shared.path}]\nlever_silence: 1s\n"
    (project / "policy.yaml").write_text(text)
    run = Run(project, "primary-loss")
    run.wait_for(lambda kind, data: kind == "Armed")
    shared.path.unlink()
    run.wait_for(lambda kind, data: kind == "Halted" and data["by"] == "safety lever")
    code, out = run.end()
    assert code in (1, 4) and "allowed are 1 s" in out, out
