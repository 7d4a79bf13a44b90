"""Ledgers on real stores: what they say of a write is what an independent client finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import boto3
import psycopg
import pytest
import redis

from gameday.errors import Refused
from gameday.history.events import LedgerRead, SyntheticPurged
from gameday.hosts.clock import RunClock
from gameday.hosts.inbox import new_inbox
from gameday.hosts.ledger import LedgerWriter
from gameday.plan.model import NS, Ledger
from tests.hosts import stores
from tests.hosts.servers import closed_port

GIVE_UP_S = 30.0
HOOK = """
import json, pathlib, time
FILE = pathlib.Path(__file__).with_name("kept.jsonl")
def write(number, sha256, payload, *, run, timeout_s, mood="good"):
    print("user code may print")
    if mood == "false" : return False
    if mood == "raise": raise RuntimeError("no idea, password=hunter2hunter2")
    if mood == "hang": time.sleep(60)
    with FILE.open("a") as file: file.write(json.dumps([run, number, sha256]) + "\\n")
def read_all(*, run, mood="good"):
    rows = [json.loads(line) for line in FILE.read_text().splitlines()] if FILE.exists() else []
    return [(number, sha) for mine, number, sha in rows if mine == run]
def purge(*, run, mood="good"):
    found = len(read_all(run=run)); FILE.unlink(missing_ok=True); return found
"""


class Rig:
    """A ledger on a store, with its entries."""

    def __init__(self, folder, writer, spec, every_s=0.01, timeout_s=0.5, name="here"):
        self.path = folder / "ledger.jsonl"
        self.inbox = new_inbox()
        ledger = Ledger(writer, json.dumps(spec), int(every_s * NS), int(timeout_s * NS), name)
        self.writer = LedgerWriter(
            ledger, run="run-1", path=self.path, clock=RunClock(), inbox=self.inbox, project=folder
        )
        try:
            self.writer.arm()
        except Refused:
            self.writer.stop()
            raise
        self.writer.start()

    def entries(self):
        return [json.loads(line) for line in self.path.read_bytes().split(b"\n")[:-1]]

    def numbers(self, mark):
        return [e["number"] for e in self.entries() if e["mark"] == mark]

    def wait(self, is_so):
        give_up_s = time.monotonic() + GIVE_UP_S
        while not is_so():
            assert time.monotonic() < give_up_s, self.entries()[-5:]
            time.sleep(0.01)

    def wait_for(self, mark, count):
        self.wait(lambda: len(self.numbers(mark)) >= count)

    def read_back(self, occasion="end", resume=False):
        self.writer.ask(occasion, resume)
        return self.inbox.get(timeout=GIVE_UP_S)[1]

    def purge(self):
        self.writer.purge()
        return self.inbox.get(timeout=GIVE_UP_S)[1]


@pytest.fixture
def rig(tmp_path):
    made = []

    def make(writer, spec, **more):
        made.append(Rig(tmp_path, writer, spec, **more))
        return made[-1]

    yield make
    for one in made:
        one.writer.stop()


def check_round(one, independent):
    """Write, read back, compare with an independent client, remove."""
    one.wait_for("acked", 20)
    assert one.read_back() == LedgerRead("end", ok=True, recovered=len(one.numbers("acked")), ledger="here")
    there = independent()
    assert sorted(one.numbers("present")) == sorted(one.numbers("acked")) == sorted(there)
    assert {e["ledger"] for e in one.entries()} == {"here"}
    assert one.purge() == SyntheticPurged(len(there), len(there), ok=True)
    assert independent() == []


def keys(port):
    with redis.Redis(port=port) as client:
        return [int(item.split()[0]) for item in client.lrange("gameday:ledger:run-1", 0, -1)]


def test_valkey_holds_what_was_acknowledged(rig, tmp_path):
    with stores.valkey(tmp_path) as (_, port):
        check_round(rig("redis", {"url": f"redis://127.0.0.1:{port}/0"}), lambda: keys(port))


@pytest.mark.slow
def test_a_valkey_that_dies_refuses_or_leaves_in_doubt_and_is_found_again(rig, tmp_path):
    kept = ["--appendonly", "yes", "--appendfsync", "always"]
    with stores.valkey(tmp_path, options=kept) as (server, port):
        one = rig("redis", {"url": f"redis://127.0.0.1:{port}/0"})
        one.wait_for("acked", 20)
        server.kill()
        one.wait_for("failed", 5)
    with stores.valkey(tmp_path, port=port, options=kept):
        acked = len(one.numbers("acked"))
        one.wait_for("acked", acked + 5)
        assert one.read_back().ok
        there = keys(port)
    assert set(one.numbers("acked")) <= set(there)
    assert not set(one.numbers("failed")) & set(there)


@pytest.mark.slow
def test_a_valkey_that_refuses_certainly_did_not_write(rig, tmp_path):
    with stores.valkey(tmp_path) as (_, port):
        one = rig("redis", {"url": f"redis://127.0.0.1:{port}/0"})
        one.wait_for("acked", 5)
        with redis.Redis(port=port) as client:
            client.config_set("min-replicas-to-write", 3)
        one.wait_for("failed", 5)
        assert any("NOREPLICAS" in e["detail"] or "replicas" in e["detail"] for e in one.entries())
        with redis.Redis(port=port) as client:
            client.replicaof("127.0.0.1", closed_port())
        read = one.read_back()
        assert not read.ok and "no master" in read.detail


@pytest.mark.slow
def test_a_valkey_that_hangs_leaves_writes_in_doubt(rig, tmp_path):
    with stores.valkey(tmp_path) as (server, port):
        one = rig("redis", {"url": f"redis://127.0.0.1:{port}/0"}, every_s=0.05, timeout_s=0.2)
        one.wait_for("acked", 5)
        server.send_signal(19)
        one.wait_for("unknown", 5)
        server.send_signal(18)
        acked = len(one.numbers("acked"))
        one.wait_for("acked", acked + 5)
        assert one.read_back().ok
        assert set(one.numbers("acked")) <= set(keys(port))


@pytest.mark.slow
def test_postgresql_holds_what_was_acknowledged(rig, lab, monkeypatch):
    dsn = json.loads(open(lab["lab.state_file"]).read())["nodes"]["a"]["dsn"]
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    monkeypatch.setenv("LEDGER_PW", parts["password"])
    url = f"postgresql://{parts['user']}:${{env.LEDGER_PW}}@{parts['host']}:{parts['port']}/postgres"

    def rows():
        with psycopg.connect(dsn) as connection:
            names = connection.execute(
                "select tablename from pg_tables where tablename like 'gameday_ledger_%'"
            ).fetchall()
            return [row[0] for (name,) in names for row in connection.execute(f"select number from {name}")]

    one = rig("sql", {"url": url})
    check_round(one, rows)
    with psycopg.connect(dsn) as connection:
        tables = "select count(*) from pg_tables where tablename like 'gameday_ledger_%'"
        assert connection.execute(tables).fetchone() == (0,)
    assert not [p for p in one.path.parent.iterdir() if parts["password"].encode() in p.read_bytes()]


@pytest.mark.slow
def test_a_postgresql_that_refuses_a_write_certainly_did_not_make_it(rig, lab, monkeypatch):
    dsn = json.loads(open(lab["lab.state_file"]).read())["nodes"]["a"]["dsn"]
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    monkeypatch.setenv("LEDGER_PW", parts["password"])
    url = f"postgresql://{parts['user']}:${{env.LEDGER_PW}}@{parts['host']}:{parts['port']}/postgres"
    one = rig("sql", {"url": url})
    one.wait_for("acked", 5)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("alter system set default_transaction_read_only = on")
        connection.execute("select pg_reload_conf()")
        try:
            one.wait_for("failed", 5)
        finally:
            connection.execute("set default_transaction_read_only = off")
            connection.execute("alter system reset default_transaction_read_only")
            connection.execute("select pg_reload_conf()")
    acked = len(one.numbers("acked"))
    one.wait_for("acked", acked + 5)
    assert one.read_back().ok
    assert not set(one.numbers("failed")) & set(one.numbers("present"))
    assert set(one.numbers("acked")) <= set(one.numbers("present"))
    assert one.purge().ok


@pytest.mark.slow
def test_s3_holds_what_was_acknowledged(rig, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "t")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "t")
    (tmp_path / "s3").mkdir()
    with stores.s3(tmp_path / "s3") as url:
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        stores.wait_until(lambda: makes_bucket(client), "a bucket", 40)

        def objects():
            found = client.list_objects_v2(Bucket="drills").get("Contents", [])
            return [int(item["Key"].rpartition("/")[2]) for item in found]

        spec = {"bucket": "drills", "endpoint": url, "region": "us-east-1"}
        one = rig("s3", spec, every_s=0.05, timeout_s=2.0)
        one.wait_for("acked", 10)
        read = one.read_back(resume=True, occasion="first")
        assert read.ok and read.recovered == len(objects())
        client.put_object(Bucket="drills", Key=f"gameday-ledger/run-1/{1:09d}", Body=b"something else")
        client.delete_object(Bucket="drills", Key=f"gameday-ledger/run-1/{2:09d}")
        assert one.read_back().ok
        last = {e["number"]: e["sha256"] for e in one.entries() if e["occasion"] == "end"}
        assert last[1] == "" and 2 not in last and set(last) == set(objects())
        assert one.purge().ok
        assert objects() == []


def makes_bucket(client):
    try:
        client.create_bucket(Bucket="drills")
    except Exception:
        return False
    return True


def hook(folder):
    (folder / "shop_hook.py").write_text(HOOK)

    def kept():
        file = folder / "kept.jsonl"
        return [json.loads(line)[1] for line in file.read_text().splitlines()] if file.exists() else []

    return kept


def test_a_module_of_the_project_is_a_store(rig, tmp_path):
    kept = hook(tmp_path)
    check_round(rig("python", {"module": "shop_hook"}), kept)
    assert "user code may print" in (tmp_path / "ledger-here.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mood", "mark", "detail"), [("false", "failed", "not written"), ("raise", "unknown", "no idea")]
)
def test_what_a_module_says_or_raises_is_taken_for_what_it_proves(rig, tmp_path, mood, mark, detail):
    hook(tmp_path)
    one = rig("python", {"module": "shop_hook", "arguments": {"mood": mood}})
    one.wait_for(mark, 3)
    said = [e["detail"] for e in one.entries() if e["mark"] == mark]
    assert all(detail in text for text in said)
    assert "hunter2" not in one.path.read_text()


@pytest.mark.slow
def test_a_module_that_hangs_is_killed_and_the_ledger_goes_on(rig, tmp_path, monkeypatch):
    monkeypatch.setattr("gameday.hosts.hoststore.STUCK_MIN_S", 0.5)
    hook(tmp_path)
    one = rig("python", {"module": "shop_hook", "arguments": {"mood": "hang"}}, every_s=0.05, timeout_s=0.05)
    first = one.writer.pid
    one.wait(lambda: one.writer.pid != first)
    one.wait(lambda: not os.path.exists(f"/proc/{first}"))
    assert set(one.numbers("acked")) == set()


@pytest.mark.slow
def test_a_host_that_is_killed_leaves_no_false_acknowledgement_and_comes_back(rig, tmp_path):
    with stores.valkey(tmp_path) as (_, port):
        one = rig("redis", {"url": f"redis://127.0.0.1:{port}/0"})
        one.wait_for("acked", 10)
        os.kill(one.writer.pid, 9)
        acked = len(one.numbers("acked"))
        one.wait_for("acked", acked + 10)
        assert one.read_back().ok
        assert set(one.numbers("acked")) <= set(keys(port))
        assert not set(one.numbers("failed")) & set(keys(port))


@pytest.mark.slow
def test_a_secret_that_a_client_repeats_in_its_error_stands_in_no_file(rig, tmp_path, monkeypatch):
    """A wrong password: the server names the user, the client its address; neither the password."""
    monkeypatch.setenv("LEDGER_CANARY", "canary-7f3a9c")
    with stores.valkey(tmp_path) as (_, port):
        with redis.Redis(port=port) as client:
            client.config_set("requirepass", "another-one")
        with pytest.raises(Refused) as caught:
            rig("redis", {"url": f"redis://:${{env.LEDGER_CANARY}}@127.0.0.1:{port}/0"})
    with pytest.raises(Refused) as other:
        rig("sql", {"url": "nosuch://u:${env.LEDGER_CANARY}@127.0.0.1/db"})
    assert "canary" not in f"{caught.value}{other.value}"
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert files and not [p for p in files if b"canary-7f3a9c" in p.read_bytes()]


@pytest.mark.slow
def test_a_file_of_the_project_does_not_stand_in_for_a_client(rig, tmp_path, monkeypatch):
    (tmp_path / "redis.py").write_text("raise SystemExit('mine was imported')")
    monkeypatch.chdir(tmp_path)
    with stores.valkey(tmp_path) as (_, port):
        rig("redis", {"url": f"redis://127.0.0.1:{port}/0"}).wait_for("acked", 3)


@pytest.mark.parametrize(
    ("writer", "spec", "said"),
    [
        ("redis", {"url": "redis://:${env.GAMEDAY_NO_SUCH}@127.0.0.1:1/0"}, "no GAMEDAY_NO_SUCH"),
        ("python", {"module": "no_such_hook"}, "no_such_hook"),
    ],
)
def test_a_store_that_is_not_ready_refuses_the_run(rig, writer, spec, said):
    with pytest.raises(Refused, match=said):
        rig(writer, spec)


@pytest.mark.slow
def test_the_process_ends_when_its_runner_is_gone(tmp_path):
    hook(tmp_path)
    config = {
        "writer": "python", "spec": {"module": "shop_hook"}, "run": "r", "timeout_s": 1.0,
        "project": str(tmp_path), "workers": 1, "prepare": True,
    }  # fmt: skip
    child = subprocess.Popen(
        [sys.executable, "-m", "gameday.hosts.ledgerhost"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    child.stdin.write(json.dumps(config).encode() + b"\n")
    child.stdin.flush()
    assert json.loads(child.stdout.readline()) == {"ready": True}
    child.stdin.close()
    assert child.wait(10) == 0
