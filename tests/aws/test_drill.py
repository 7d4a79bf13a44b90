"""The drill of docs/aws.md from end to end on moto, and what becomes of it when AWS is not as it should be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest

from gameday.history.events import Effect, StepEnded, UndoEnded
from tests.aws.conftest import sts_answer
from tests.aws.emulators import CREDENTIALS, Front, emulator, error
from tests.aws.plans import documented
from tests.drills import ROOT, Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
REGION = "us-east-1"
TARGETS = (
    "aws:123456789012/us-east-1/cluster/orders",
    "aws:123456789012/us-east-1/asg/shop",
    "aws:123456789012/us-east-1/record/ZONE/db.example.com/A",
)


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    with emulator("moto", tmp_path_factory.mktemp("moto")) as url:
        yield url


@pytest.fixture
def service():
    """The system under drill, as far as these plans look at it: it says who it is, and is well."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            body = json.dumps(
                {
                    "environment": "lab",
                    "id": f"aws-{server.server_address[1]}",
                    "targets": {name: {} for name in TARGETS},
                }
            )
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def world(moto, service, private, tmp_path):
    """A cluster, a record and an alarm behind a front; and the plan that names them."""
    front = Front(moto)

    def client(name):
        return boto3.client(name, endpoint_url=moto, region_name=REGION)

    rds, r53, cloudwatch = client("rds"), client("route53"), client("cloudwatch")
    urllib.request.urlopen(urllib.request.Request(f"{moto}/moto-api/reset", method="POST")).close()
    rds.create_db_cluster(
        DBClusterIdentifier="orders",
        Engine="aurora-postgresql",
        MasterUsername="u",
        MasterUserPassword="password1",
    )
    for number in (1, 2):
        rds.create_db_instance(
            DBInstanceIdentifier=f"orders-{number}", DBInstanceClass="db.r5.large", Engine="aurora-postgresql",
            DBClusterIdentifier="orders",
        )  # fmt: skip
    zone = r53.create_hosted_zone(Name="example.com.", CallerReference="1")["HostedZone"]["Id"].rpartition(
        "/"
    )[2]
    record = {"Name": "db.example.com.", "Type": "A", "TTL": 5, "ResourceRecords": [{"Value": "10.0.0.1"}]}
    r53.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    )
    cloudwatch.put_metric_alarm(
        AlarmName="orders-errors", MetricName="m", Namespace="n", Statistic="Maximum", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName="orders-errors", StateValue="OK", StateReason="x")
    project = tmp_path / "project"
    project.mkdir()
    documented(project, **{"http://127.0.0.1:8080": service, "ZONE": zone})

    class World:
        def run(self, *more):
            environment = {
                **CREDENTIALS,
                "AWS_ENDPOINT_URL": front.url,
                "GAMEDAY_FAULT_DIR": str(tmp_path / "faults"),
            }
            return Run(project, "aws", *more, env=environment)

        def writer(self):
            members = rds.describe_db_clusters(DBClusterIdentifier="orders")["DBClusters"][0][
                "DBClusterMembers"
            ]
            return next(m["DBInstanceIdentifier"] for m in members if m["IsClusterWriter"])

        def answer(self):
            sets = r53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
            return next(s["ResourceRecords"][0]["Value"] for s in sets if s["Type"] == "A")

    world = World()
    world.front, world.cloudwatch, world.project = front, cloudwatch, project
    yield world
    front.close()


def events(run, kind):
    return [record.event for record in run.trace().records if isinstance(record.event, kind)]


def test_a_cluster_fails_over_a_record_is_shifted_both_are_undone_and_it_is_sealed(world):
    run = world.run()
    run.wait_for(lambda kind, data: kind == "StepEnded" and "shifted" in data.get("detail", ""), 90)
    assert (world.writer(), world.answer()) == ("orders-2", "10.0.0.2")
    code, out = run.end(120)
    assert code == 0, out + run.explain()
    assert (world.writer(), world.answer()) == ("orders-1", "10.0.0.1")
    ended = {e.step: e for e in events(run, StepEnded)}
    first = ended["1-the-writer-is-lost"]
    assert first.in_place and "FailoverDBCluster=" in first.detail and '"writer":"orders-1"' in first.detail
    assert sum(e.undone for e in events(run, UndoEnded)) == 2
    logs = "".join(path.read_text() for path in (run.folder / "hosts").glob("*.log"))
    assert "rds FailoverDBCluster request" in logs and "route53 ChangeResourceRecordSets request" in logs
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in logs + (run.folder / "history.jsonl").read_text()

    def gameday(*words):
        done = subprocess.run(
            [sys.executable, "-m", "gameday", *words], cwd=world.project, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    code, said = gameday("seal", str(run.folder))
    assert code == 0, said
    (world.project / "runner.pub").write_bytes((run.folder / "bundle" / "attest" / "runner.pub").read_bytes())
    (world.project / "trust.yaml").write_text("runners: [runner.pub]\n")
    code, said = gameday("verify", str(run.folder / "bundle"), "--trust", "trust.yaml")
    assert code in (0, 4), said  # 4: nobody has stamped its time here.
    assert any("recomput" in line.lower() and "pass" in line.lower() for line in said.splitlines()), said


def test_an_alarm_halts_it_and_everything_is_undone(world):
    path = world.project / "experiments" / "aws.yaml"
    path.write_text(path.read_text().replace("hold: 1s", "hold: 60s"))
    run = world.run()
    run.wait_for(lambda kind, data: kind == "StepEnded" and "shifted" in data.get("detail", ""), 90)
    world.cloudwatch.set_alarm_state(AlarmName="orders-errors", StateValue="ALARM", StateReason="x")
    code, out = run.end(120)
    assert "orders-alarm" in out
    assert code not in (0, 5), out + run.explain()
    assert (world.writer(), world.answer()) == ("orders-1", "10.0.0.1")


EXPIRED = error("ExpiredToken", "The security token included in the request is expired", 403)
THROTTLED = error("Throttling", "Rate exceeded")
REFUSED = {
    "another account": ("GetCallerIdentity", sts_answer("999999999999"), "of account 999999999999"),
    "expired": ("GetCallerIdentity", EXPIRED, "have expired"),
    "expired later": ("DescribeDBClusters", EXPIRED, "have expired"),
    "throttled": ("DescribeDBClusters", THROTTLED, "throttled"),
    "no answer": ("DescribeDBClusters", 30, "no read-back within"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_asked_is_refused_before_anything_is_changed(world, case):
    operation, answer, said = REFUSED[case]
    world.front.rule(operation, answer)
    code, out = world.run().end(120)
    assert code == 3, out
    assert said in out, out
    assert not world.front.asked("FailoverDBCluster")
    assert (world.writer(), world.answer()) == ("orders-1", "10.0.0.1")


def test_another_region_is_refused(world):
    path = world.project / "experiments" / "aws.yaml"
    text = path.read_text()
    at = text.index("cluster: orders")
    path.write_text(
        text[:at].rpartition(REGION)[0] + "eu-west-1" + text[:at].rpartition(REGION)[2] + text[at:]
    )
    code, out = world.run().end(120)
    assert code == 3, out
    assert "NotFound" in out, out
    assert world.writer() == "orders-1"


def test_a_throttled_change_is_tried_again_and_then_given_up_as_no_pass(world):
    world.front.rule("FailoverDBCluster", THROTTLED, THROTTLED, None)
    run = world.run()
    code, out = run.end(120)
    assert code == 0, out + run.explain()
    assert len(world.front.asked("FailoverDBCluster")) == 4  # Two throttled, one carried out, one undo.
    world.front.seen.clear()
    world.front.rule("FailoverDBCluster", THROTTLED)
    run = world.run()
    code, out = run.end(120)
    assert code in (1, 4), out + run.explain()
    step = events(run, StepEnded)[0]
    assert step.effect is Effect.DID_NOT_HAPPEN and "throttled" in step.detail
    assert world.writer() == "orders-1"


def test_a_change_that_is_carried_out_and_never_answered_is_undone(world):
    front = world.front

    def swallow(_):
        """Carry the failover out, and keep the answer for longer than anybody waits."""
        boto3.client(
            "rds", endpoint_url=f"http://{front.upstream.netloc}", region_name=REGION
        ).failover_db_cluster(DBClusterIdentifier="orders", TargetDBInstanceIdentifier="orders-2")
        threading.Event().wait(14)
        return 500, b"", {}

    front.rule("FailoverDBCluster", swallow, None)
    run = world.run()
    code, out = run.end(150)
    step = events(run, StepEnded)[0]
    assert step.effect is Effect.HAPPENED and "no answer in time" in step.detail, run.explain()
    assert world.writer() == "orders-1", out
    assert all(e.undone for e in events(run, UndoEnded))
    assert code in (0, 1, 4), out  # What it measured is there; nothing stayed.
