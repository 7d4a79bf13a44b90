"""The Prometheus and Alertmanager readers against a real HTTP server with canned answers, good and foul."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest

from gameday.history.events import Reading
from gameday.hosts.readers import reader_of
from gameday.plan.model import NS, Probe, ProbeKind


class Canned:
    """A server that sends the same bytes to everybody; `pieces` and `pause_s` make it drip."""

    def __init__(self, raw: bytes, *, pause_s: float = 0.0, piece: int = 1 << 20):
        self.raw, self.pause_s, self.piece, self.asked = raw, pause_s, piece, []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.server.accept()
            except OSError:
                return
            with peer:
                self.asked.append(peer.recv(65536).decode())
                try:
                    for at in range(0, len(self.raw), self.piece):
                        peer.sendall(self.raw[at : at + self.piece])
                        time.sleep(self.pause_s)
                except OSError:
                    continue

    def close(self):
        self.server.close()


def reply(body, status=200):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def vector(*values):
    result = [{"metric": {"n": str(n)}, "value": [1.5, v]} for n, v in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def rules(*alerts, health="ok", error=None):
    """One rule named Hot with these alerts, each (state, labels)."""
    rule = {
        "type": "alerting", "name": "Hot", "health": health, "state": "inactive",
        "alerts": [{"state": state, "labels": {"alertname": "Hot", **labels}} for state, labels in alerts],
    }  # fmt: skip
    if error:
        rule["lastError"] = error
    other = {
        "type": "alerting",
        "name": "Cold",
        "health": "ok",
        "alerts": [{"state": "firing", "labels": {}}],
    }
    recording = {"type": "recording", "name": "Hot", "health": "ok"}
    return {"status": "success", "data": {"groups": [{"name": "g", "rules": [other, recording, rule]}]}}


def pager(*alerts):
    return [
        {"labels": {"alertname": name, **labels}, "status": {"state": state}}
        for name, state, labels in alerts
    ]


def read(raw, spec, *, kind=ProbeKind.PROMETHEUS, timeout_ns=5 * NS, **canned):
    server = Canned(raw, **canned)
    try:
        spec = json.dumps({"url": server.url, **spec})
        reading, detail = reader_of(Probe("p", kind, spec, NS, timeout_ns), "run")()
        return reading, detail, server.asked
    finally:
        server.close()


QUERY = {"query": "sum(errors)", "bad_above": 5}
ALERT = {"alert": "Hot", "labels": {"severity": "page"}}
PAGE, INFO = {"severity": "page", "more": "x"}, {"severity": "info"}
GOOD, BAD, UNREADABLE = Reading.GOOD, Reading.BAD, Reading.UNREADABLE

QUERIES = [
    ("within", vector("5"), QUERY, GOOD, ""),
    ("above", vector("5.01"), QUERY, BAD, "value 5.01"),
    ("below", vector("1"), {"query": "x", "bad_below": 2}, BAD, "value 1"),
    ("a range", vector("3"), {"query": "x", "bad_below": 2, "bad_above": 4}, GOOD, ""),
    ("a scalar", {"status": "success", "data": {"resultType": "scalar", "result": [1, "7"]}}, QUERY, BAD, "7"),
    ("infinity", vector("+Inf"), QUERY, BAD, "inf"),
    ("NaN", vector("NaN"), QUERY, UNREADABLE, "NaN"),
    ("no data", vector(), QUERY, UNREADABLE, "no data"),
    ("several", vector("1", "2"), QUERY, UNREADABLE, "2 series, expected one"),
    ("any, one bad", vector("1", "9"), {**QUERY, "series": "any"}, BAD, "value 1, 9"),
    ("any, none bad", vector("1", "2"), {**QUERY, "series": "any"}, GOOD, ""),
    ("any, NaN and bad", vector("NaN", "9"), {**QUERY, "series": "any"}, BAD, "9"),
    ("any, NaN and good", vector("NaN", "1"), {**QUERY, "series": "any"}, UNREADABLE, "NaN among 2"),
    ("all, one good", vector("9", "1"), {**QUERY, "series": "all"}, GOOD, ""),
    ("all bad", vector("9", "8"), {**QUERY, "series": "all"}, BAD, "9, 8"),
    ("all, NaN and bad", vector("NaN", "9"), {**QUERY, "series": "all"}, UNREADABLE, "NaN among"),
    ("all, none", vector(), {**QUERY, "series": "all"}, UNREADABLE, "no data"),
    ("a matrix", {"status": "success", "data": {"resultType": "matrix", "result": []}}, QUERY, UNREADABLE, "matrix"),
    ("an error", {"status": "error", "error": "x"}, QUERY, UNREADABLE, "does not say success"),
    ("another shape", {"status": "success", "data": {"resultType": "vector", "result": [{}]}}, QUERY, UNREADABLE, "shape"),
    ("a list", [], QUERY, UNREADABLE, "does not say success"),
    ("no rule", rules(), {"alert": "Hott"}, UNREADABLE, "no rule makes an alert 'Hott'"),
    ("inactive", rules(), ALERT, GOOD, ""),
    ("pending", rules(("pending", PAGE)), ALERT, GOOD, ""),
    ("firing", rules(("firing", PAGE)), ALERT, BAD, "Hot is firing, 1 of it"),
    ("firing with other labels", rules(("firing", INFO)), ALERT, GOOD, ""),
    ("firing, no labels asked", rules(("firing", INFO), ("firing", PAGE)), {"alert": "Hot"}, BAD, "2 of it"),
    ("a broken rule", rules(health="err", error="division"), ALERT, UNREADABLE, "gives nothing: division"),
    ("a rule not yet evaluated", rules(health="unknown"), ALERT, UNREADABLE, "not evaluated yet"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "spec", "reading", "words"), [q[1:] for q in QUERIES], ids=[q[0] for q in QUERIES]
)
def test_what_prometheus_says(said, spec, reading, words):
    found, detail, _ = read(reply(said), spec)
    assert (found, words in detail) == (reading, True), detail


@pytest.mark.parametrize(
    ("said", "reading"),
    [
        (pager(), GOOD),
        (pager(("Hot", "active", PAGE)), BAD),
        (pager(("Hot", "suppressed", PAGE)), BAD),
        (pager(("Hot", "active", INFO)), GOOD),
        (pager(("Cold", "active", PAGE)), GOOD),
        ({}, UNREADABLE),
        ([{}], UNREADABLE),
    ],
)
def test_what_alertmanager_says(said, reading):
    found, _, asked = read(reply(said), ALERT, kind=ProbeKind.ALERTMANAGER)
    assert found is reading
    assert asked[0].startswith("GET /api/v2/alerts?filter=alertname%3D%22Hot%22 ")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (reply(b"not json at all"), "not JSON"),
        (reply(b"[" * 100_000), "not JSON"),
        (reply(b"<html>busy</html>", 503), "HTTP 503"),
        (reply({"status": "error", "error": "parse error\nat 1:3"}, 400), "HTTP 400 parse error at 1:3"),
        (b"SSH-2.0-OpenSSH_9\r\n", "not HTTP"),
        (b"", "reset"),
        (reply(vector("1"))[:-5], "cut off"),
    ],
)
@pytest.mark.parametrize("spec", [QUERY, ALERT])
def test_an_answer_that_is_none_is_unreadable(raw, words, spec):
    found, detail, _ = read(raw, spec)
    assert found is UNREADABLE
    assert words in detail or "not JSON" in detail, detail


@pytest.mark.parametrize("piece", [1, 400])
def test_an_answer_that_drips_is_cut_off_at_the_deadline(piece):
    """A byte of the head each 20 ms, and a body in pieces: neither outlives the 200 ms."""
    began = time.monotonic()
    raw = reply(vector(*["1"] * 2000))
    found, detail, _ = read(raw, QUERY, timeout_ns=NS // 5, pause_s=0.02, piece=piece)
    assert (found, detail) == (UNREADABLE, "timeout")
    assert time.monotonic() - began < 2


def test_a_server_that_is_not_there_is_unreadable():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    spec = json.dumps({"url": f"http://127.0.0.1:{port}/", **QUERY})
    assert reader_of(Probe("p", ProbeKind.PROMETHEUS, spec, NS, NS), "run")() == (UNREADABLE, "refused")


def test_a_token_comes_from_the_environment_and_goes_nowhere_else(monkeypatch):
    spec = {**QUERY, "token_env": "PROM_TOKEN"}
    assert read(reply(vector("1")), spec)[:2] == (UNREADABLE, "the variable PROM_TOKEN holds no token")
    monkeypatch.setenv("PROM_TOKEN", "s3cret-s3cret")
    found, detail, asked = read(reply({"error": "no s3cret-s3cret here"}, 403), spec)
    assert "Authorization: Bearer s3cret-s3cret" in asked[0]
    assert found is UNREADABLE and "s3cret" not in detail
