"""No name look-up outlasts a sample, and what it says of the target is no more than it knows."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

from gameday.history.events import Reading
from gameday.hosts.names import Resolver, Unresolved
from gameday.hosts.readers import reader_of
from gameday.hosts.sqlprobe import _with_addresses
from gameday.plan.model import NS, Probe, ProbeKind
from tests.drills import ROOT
from tests.hosts.servers import OK, answer, server

# In a network of its own, where a name server hears every question and says nothing.
SILENT = """
import socket, sys, threading, time, json
from pathlib import Path
sys.path.insert(0, sys.argv[1])
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
from gameday.hosts.readers import reader_of
from gameday.plan.model import Probe, ProbeKind, NS
import psycopg, psycopg.conninfo
out = []
for kind, spec in json.loads(sys.argv[2]):
    read = reader_of(Probe("p", ProbeKind(kind), json.dumps(spec), NS, NS // 5), "run-1")
    began = time.monotonic()
    reading, detail = read()
    out.append([reading, detail, time.monotonic() - began])
print(json.dumps(out))
"""
NAMELESS = (
    'ip link set lo up && echo nameserver 127.0.0.1 > "$1" && mount --bind "$1" /etc/resolv.conf'
    ' && echo hosts: files dns > "$1.nss" && mount --bind "$1.nss" /etc/nsswitch.conf'
    ' && shift && exec "$@"'
)


def can_isolate():
    tools = shutil.which("unshare") and shutil.which("ip")
    return tools and not subprocess.run(["unshare", "-Urmn", "true"], capture_output=True).returncode


@pytest.fixture
def stuck():
    release = threading.Event()
    yield lambda host, port: [] if release.wait(20) else []
    release.set()


def test_a_look_up_that_hangs_ends_with_its_time_and_so_many_at_most_hang(stuck):
    resolver = Resolver(stuck, stuck_max=2)
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(Unresolved, match="no answer"):
            resolver.addresses("a.test", 80, time.monotonic() + 0.05)
    before = threading.active_count()
    with pytest.raises(Unresolved, match="look-ups hang"):
        resolver.addresses("a.test", 80, time.monotonic() + 10)
    assert threading.active_count() == before
    assert resolver.addresses("127.0.0.1", 80, 0.0)[0][4] == ("127.0.0.1", 80), "an address is none"
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (socket.EAI_NONAME, socket.gaierror),
        (socket.EAI_NODATA, socket.gaierror),
        (socket.EAI_AGAIN, Unresolved),
        (socket.EAI_FAIL, Unresolved),
        (socket.EAI_SYSTEM, Unresolved),
    ],
)
def test_that_a_name_does_not_exist_is_an_answer_and_silence_is_none(code, error):
    def ask(host, port):
        raise socket.gaierror(code, "as the C library says")

    with pytest.raises(error):
        Resolver(ask, stuck_max=1).addresses("a.test", 80, time.monotonic() + 5)
    with pytest.raises(error):  # What has ended is stuck no more.
        Resolver(ask, stuck_max=1).addresses("a.test", 80, time.monotonic() + 5)


def test_a_name_that_resolves_is_connected_to():
    with server(answer(OK)) as port:
        spec = json.dumps({"url": f"http://localhost:{port}/"})
        assert reader_of(Probe("p", ProbeKind.HTTP, spec, NS, NS), "r")()[0] is Reading.GOOD


def test_libpq_is_told_the_address_of_each_name(monkeypatch):
    for name in ("PGHOST", "PGPORT"):
        monkeypatch.delenv(name, raising=False)

    def told(dsn):
        return dict(p.split("=", 1) for p in _with_addresses(dsn, time.monotonic() + 5).decode().split(" "))

    assert _with_addresses("host=127.0.0.1 port=1", 0.0) == b"host=127.0.0.1 port=1"
    assert _with_addresses("host=/run/pg", 0.0) == b"host=/run/pg"
    assert _with_addresses("not a dsn", 0.0) == b"not a dsn", "libpq says what is wrong with it"
    one = told("postgresql://u@localhost:5433/d")
    assert "127.0.0.1" in one["hostaddr"].split(",")
    assert len(one["hostaddr"].split(",")) == len(one["host"].split(",")) == len(one["port"].split(","))
    assert set(one["port"].split(",")) == {"5433"}
    many = told("host=10.0.0.1,localhost port=1,2 user=u")
    assert many["host"].split(",")[0] == "10.0.0.1" and many["hostaddr"].split(",")[0] == ""
    assert many["port"].split(",")[0] == "1" and set(many["port"].split(",")[1:]) == {"2"}
    with pytest.raises(socket.gaierror):
        _with_addresses("host=no..name", time.monotonic() + 5)


@pytest.mark.slow
def test_a_silent_name_server_holds_up_no_sample_and_is_unreadable(tmp_path):
    if not can_isolate():
        pytest.skip("no user namespaces here (unshare -Urmn, ip): cannot silence the name server")
    asked = [
        ["http", {"url": "http://a.test/"}],
        ["tcp", {"host": "a.test", "port": 1}],
        ["sql", {"dsn": "host=a.test user=u", "query": "select 1"}],
        ["http", {"url": "http://a.test/", "resolver": "target"}],
        ["tcp", {"host": "a.test", "port": 1, "resolver": "target"}],
        ["sql", {"dsn": "host=a.test user=u", "query": "select 1", "resolver": "target"}],
    ]
    words = [sys.executable, "-c", SILENT, str(ROOT), json.dumps(asked)]
    shell = ["unshare", "-Urmn", "sh", "-c", NAMELESS, "sh", str(tmp_path / "resolv.conf"), *words]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [reading for reading, _, _ in found] == ["unreadable"] * 3 + ["bad"] * 3
    assert {detail for _, detail, _ in found} == {"no answer from the name server"}
    assert max(took for _, _, took in found) < 2, "the resolver alone would take ten seconds"
