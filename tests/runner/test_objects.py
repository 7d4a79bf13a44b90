"""Levers and leases as S3 objects: on SeaweedFS, moto and ministack, and on stores that lie, hang or go away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest

from gameday.errors import LeverUnreadable, NotAuthorised, Refused
from gameday.hosts.objectlink import ObjectLink
from gameday.plan.objecturl import object_url
from gameday.plan.policy import default_policy
from gameday.runner.lease import SharedLease
from gameday.runner.lever import Levers, ObjectLever
from tests.aws.emulators import CREDENTIALS, emulator, free_port
from tests.drills import ROOT
from tests.seaweed import ACCESS, SECRET, seaweed

LEVER = "s3://gameday-tests/lever.json"
LEASES = "s3://gameday-tests/leases"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s3://b/lever.json", "expected something like"),
        ("s3://bucket", "the key of one object"),
        ("s3://bucket/a/", "the key of one object"),
        ("s3://bucket/../x", "expected something like"),
        ("s3://bucket/x?regoin=eu-west-1", "'regoin' is none of account, endpoint, region"),
        ("s3://bucket/x?region=Frankfurt", "expected something like eu-west-1"),
        ("s3://bucket/x?account=12", "expected twelve digits"),
        ("s3://bucket/x?endpoint=ftp://x", "expected an http or https URL"),
        ("s3://bucket/x?endpoint=http://u:p@h", "must not hold a password"),
    ],
)
def test_a_wrong_url_is_told_in_one_line(text, said):
    with pytest.raises(ValueError, match=said) as raised:
        object_url(text)
    assert "\n" not in str(raised.value)


def test_a_url_says_where_and_shows_no_options():
    at = object_url("s3://ops/a/lever.json?region=eu-west-1&account=123456789012&endpoint=http://127.0.0.1:9")
    assert (at.bucket, at.key, at.region, at.account) == ("ops", "a/lever.json", "eu-west-1", "123456789012")
    assert at.text == "s3://ops/a/lever.json"
    assert object_url("s3://ops/leases/", is_prefix=True).below("x.lease").key == "leases/x.lease"


@contextmanager
def store(kind, folder):
    if kind == "seaweedfs":
        with seaweed(folder) as url:
            yield url, {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}
    else:
        with emulator(kind, folder) as url:
            yield url, {}


@pytest.fixture(scope="module", params=["seaweedfs", "moto", "ministack"])
def running(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with store(request.param, folder) as (url, keys):
        keys = {**CREDENTIALS, **keys}
        one = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip
        one.create_bucket(Bucket="gameday-tests")
        yield url, keys, one


@pytest.fixture
def s3(running, monkeypatch):
    """A bucket of the store, which all that is made in this process and below it talks to."""
    url, keys, one = running
    for key, value in {**keys, "AWS_ENDPOINT_URL": url}.items():
        monkeypatch.setenv(key, value)
    yield one
    for item in one.list_objects_v2(Bucket="gameday-tests").get("Contents") or ():
        one.delete_object(Bucket="gameday-tests", Key=item["Key"])


def keys_of(s3):
    return [item["Key"] for item in s3.list_objects_v2(Bucket="gameday-tests").get("Contents") or ()]


def lease_of(expires_s=2.0, run="run-2", at=LEASES):
    where = object_url(at, is_prefix=True)
    return SharedLease(where, "lab/x", holder="me", run=run, expires_s=expires_s)


def eventually(is_so, within_s=40.0):
    give_up_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < give_up_s
        time.sleep(0.05)


# --- leases ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_second_runner_is_refused_and_told_who_holds_it_and_nothing_is_left(s3):
    one, two = lease_of(20.0, "run-1"), lease_of(20.0)
    one.take()
    with pytest.raises(Refused, match="run run-1 of me on .*, until 20"):
        two.take()
    one.release()
    three = lease_of(20.0)
    three.take()
    three.release()
    assert keys_of(s3) == []


CONTENDER = """
import sys, time
from gameday.errors import Refused
from gameday.plan.objecturl import object_url
from gameday.runner.lease import SharedLease
where = object_url(sys.argv[1], is_prefix=True)
lease = SharedLease(where, "lab/x", holder="me", run=sys.argv[2], expires_s=float(sys.argv[3]))
print("ready", flush=True)
sys.stdin.readline()
try:
    lease.take()
    print("taken " + lease.taken_over, flush=True)
except Refused as error:
    print("refused " + str(error), flush=True)
    sys.exit()
while not lease.lost():
    time.sleep(0.02)
print("lost " + lease.lost(), flush=True)
"""


class Contender:
    def __init__(self, run, expires_s):
        self.process = subprocess.Popen(
            [sys.executable, "-c", CONTENDER, LEASES, run, str(expires_s)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
        )  # fmt: skip
        assert self.process.stdout.readline() == "ready\n"

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def line(self):
        return self.process.stdout.readline().strip()

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.mark.slow
@pytest.mark.usefixtures("s3")
def test_of_runners_that_ask_at_once_one_gets_it_and_so_again_when_it_was_killed():
    """First nothing is there (If-None-Match decides), then an expired lease of a dead holder (If-Match)."""
    for _ in range(2):
        crowd = [Contender(f"run-{n}", 3.0) for n in range(4)]
        try:
            for one in crowd:
                one.go()
            said = [one.line() for one in crowd]
            assert sum(line.startswith("taken") for line in said) == 1, said
            holder = crowd[[line.startswith("taken") for line in said].index(True)]
            assert all(
                "holds this target's lease" in s or "while we waited" in s for s in said if s[0] == "r"
            )
        finally:
            for one in crowd:
                one.kill()
        time.sleep(3.5)  # Its time has passed, and nobody renews it.


@pytest.mark.slow
@pytest.mark.usefixtures("s3")
def test_a_dead_holders_lease_is_refused_until_it_has_expired_and_then_taken_with_clear_words():
    dead = Contender("run-1", 9.0)
    dead.go()
    assert dead.line().startswith("taken")
    dead.kill()
    with pytest.raises(Refused, match="another drill holds"):
        lease_of(9.0).take()
    taken = []

    def is_taken():
        mine = lease_of(9.0)
        try:
            mine.take()
        except Refused:
            return False
        taken.append(mine)
        return True

    eventually(is_taken)
    assert "took over the expired lease of run run-1 of me" in taken[0].taken_over
    taken[0].release()


@pytest.mark.slow
def test_a_live_holder_renews_it_and_notices_that_another_took_it(s3):
    mine = lease_of(2.0)
    mine.take()
    (key,) = keys_of(s3)

    def record():
        return json.loads(s3.get_object(Bucket="gameday-tests", Key=key)["Body"].read())

    eventually(lambda: record()["beat"] >= 3)
    assert mine.lost() == ""
    theirs = {**record(), "token": "theirs", "run": "run-9"}
    s3.put_object(Bucket="gameday-tests", Key=key, Body=json.dumps(theirs).encode())
    eventually(mine.lost)
    assert "was taken by run run-9" in mine.lost()
    mine.release()
    assert record()["token"] == "theirs"  # What is not ours is left.


@pytest.mark.slow
def test_an_object_that_is_no_lease_is_not_taken_for_free(s3):
    mine = lease_of()
    key = object_url(LEASES, is_prefix=True).below(mine.name.rpartition("/")[2]).key
    s3.put_object(Bucket="gameday-tests", Key=key, Body=b"<html>")
    with pytest.raises(Refused, match="is not readable"):
        mine.take()


# --- levers ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_lever_halts_when_engaged_and_is_never_released_by_its_absence(s3, tmp_path):
    policy = default_policy()
    policy = type(policy)(**{**_fields(policy), "levers": (LEVER,), "lever_silence_ns": 2 * 10**9})
    lever = ObjectLever(object_url(LEVER))
    levers = Levers(tmp_path, policy)
    with pytest.raises(LeverUnreadable, match="there is no such object"):
        levers.check()
    levers.close()
    assert lever.release() is True  # What it was cannot be told.
    levers = Levers(tmp_path, policy)
    levers.check()
    assert levers.halting() == ""
    lever.engage(by="m.okafor", reason="incident 4711")
    eventually(levers.halting)
    assert levers.halting().startswith("engaged by m.okafor") and "incident 4711" in levers.halting()
    with pytest.raises(NotAuthorised, match="incident 4711"):
        levers.check()
    assert lever.release() is True
    eventually(lambda: not levers.halting())
    s3.delete_object(Bucket="gameday-tests", Key="lever.json")
    eventually(levers.halting)
    assert "there is no such object" in levers.halting()
    levers.close()
    lever.close()


def _fields(policy):
    return {name: getattr(policy, name) for name in policy.__dataclass_fields__}


# --- stores that cannot be relied on ---------------------------------------------------------


@contextmanager
def stand_in(serve):
    """A store that answers as `serve(handler)` does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def _serve(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            serve(self)

        do_GET = do_PUT = do_DELETE = _serve

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def answer(handler, status, body=b"", **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def xml(code):
    return f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()


@pytest.fixture
def credentials(monkeypatch):
    """Credentials in the environment, and what else a test changes there."""
    for key, value in CREDENTIALS.items():
        monkeypatch.setenv(key, value)
    return monkeypatch


@contextmanager
def moto(environment, folder):
    """An emulator with our bucket, which all that is made in this process and below it talks to."""
    with emulator("moto", folder) as url:
        environment.setenv("AWS_ENDPOINT_URL", url)
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="gameday-tests")
        yield


BLIND = {
    "no credentials": lambda h: answer(h, 403, xml("AccessDenied")),
    "expired": lambda h: answer(h, 400, xml("ExpiredToken")),
    "no bucket": lambda h: answer(h, 404, xml("NoSuchBucket")),
    "a 404 of a proxy": lambda h: answer(h, 404, b"<html>not here</html>"),
    "a broken server": lambda h: answer(h, 503, xml("SlowDown")),
    "garbage": lambda h: h.wfile.write(b"garbage\r\n\r\n"),
    "hangs up": lambda h: h.connection.close(),
    "hangs": lambda h: time.sleep(8),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", BLIND)
def test_what_does_not_answer_is_neither_free_nor_released(how, credentials):
    with stand_in(BLIND[how]) as url:
        credentials.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(Refused, match="cannot be taken"):
            lease_of().take()
        lever = ObjectLever(object_url(LEVER + "?region=us-east-1"))
        with pytest.raises(LeverUnreadable):
            lever.read()
        lever.close()


@pytest.mark.slow
def test_nobody_there_and_no_credentials_at_all(credentials):
    credentials.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Refused, match="cannot be taken"):
        lease_of().take()
    credentials.delenv("AWS_ACCESS_KEY_ID")
    credentials.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Refused, match="cannot be taken.*redentials"):
        lease_of().take()


@pytest.mark.slow
def test_a_store_that_ignores_conditions_is_refused(credentials):
    """It answers every write with 200, as stores did before conditional writes: two could hold one lease."""
    with stand_in(lambda h: answer(h, 200, ETag='"1"')) as url:
        credentials.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(Refused, match="does not keep the conditions"):
            lease_of().take()


@pytest.mark.slow
def test_a_lease_that_cannot_be_renewed_is_lost_before_it_expires(credentials, tmp_path):
    with moto(credentials, tmp_path):
        mine = lease_of(4.0)
        mine.take()
        assert mine.lost() == ""
    began_s = time.monotonic()
    eventually(mine.lost)
    assert time.monotonic() - began_s < 4.0
    assert "could not be renewed" in mine.lost()
    mine.release()


@pytest.mark.slow
def test_a_host_that_was_stopped_is_replaced(credentials, tmp_path):
    import signal

    with moto(credentials, tmp_path):
        link = ObjectLink(timeout_s=2.0)
        at = object_url(LEVER)
        assert link.ask(at, "get").kind == "absent"
        link._process.send_signal(signal.SIGSTOP)
        with pytest.raises(OSError, match="no answer in time"):
            link.ask(at, "get")
        assert link.ask(at, "get").kind == "absent"
        link._process.kill()
        eventually(lambda: link._process is None)
        assert link.ask(at, "get").kind == "absent"
        link.close()
        with pytest.raises(OSError, match="nobody is asked"):
            link.ask(at, "get")
