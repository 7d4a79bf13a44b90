"""Notices reach a real receiver over HTTP; one that hangs is left behind; no address is ever written down."""

from __future__ import annotations

import http.server
import json
import socket
import subprocess
import threading
import time

import pytest

from gameday.console.sender import Sender
from gameday.evidence import noticewords
from gameday.history.events import Halted
from gameday.plan.load import load_plan
from gameday.plan.notices import Notice
from gameday.plan.policyfile import load_policy
from tests.commands import in_this_process
from tests.drills import ROOT, SHORT, Run, make_project

PLAN = load_plan(ROOT / "experiments" / "primary-loss.yaml")


@pytest.fixture
def receiver():
    """A server that takes what apprise posts as JSON; /refuse says 500."""
    taken = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.startswith("/refuse"):
                self.send_response(500)
            else:
                taken.append(json.loads(body))
                self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], taken
    server.shutdown()
    server.server_close()


@pytest.fixture
def silent():
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_notice_says_purpose_scope_and_how_to_halt_and_not_what_comes():
    for title, body in (
        noticewords.before(PLAN, "Monday"),
        noticewords.start(PLAN, "R"),
        noticewords.halt(PLAN, "R", Halted("r.ito", "a\nb")),
    ):
        assert title.startswith("DRILL") and "Purpose: " in body and "Scope: " in body
        assert "gameday halt --reason TEXT" in body
        for told in (PLAN.title, "primary", "standby", "postgres", PLAN.source):
            assert told not in title + body
    title, body = noticewords.end(
        PLAN, "R", "halted",
        {"verdict": "fail", "stuck": ["x"], "findings": [{"name": "RTA", "verdict": "fail", "observed": "9"}]},
    )  # fmt: skip
    assert "fail" in title and "A PERSON IS NEEDED" in body and "FAIL  RTA: 9" in body


def test_an_address_in_a_policy_is_an_error(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text('environments: {lab: {}}\nnotices: [{to: "slack://a/b/c"}]\n')
    with pytest.raises(Exception, match="expected \\${env.NAME}"):
        load_policy(path)
    path.write_text(
        'environments: {lab: {}}\nnotices: [{to: "${env.SLACK}", when: [halt], environments: [lab]}]\n'
    )
    assert load_policy(path).notices == (Notice("SLACK", ("halt",), ("lab",)),)


@pytest.mark.slow
def test_what_hangs_or_refuses_holds_up_nobody_and_is_said(receiver, silent, tmp_path, monkeypatch):
    port, taken = receiver
    monkeypatch.setenv("GOOD", f"json://127.0.0.1:{port}/secret-path")
    monkeypatch.setenv("REFUSES", f"json://user:secret-word@127.0.0.1:{port}/refuse")
    monkeypatch.setenv("HANGS", f"json://127.0.0.1:{silent}/?rto=300&cto=300")
    monkeypatch.setenv("WRONG", "nothing-known://x")
    monkeypatch.delenv("ABSENT", raising=False)
    names = ("GOOD", "REFUSES", "HANGS", "WRONG", "ABSENT")
    sender = Sender(tmp_path / "notices.jsonl", "lab", deadline_s=8.0)
    begun = time.monotonic()
    sender.send([Notice(name) for name in names], "start", ("title", "a body"))
    assert time.monotonic() - begun < 5
    found = {d.to: d for d in sender.wait()}
    assert found["GOOD"].delivered and [item["message"] for item in taken] == ["a body"]
    assert found["REFUSES"].detail == "it answered 500"
    assert found["HANGS"].detail == "no answer within 8 s"
    assert found["WRONG"].detail == "its address is none that apprise knows"
    assert found["ABSENT"].detail == "ABSENT is not set"
    written = (tmp_path / "notices.jsonl").read_text()
    assert "secret" not in written and len(written.splitlines()) == len(names)


@pytest.mark.slow
def test_before_a_drill_every_channel_is_told_or_it_is_said(receiver, tmp_path, monkeypatch):
    port, taken = receiver
    project = make_project(tmp_path / "project")
    policy = "environments: {lab: {modules: ['*']}}\n"
    (project / "policy.yaml").write_text(policy)
    done = in_this_process(project, "notify", "experiments/primary-loss.yaml", "--before")
    assert done.returncode == 3 and "names no channel that is told before a drill in 'lab'" in done.stderr
    (project / "policy.yaml").write_text(
        policy + 'notices: [{to: "${env.CHANNEL}"}, {to: "${env.ABSENT}"}]\n'
    )
    monkeypatch.setenv("CHANNEL", f"json://127.0.0.1:{port}/")
    done = in_this_process(project, "notify", "experiments/primary-loss.yaml", "--before")
    assert done.returncode == 1
    assert "notice before to CHANNEL: delivered" in done.stdout
    assert "notice before to ABSENT: NOT delivered" in done.stderr
    assert taken[0]["title"] == "DRILL planned: Disaster-recovery drill: orders"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_tells_of_its_start_halt_and_end_and_a_hanging_channel_delays_it_not(
    receiver, silent, tmp_path, lab
):
    port, taken = receiver
    project = make_project(tmp_path / "project", **SHORT)
    (project / "policy.yaml").write_text(
        "environments: {lab: {modules: ['*'], providers: [python, process, http]}}\n"
        'notices: [{to: "${env.CHANNEL}"}, {to: "${env.HANGS}", when: [start]}]\n'
    )
    run = Run(project, "latency", env={
        "CHANNEL": f"json://127.0.0.1:{port}/", "HANGS": f"json://127.0.0.1:{silent}/?rto=300&cto=300"
    })  # fmt: skip
    code, out = run.end(240)
    titles = [item["title"] for item in taken]
    assert code == 1 and [t.split(":")[0] for t in titles] == [
        "DRILL begins",
        "DRILL HALTED",
        "DRILL over, fail",
    ]
    lines = [json.loads(line) for line in (run.folder / "notices.jsonl").read_text().splitlines()]
    assert {(x["to"], x["when"]): x["delivered"] for x in lines} == {
        ("CHANNEL", "start"): True, ("CHANNEL", "halt"): True, ("CHANNEL", "end"): True, ("HANGS", "start"): False,
    }  # fmt: skip
    assert "notice start to HANGS: NOT delivered" in out
    times = {r.event.phase: r.at_ns for r in run.trace().records if hasattr(r.event, "phase")}
    assert times["running"] - times["baseline"] < 28 * 10**9, "the run waited for a channel"
