"""The calls of the bucket under Object Lock, and of levers and leases, on each emulator, in this process."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from gameday.hosts.objecthost import _answer, _Clients
from gameday.hosts.s3store import S3Store
from gameday.hosts.sink import NotKeptError, _Sink
from gameday.hosts.stores import ACKED
from tests.aws.calls import noted

pytestmark = pytest.mark.slow


@pytest.fixture
def bucket(world):
    s3 = world.client("s3")
    name = f"evidence-{world.kind}-{datetime.now(UTC):%H%M%S%f}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def send(world, bucket, folder, *, hold=True, days=1):
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    asked = {
        "to": f"s3://{bucket}/drills", "endpoint_url": world.url, "until_utc": until.isoformat(), "legal_hold": hold,
    }  # fmt: skip
    with noted(world.kind):
        return until, list(_Sink(asked).send(folder))


def test_what_is_sent_is_held_by_its_version_and_read_back(world, bucket, tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "manifest.json").write_bytes(b"{}")
    if world.kind == "moto":
        # It gives the object itself where its retention is asked for: what cannot be read back is not kept.
        with pytest.raises(ClientError, match="GetObjectRetention"):
            send(world, bucket, folder)
        return
    until, sent = send(world, bucket, folder)
    (one,) = sent
    assert one["sha256"] == hashlib.sha256(b"{}").hexdigest() and one["version"]
    s3 = world.client("s3")
    where = {"Bucket": bucket, "Key": "drills/manifest.json", "VersionId": one["version"]}
    held = s3.get_object_retention(**where)["Retention"]
    assert (held["Mode"], held["RetainUntilDate"].astimezone(UTC)) == ("COMPLIANCE", until)
    assert s3.get_object_legal_hold(**where)["LegalHold"]["Status"] == "ON"
    s3.delete_object(Bucket=bucket, Key="drills/manifest.json")  # Hides it; the version stays.
    assert s3.get_object(**where)["Body"].read() == b"{}"
    with pytest.raises(s3.exceptions.ClientError):
        s3.delete_object(**where)


def test_what_is_held_long_enough_is_not_sent_again_and_what_is_not_is(world, bucket, tmp_path):
    if world.kind == "moto":  # Nothing is kept there, as above; a second attempt is no better than the first.
        (tmp_path / "a").write_bytes(b"a")
        for _ in range(2):
            with pytest.raises(ClientError, match="GetObjectRetention"):
                send(world, bucket, tmp_path)
        return
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "a").write_bytes(b"a")
    _, first = send(world, bucket, folder, days=3)
    _, again = send(world, bucket, folder, days=2)
    _, longer = send(world, bucket, folder, days=9)
    assert first == again and longer[0]["version"] != first[0]["version"]


def test_a_bucket_without_object_lock_keeps_nothing(world, tmp_path):
    name = f"plain-{world.kind}-{datetime.now(UTC):%H%M%S%f}"
    world.client("s3").create_bucket(Bucket=name)
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(NotKeptError, match="has no Object Lock"):
        send(world, name, tmp_path)
    assert "Contents" not in world.client("s3").list_objects_v2(Bucket=name)


def test_conditions_of_levers_and_leases_hold(world, bucket):
    clients = _Clients()
    at = {"bucket": bucket, "key": "lease.json", "region": "us-east-1", "account": "", "endpoint": world.url}

    def ask(do, **more):
        with noted(world.kind):
            return _answer(clients, {"n": 1, "do": do, "at": at, "timeout_s": 10.0, **more})

    assert ask("get")["is"] == "absent"
    made = ask("make", body="one")
    assert made["is"] == "done"
    assert ask("make", body="two")["is"] == "conflict"
    assert ask("replace", body="two", tag='"0123456789abcdef0123456789abcdef"')["is"] == "conflict"
    replaced = ask("replace", body="two", tag=made["tag"])
    assert replaced["is"] == "done" and ask("get")["body"] == "two"
    assert ask("remove", tag=made["tag"])["is"] == "conflict"
    assert ask("remove", tag=replaced["tag"])["is"] == "done"
    assert ask("get")["is"] == "absent"


def test_a_ledger_of_objects_is_written_read_back_and_removed(world, bucket):
    with noted(world.kind):
        store = S3Store({"bucket": bucket, "endpoint": world.url, "region": "us-east-1"}, "run-1", 10.0)
        store.prepare()
        for number in (1, 2):
            assert store.write(number, f"{number:064x}", "x") is ACKED
        assert sorted(store.read_all()) == [(1, f"{1:064x}"), (2, f"{2:064x}")]
        assert store.purge() == 2 and store.read_all() == []
