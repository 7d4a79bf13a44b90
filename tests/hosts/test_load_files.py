"""Real Locust files, unchanged, behind the real load host: what each of them is about still happens."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gameday.history.loadevents import GeneratorReady, LoadBucket, LoadReported
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.load import LoadHost
from gameday.hosts.loadtrace import trace_prefix
from gameday.plan.model import NS, Load, Stage
from tests.hosts.test_load_host import GIVE_UP_S, Rig, of, total

FILES = Path(__file__).with_name("loadfiles")
pytestmark = pytest.mark.slow


@contextlib.contextmanager
def echo():
    """A server that answers everything at once and remembers path and headers."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self):
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
            seen.append((self.path, dict(self.headers), body))
            text = b'{"orders": []}' if self.command == "GET" else b"{}"
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text)

        do_GET = do_POST = do_HEAD = answer

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


class File(Rig):
    """A load whose profile is one of the files, in a project of its own."""

    def __init__(self, folder, name, url, **more):
        for path in FILES.glob("*.py"):
            shutil.copy(path, folder)
        (folder / "items.csv").write_text("item\ncup\n")
        (folder / "helper_names.py").write_text("PATHS = {'orders': '/orders'}\n")
        self.inbox = new_inbox()
        sha256 = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        load = Load("it", name, sha256, host=url, **more)
        place = folder / "runs" / "the-run" / "hosts" / "load-it"
        self.host = LoadHost(load, project=folder, folder=place, clock=RunClock(), inbox=self.inbox)
        self.host.arm(GIVE_UP_S)
        self.rate, self.users = load.rate_per_1000s, load.users

    def __enter__(self):
        self.host.start(self.rate, self.users)
        return self

    def __exit__(self, *_):
        self.host.close()


def names(buckets):
    return {name for b in buckets for name, *_ in b.endpoints}


LOOPS = pytest.mark.parametrize("loop", [{"rate_per_1000s": 60_000}, {"users": 6}], ids=["rate", "users"])


@LOOPS
def test_journeys(tmp_path, loop):
    options = ("--exclude-tags", "never")
    wanted = {"GET cart opened", "POST pay", "GET /look", "GET /poll", "POST /orders"}
    with echo() as (url, seen), File(tmp_path, "journeys.py", url, options=options, **loop) as one:
        buckets = one.buckets(lambda b: wanted <= names(b) and total(b, "good") > 50)
    assert total(buckets, "bad") == 0
    assert names(buckets) == wanted
    assert "/forbidden" not in {path for path, *_ in seen}
    for b in buckets:
        assert b.good == sum(good for _, good, _, _ in b.endpoints)
        assert dict(b.latency) == merged(latency for *_, latency in b.endpoints)
        assert b.waiting == sum(count for _, count in b.ages)


def merged(parts):
    found = {}
    for part in parts:
        for index, count in part:
            found[index] = found.get(index, 0) + count
    return found


@LOOPS
def test_hooks_arguments_log_ins_and_data(tmp_path, loop):
    options = ("--tenant", "acme", "--api-key", "hunter2")
    with echo() as (url, seen), File(tmp_path, "hooks.py", url, options=options, **loop) as one:
        events = one.events(lambda found: total(of(found), "good") > 20)
        one.host.stop()
        one.events(lambda found: LoadReported("it", "stopped") in found)
    noted = (tmp_path / "seen.txt").read_text().split("\n")
    for word in ("init acme", "test_start True", "request order of acme", "test_stop", "quitting True"):
        assert word in noted, noted
    assert {body["item"] for _, _, body in seen} == {"login", "cup"}
    assert {"POST login", "POST order of acme"} <= names(of(events))
    ready = next(e for e in events if isinstance(e, GeneratorReady))
    assert {"locust", "gevent", "python", "requests"} <= dict(ready.software).keys()
    assert dict(ready.options)["tenant"] == "acme"
    assert dict(ready.options)["api_key"] == "(hidden)"
    assert "hunter2" not in str(ready)


@LOOPS
def test_a_user_that_speaks_no_http(tmp_path, loop):
    with echo() as (url, _), File(tmp_path, "socketuser.py", url, **loop) as one:
        buckets = one.buckets(lambda b: total(b, "good") > 30)
    assert names(buckets) == {"LINE ask"}
    assert total(buckets, "intended") >= total(buckets, "good")


def test_a_shape_of_its_own_decides(tmp_path):
    with echo() as (url, _), File(tmp_path, "shaped.py", url, shape=True) as one:
        buckets = one.buckets(lambda b: "GET /two" in names(b) and total(b, "good") > 60)
    first = [b for b in buckets if b.endpoints][:10]
    assert names(first) == {"GET /one"}


def test_a_file_without_a_shape_is_refused_where_the_plan_says_shape(tmp_path):
    from gameday.errors import Refused  # noqa: PLC0415

    with pytest.raises(Refused, match="it defines no LoadTestShape"):
        File(tmp_path, "hooks.py", "http://127.0.0.1:9", shape=True)


def test_stages_of_a_rate_and_of_users(tmp_path):
    rates = (Stage(0, 20_000), Stage(2 * NS, 20_000), Stage(2 * NS, 120_000))
    with echo() as (url, _), File(tmp_path, "hooks.py", url, stages=rates) as one:
        buckets = one.buckets(lambda b: total(b, "intended") > 250)
    per_slice = [b.intended for b in buckets if b.intended]
    assert sum(per_slice[:10]) == pytest.approx(20, abs=6)
    assert sum(per_slice[-5:]) > 40
    users = (Stage(0, None, 1), Stage(2 * NS, None, 9))
    other = tmp_path / "users"
    other.mkdir()
    with echo() as (url, seen), File(other, "hooks.py", url, stages=users) as one:
        one.buckets(lambda _: sum(body["item"] == "login" for *_, body in seen) == 9)


def test_each_request_says_what_it_belongs_to_on_demand(tmp_path):
    with echo() as (url, seen), File(tmp_path, "journeys.py", url, users=6, trace=True) as one:
        one.buckets(lambda b: total(b, "good") > 20)
        one.host.at_step("3-kill")
        count = len(seen)
        one.buckets(lambda _: len(seen) > count + 40)
    traces = [headers["traceparent"].split("-") for _, headers, _ in seen]
    assert all(len(t) == 4 and t[0] == "00" and t[3] == "01" and len(t[2]) == 16 for t in traces)
    assert all(t[1].startswith(trace_prefix("the-run")) and len(t[1]) == 32 for t in traces)
    assert len({t[1] for t in traces}) == len({t[2] for t in traces}) == len(traces)
    assert "gameday.step" not in seen[0][1]["baggage"]
    assert seen[-1][1]["baggage"] == "gameday.run=the-run,gameday.load=it,gameday.step=3-kill"


def test_a_closed_loop_shows_what_has_no_answer(tmp_path):
    """The target accepts and never answers: it is seen by its age long before any timeout."""
    import socket  # noqa: PLC0415

    with socket.create_server(("127.0.0.1", 0), backlog=50) as hole:
        url = f"http://127.0.0.1:{hole.getsockname()[1]}"
        for name in ("shaped.py", "hooks.py"):
            where = tmp_path / name
            where.mkdir()
            with File(where, name, url, users=4, timeout_ns=30 * NS) as one:
                buckets = one.buckets(lambda b: b and b[-1].ages and b[-1].ages[0][0] > 20 << 7)
                last = buckets[-1]
                assert isinstance(last, LoadBucket)
                assert (last.waiting, last.good, last.bad) == (4, 0, 0)
                one.host.stop()
                stopped = one.buckets(lambda b: any(b.errors for b in b))
                assert stopped[-1].errors == (("stopped", 4),)


@contextlib.contextmanager
def dripping():
    """A server that sends a byte of its answer every 200 ms, which no timeout between bytes would end."""
    import socket  # noqa: PLC0415
    import time  # noqa: PLC0415

    def drip(peer):
        with contextlib.suppress(OSError), peer:
            peer.recv(65536)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while True:
                peer.sendall(b".")
                time.sleep(0.2)

    def serve(listener):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_request_has_one_deadline_for_the_whole_of_it(tmp_path):
    """The file is an HttpUser's, and sets no timeout; afterwards its users go on."""
    with dripping() as url, File(tmp_path, "hooks.py", url, users=4, timeout_ns=NS) as one:
        buckets = one.buckets(lambda b: total(b, "bad") >= 12)
        errors = [item for bucket in buckets for item in bucket.errors]
        assert {kind for kind, _ in errors} == {"timeout"}
        assert {name for b in buckets for name, *_ in b.endpoints} != set()
        bad_at_ns = [b.start_ns for b in buckets if b.bad]
        began_ns = next(b.start_ns for b in buckets if b.started)
        assert NS - 150_000_000 <= bad_at_ns[0] - began_ns <= 1.6 * NS
        assert bad_at_ns[-1] - began_ns >= 2.8 * NS
