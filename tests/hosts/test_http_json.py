"""A probe that looks into a JSON answer: a real server says it, and what the plan may ask is checked before."""

from __future__ import annotations

import http.server
import json
import threading

import pytest

from gameday.errors import PlanError
from gameday.history.events import Reading
from gameday.hosts.readers import reader_of
from gameday.plan.load import load_plan
from gameday.plan.model import NS, Probe, ProbeKind
from tests.drills import ROOT

GOOD, BAD, UNREADABLE = Reading.GOOD, Reading.BAD, Reading.UNREADABLE
SAID = {"series": [{"pointlist": [[1, 2.5], [2, 7]]}], "state": "OK", "on": True, "none": None, "text": "7"}


@pytest.fixture(scope="module")
def url():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            token = self.headers["DD-API-KEY"]
            body = b"<html>" if self.path == "/page" else json.dumps(SAID).encode()
            if self.path == "/odd":
                body = b'{"state": NaN, "huge": 1' + b"0" * 400 + b"}"
            self.send_response(503 if self.path == "/down" else 200 if token == "k" else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def read(url, page="/", key="k", **spec):
    whole = {"url": f"{url}{page}", "headers": {"DD-API-KEY": key}, "json": spec}
    return reader_of(Probe("p", ProbeKind.HTTP, json.dumps(whole), NS, 2 * NS), "run")()


@pytest.mark.parametrize(
    ("spec", "reading", "words"),
    [
        ({"path": "series.0.pointlist.-1.1", "bad_above": 5}, BAD, "value 7"),
        ({"path": "series.0.pointlist.0.1", "bad_above": 5}, GOOD, ""),
        ({"path": "series.0.pointlist.-1.1", "bad_above": 7, "bad_below": 7}, GOOD, ""),
        ({"path": "series.0.pointlist.-1.1", "bad_below": 7.5}, BAD, "value 7"),
        ({"path": "state", "equals": "OK"}, GOOD, ""),
        ({"path": "state", "equals": "Alert"}, BAD, "wrong answer"),
        ({"path": "on", "equals": True}, GOOD, ""),
        ({"path": "on", "equals": 1}, BAD, "wrong answer"),
        ({"path": "on", "bad_above": 5}, UNREADABLE, "no number at on"),
        ({"path": "text", "bad_above": 5}, UNREADABLE, "no number at text"),
        ({"path": "series.7.pointlist", "bad_above": 5}, UNREADABLE, "nothing at series.7"),
        ({"path": "none", "equals": "OK"}, UNREADABLE, "nothing at none"),
        ({"path": "state.deeper", "equals": "OK"}, UNREADABLE, "nothing at"),
    ],
)
def test_what_stands_at_a_path_is_judged(url, spec, reading, words):
    found, detail = read(url, **spec)
    assert (found, words in detail) == (reading, True), detail


@pytest.mark.parametrize(
    ("page", "key", "words"),
    [
        ("/page", "k", "not JSON"),
        ("/down", "k", "HTTP 503"),
        ("/", "wrong", "HTTP 403"),
        ("/odd", "k", "no number"),
    ],
)
def test_a_monitoring_system_that_fails_says_nothing_of_the_target(url, page, key, words):
    found, detail = read(url, page, key, path="state", bad_above=5)
    assert (found, words in detail) == (UNREADABLE, True), detail


def test_a_server_that_is_not_there_is_unreadable():
    assert read("http://127.0.0.1:1", path="state", bad_above=5)[0] is UNREADABLE


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("json: {path: a}", "expected `bad_above`"),
        ("json: {path: a, equals: x, bad_above: 1}", "expected `bad_above`"),
        ("json: {path: a..b, equals: x}", "expected keys and numbers with dots"),
        ("json: {path: a, bad_above: .inf}", "expected a finite number"),
        ("json: {path: a, equals: x}, contains: y", "does not go with `json`"),
        ("json: {path: a, equals: x}, method: HEAD", "has no body"),
        ("json: {path: a, equal: x}", "unknown key 'equal'"),
    ],
)
def test_what_the_plan_asks_of_it_is_checked(tmp_path, asked, said):
    (tmp_path / "experiments").mkdir()
    for part in ("loadprofiles", "runbooks"):
        (tmp_path / part).mkdir()
    text = (ROOT / "experiments" / "latency.yaml").read_text()
    more = f'  monitor: {{http: {{url: "http://127.0.0.1:1/", {asked}}}, every: 1s, timeout: 1s}}\n'
    path = tmp_path / "experiments" / "it.yaml"
    path.write_text(text.replace("slos:\n", more + "slos:\n", 1))
    with pytest.raises(PlanError) as caught:
        load_plan(path)
    assert said in str(caught.value)
