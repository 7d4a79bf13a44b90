"""The target says who it is: itself, and in time. No redirect, no proxy, no drip may stand in."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gameday.errors import TargetAbsent
from gameday.plan.load import load_plan
from gameday.runner import arming
from tests.drills import make_project

IDENTITY = {"environment": "lab", "nodes": {}, "targets": {"proxy:users": {}}}


class Handler(BaseHTTPRequestHandler):
    """Says who it is at /identity; elsewhere it leads away, drips, or says something odd."""

    def do_GET(self):
        body = {"/deep": b"[" * 100_000, "/list": b"[]", "/torn": b"{"}.get(self.path)
        body = body or json.dumps(IDENTITY).encode()
        self.send_response({"/away": 302, "/down": 503}.get(self.path, 200))
        if self.path == "/away":
            self.send_header("Location", "/identity")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            for byte in body if self.path == "/drip" else ():
                self.wfile.write(bytes([byte]))
                time.sleep(1.0)
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *args):
        pass


@pytest.fixture
def url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("p"))


def resolve(project, url):
    """Resolve a plan whose target says at `url` who it is, with nothing of the lab in it."""
    path = project / "experiments" / "latency.yaml"
    text = path.read_text().replace("${lab.url}/identity", url)
    aside = path.with_name("aside.yaml")
    aside.write_text(text.replace("${lab.url}", "http://127.0.0.1:1"))
    plan = load_plan(aside)
    return arming.resolve(plan, project)


def test_the_target_itself_is_asked_whatever_the_proxy_says(project, url, monkeypatch, tmp_path):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    lab = tmp_path / "lab.json"
    lab.write_text(json.dumps({"url": url, "toxiproxy": url}))
    monkeypatch.setenv("GAMEDAY_LAB_DIR", str(tmp_path))
    assert resolve(project, f"{url}/identity").targets.environment == "lab"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/away", "HTTP 302, expected 200; redirects are not followed"),
        ("/down", "HTTP 503"),
        ("/list", "is not a JSON object"),
        ("/torn", "cannot be read: Expecting"),
        ("/deep", "cannot be read: maximum recursion"),
    ],
)
def test_what_is_no_identity_is_an_absent_target(project, url, path, said):
    with pytest.raises(TargetAbsent, match="the target's identity") as caught:
        arming._get_json(f"{url}{path}", what="the target's identity")
    assert said in str(caught.value)


def test_an_identity_that_drips_is_given_up_in_time(url, monkeypatch):
    monkeypatch.setattr(arming, "TIMEOUT_S", 1.5)
    began_s = time.monotonic()
    with pytest.raises(TargetAbsent, match="timeout"):
        arming._get_json(f"{url}/drip", what="the target's identity")
    assert time.monotonic() - began_s < 15  # The whole drip would last a minute and a half.
