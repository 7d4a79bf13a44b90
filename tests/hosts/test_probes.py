"""What each kind of probe says of real servers, and that none of them outstays its deadline."""

from __future__ import annotations

import json
import os
import queue
import socket
import threading
import time

import psycopg  # So that no sample pays for it.
import pytest

from gameday.errors import Refused
from gameday.history.events import Reading
from gameday.hosts.activityprobe import ActivityProbe
from gameday.hosts.clock import RunClock
from gameday.hosts.httpprobe import exchange
from gameday.hosts.inbox import new_inbox
from gameday.hosts.probes import ProbeCrew
from gameday.hosts.readers import reader_of
from gameday.plan.model import NS, Probe, ProbeKind
from tests.hosts.servers import OK, answer, closed_port, drip, mute, reset, server, silent

MS = 1_000_000
TIMEOUT_S = 0.2
LATE_S = 6.0  # Thirty timeouts: what hangs on, hangs on for a minute.


def probe(kind, spec, timeout_s=TIMEOUT_S, every_s=0.05, name="p"):
    return Probe(name, kind, json.dumps(spec), int(every_s * NS), int(timeout_s * NS))


def read(kind, spec, timeout_s=TIMEOUT_S):
    """Take one sample, which must not outstay its deadline."""
    began_s = time.monotonic()
    found = reader_of(probe(kind, spec, timeout_s), "run-1")()
    assert time.monotonic() - began_s < LATE_S
    return found


def http(port, **more):
    return read(ProbeKind.HTTP, {"url": f"http://127.0.0.1:{port}/x", **more})


@pytest.mark.parametrize(
    ("behave", "detail"),
    [
        (answer(b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n"), "HTTP 503"),
        (answer(b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n"), "HTTP 302"),
        (answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), "cut off"),
        (answer(b""), "reset"),
        (answer(b"SSH-2.0-OpenSSH_9.6\r\n"), "not HTTP: BadStatusLine"),
        (answer(b"HTTP/1.1 200 OK\r\n" + b"a" * 100_000), "not HTTP: LineTooLong"),
        (reset, "reset"),
        (silent, "timeout"),
        (mute, "timeout"),
        (drip(b"HTTP/1.1 200 OK\r\nX-Long: "), "timeout"),
        (drip(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n", 0.01), "timeout"),
        (drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0.01), "timeout"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_a_web_server_does_wrong_is_bad(behave, detail):
    with server(behave) as port:
        assert http(port) == (Reading.BAD, detail)


def test_a_web_server_that_answers_well_is_good():
    with server(answer(OK)) as port:
        assert http(port)[0] is Reading.GOOD
        assert http(port, contains="ok")[0] is Reading.GOOD
        assert http(port, contains="no") == (Reading.BAD, "wrong answer")
        assert http(port, status=[201]) == (Reading.BAD, "HTTP 200")


def test_a_long_body_is_read_whole_though_the_head_says_close():
    body = b"x" * 300_000
    head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    def slowly(client):
        client.recv(65536)
        client.sendall(head)
        for start in range(0, len(body), 30_000):
            time.sleep(0.005)
            client.sendall(body[start : start + 30_000])

    with server(slowly) as port:
        found = exchange(f"http://127.0.0.1:{port}/", timeout_s=20)
    assert (found.status, found.body, found.error) == (200, body, "")


def test_what_cannot_be_reached_is_bad():
    assert http(closed_port()) == (Reading.BAD, "refused")
    found = read(ProbeKind.HTTP, {"url": "http://no..name/"}, timeout_s=1.0)
    assert found == (Reading.BAD, "name not found")
    with server(answer(OK)) as port:
        reading, detail = read(ProbeKind.HTTP, {"url": f"https://127.0.0.1:{port}/"})
    assert reading is Reading.BAD
    assert detail


def test_the_run_stands_in_the_request():
    heard = []

    def behave(client):
        data = b""
        while not data.endswith(b"}"):  # Head and body may come apart.
            data += client.recv(65536)
        heard.append(data)
        client.sendall(OK)

    with server(behave) as port:
        found = http(port, method="POST", body={"marker": "${run}"}, headers={"X-A": "b"})
    assert found[0] is Reading.GOOD
    assert b'"run-1"' in heard[0]
    assert b"X-A: b" in heard[0]


def test_all_addresses_of_a_name_share_one_deadline(monkeypatch):
    """A listener whose backlog is full drops what comes: both addresses hang."""
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    port = full.getsockname()[1]
    held = [socket.socket() for _ in range(4)]
    for one in held:
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
    info = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [info] * 20)
    began_s = time.monotonic()
    found = exchange("http://many.test/", timeout_s=0.3)
    assert (found.error, found.sent) == ("timeout", False)
    assert time.monotonic() - began_s < 3.0
    for one in (*held, full):
        one.close()


def test_tcp():
    with server(mute) as port:
        assert read(ProbeKind.TCP, {"host": "127.0.0.1", "port": port})[0] is Reading.GOOD
    assert read(ProbeKind.TCP, {"host": "127.0.0.1", "port": closed_port()}) == (Reading.BAD, "refused")
    assert read(ProbeKind.TCP, {"host": "no..name", "port": 1}) == (Reading.BAD, "name not found")


def test_sql_on_a_real_server(lab, lab_folder):
    dsn = json.loads((lab_folder / "lab.json").read_text())["nodes"]["a"]["dsn"]

    def sql(query, timeout_s=2.0, dsn=dsn, **more):
        return read(ProbeKind.SQL, {"dsn": dsn, "query": query, **more}, timeout_s)

    assert sql("select 1", expect=1)[0] is Reading.GOOD
    assert sql("select 'x'", expect="x")[0] is Reading.GOOD
    assert sql("select 1 where false")[0] is Reading.GOOD
    assert sql("select 1", expect=2) == (Reading.BAD, "wrong answer")
    assert sql("select 1 where false", expect=1) == (Reading.BAD, "wrong answer")
    assert sql("select null", expect="None") == (Reading.BAD, "wrong answer")
    assert "division by zero" in sql("select 1/0")[1]
    assert sql("select pg_sleep(10)", timeout_s=TIMEOUT_S) == (Reading.BAD, "timeout")


@pytest.mark.parametrize("behave", [mute, drip(b"S")])
def test_sql_on_a_server_that_hangs(behave):
    with server(behave) as port:
        spec = {"dsn": f"host=127.0.0.1 port={port} user=x dbname=x sslmode=disable", "query": "select 1"}
        assert read(ProbeKind.SQL, spec)[0] is Reading.BAD
    spec = {"dsn": f"host=127.0.0.1 port={closed_port()} user=x", "query": "select 1"}
    reading, detail = read(ProbeKind.SQL, spec)
    assert reading is Reading.BAD
    assert "refused" in detail


def test_a_program_is_good_or_bad_by_its_exit(tmp_path):
    def run(*argv, timeout_s=5.0):
        return reader_of(probe(ProbeKind.PROCESS, {"argv": list(argv)}, timeout_s), "run-1")()

    assert run("/bin/true") == (Reading.GOOD, "")
    assert run("/bin/false") == (Reading.BAD, "exit 1")
    assert run("/bin/sh", "-c", "exit 3") == (Reading.BAD, "exit 3")
    assert run("/bin/sh", "-c", "sleep 60", timeout_s=TIMEOUT_S) == (Reading.BAD, "timeout")
    assert run("/no/such/program")[0] is Reading.UNREADABLE
    assert run("/bin/sh", "-c", "kill -9 $$") == (Reading.UNREADABLE, "ended by SIGKILL")
    assert run("/bin/sh", "-c", f"sleep 60 & echo $! > {tmp_path}/pid")[0] is Reading.GOOD
    left = int((tmp_path / "pid").read_text())
    give_up_s = time.monotonic() + 5
    while os.path.exists(f"/proc/{left}") and open(f"/proc/{left}/stat").read().split()[2] != "Z":
        assert time.monotonic() < give_up_s, "what a probe left behind lives on"


@pytest.fixture
def activity(tmp_path):
    made = []

    def make(func, tolerance=True, timeout_s=10.0, **arguments):
        provider = {"type": "python", "module": "tests.hosts.naughty", "func": func, "arguments": arguments}
        spec = {"provider": provider, "tolerance": tolerance}
        made.append(
            ActivityProbe(
                probe(ProbeKind.ACTIVITY, spec, timeout_s, name=func), log_dir=tmp_path, configuration={}
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize(
    ("func", "tolerance", "reading"),
    [
        ("value:3", [1, 5], Reading.GOOD),
        pytest.param("value:9", {"type": "range", "range": [1, 5]}, Reading.BAD, marks=pytest.mark.slow),
        pytest.param("value:no", {"type": "regex", "pattern": "^yes"}, Reading.BAD, marks=pytest.mark.slow),
        ("target_is_bad", True, Reading.BAD),
        pytest.param("raises", True, Reading.UNREADABLE, marks=pytest.mark.slow),
        pytest.param("no_answer", True, Reading.UNREADABLE, marks=pytest.mark.slow),
        ("dies", True, Reading.UNREADABLE),
        pytest.param("exits", True, Reading.UNREADABLE, marks=pytest.mark.slow),
    ],
)
def test_any_chaos_toolkit_probe(activity, func, tolerance, reading):
    name, _, value = func.partition(":")
    arguments = {"of": int(value) if value.isdigit() else value} if value else {}
    one = activity(name, tolerance, **arguments)
    assert one.read()[0] is reading
    found = one.read()  # The one after a dead host is read by a new host, as soon as that is ready.
    assert found[0] is reading
    assert "not ready" not in found[1]


@pytest.mark.slow
def test_a_chaos_toolkit_probe_that_hangs_is_unreadable_and_replaced(activity, tmp_path):
    one = activity("hangs", started=str(tmp_path / "started"), timeout_s=0.5)
    assert one.read() == (Reading.UNREADABLE, "timeout")
    give_up_s = time.monotonic() + 20
    while (found := one.read()) == (Reading.UNREADABLE, "its new host is not ready yet"):
        assert time.monotonic() < give_up_s
    assert found == (Reading.UNREADABLE, "timeout")  # The new host did take it up, and hung as well.


@pytest.mark.slow
def test_samples_of_one_host_do_not_take_each_others_answers(activity):
    one = activity("value", [1, 5], of=3)
    found = []
    readers = [threading.Thread(target=lambda: found.append(one.read())) for _ in range(5)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert found == [(Reading.GOOD, "")] * 5


def test_a_chaos_toolkit_probe_that_cannot_be_armed_is_refused(activity):
    with pytest.raises(Refused, match="has no function"):
        activity("nowhere")


def crew(probes, tmp_path):
    inbox = new_inbox()
    made = ProbeCrew(
        tuple(probes), run="r", clock=RunClock(), inbox=inbox, log_dir=tmp_path, configuration={}
    )
    made.start()
    return made, inbox


def take(inbox, count):
    return [inbox.get(timeout=20)[1] for _ in range(count)]


def test_the_schedule_is_fixed_while_answers_are_slow(tmp_path):
    """Answers take six periods, so six requests are in flight; no slot is missed or late."""
    flying, most, lock = 0, 0, threading.Lock()

    def behave(client):
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
        client.recv(65536)
        time.sleep(0.6)
        with lock:
            flying -= 1
        client.sendall(OK)

    with server(behave) as port:
        spec = {"url": f"http://127.0.0.1:{port}/"}
        made, inbox = crew([probe(ProbeKind.HTTP, spec, timeout_s=5.0, every_s=0.1)], tmp_path)
        samples = sorted(take(inbox, 15), key=lambda s: s.sent_ns)
        made.stop(5.0)
    assert {s.reading for s in samples} == {Reading.GOOD}
    assert most >= 3
    assert all(s.ended_ns - s.sent_ns >= 590 * MS for s in samples)
    # The slots stay on one grid: their drift does not add up.
    assert abs((samples[-1].sent_ns - samples[0].sent_ns) - 14 * 100 * MS) < 1000 * MS


def test_a_slow_probe_does_not_hold_up_another(tmp_path):
    with server(mute) as hung, server(answer(OK)) as well:
        made, inbox = crew(
            [
                probe(ProbeKind.HTTP, {"url": f"http://127.0.0.1:{hung}/"}, 3.0, 0.5, name="hung"),
                probe(ProbeKind.HTTP, {"url": f"http://127.0.0.1:{well}/"}, 1.0, 0.02, name="well"),
            ],
            tmp_path,
        )
        samples = take(inbox, 20)
        made.stop(0.0)
    assert {(s.probe, s.reading) for s in samples} == {("well", Reading.GOOD)}


def test_nothing_is_sampled_after_the_stop(tmp_path):
    with server(answer(OK)) as port:
        made, inbox = crew([probe(ProbeKind.HTTP, {"url": f"http://127.0.0.1:{port}/"})], tmp_path)
        take(inbox, 2)
        made.stop(5.0)
        while not inbox.empty():
            inbox.get()
        with pytest.raises(queue.Empty):
            inbox.get(timeout=0.3)


def test_a_reader_that_fails_itself_is_unreadable(tmp_path):
    made, inbox = crew([probe(ProbeKind.HTTP, {"url": "http://127.0.0.1:nonsense/"})], tmp_path)
    (sample,) = take(inbox, 1)
    made.stop(1.0)
    assert sample.reading is Reading.UNREADABLE
    assert "ValueError" in sample.detail
