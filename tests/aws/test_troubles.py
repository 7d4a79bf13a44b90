"""What may be wrong with AWS, at each place where a drill meets it: a refusal, or not known; never a pass.

Each row of TROUBLES is really run in each column, as a whole drill in processes of its own. What each ends as stands
in docs/aws.md.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from types import SimpleNamespace

import boto3
import pytest

from gameday.history.events import Effect, StepEnded, UndoEnded
from tests.aws.conftest import REGION
from tests.aws.emulators import CREDENTIALS, Front, emulator
from tests.aws.test_drill import events
from tests.aws.troubles import TROUBLES, Service, mend, write_credentials
from tests.drills import ROOT, Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
TARGET = "aws:123456789012/us-east-1/cluster/orders"
KEYS = {"AWS_ACCESS_KEY_ID": "t", "AWS_SECRET_ACCESS_KEY": "t"}
HEAD = """
title: AWS is unwell
kind: game-day
service: orders
author: r.ito
owner: payments-sre
target: {environment: lab, identity: {http: "URL/identity"}}
probes:
  service: {http: {url: "URL/health"}, every: 200ms, timeout: 2s}
WATCHED
slos:
  availability: {probe: service, objective: 50%, window: 1s}
steady_state: {slos: [availability], baseline: 500ms, stabilise: 500ms}
stop_conditions:
  - {silence: 10s, then: halt}
STOPS
blast_radius: {max: "2", duration: 3m}
steps:
"""
WATCHED = """
  orders-alarm:
    activity:
      action: gameday.actions.aws.cloudwatch.is_alarm_quiet
      with: {account: "123456789012", region: us-east-1, alarm: orders-errors}
    every: 1s
    timeout: 4s
"""
STOPS = "  - {probe: orders-alarm, unreadable: 2 in a row, then: halt}"
UNWELL = """
  - change: AWS becomes unwell
    do: {action: unwell.begin, with: {url: "URL/trouble"}}
    undo: {action: unwell.forget}
    in_place: {action: unwell.is_noted}
    target: note:unwell
"""
MODULE = """
import pathlib, urllib.request
NOTE = pathlib.Path(__file__).with_name("unwell.note")


def begin(url):
    NOTE.touch()
    urllib.request.urlopen(url).close()


def forget():
    NOTE.unlink(missing_ok=True)


def is_noted():
    return NOTE.exists()
"""
LOST = """
  - fault: the writer is lost
    do:
      action: gameday.actions.aws.rds.failover_cluster
      with: {account: "123456789012", region: us-east-1, cluster: orders, within_s: 20}
    ttl: 2m
    timeout: 14s
    undo_timeout: 6s
"""


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    with emulator("moto", tmp_path_factory.mktemp("moto")) as url:
        yield url


@pytest.fixture
def aws(moto):
    """A cluster and an alarm; gives who is the writer."""
    urllib.request.urlopen(urllib.request.Request(f"{moto}/moto-api/reset", method="POST")).close()
    rds, cloudwatch = (
        boto3.client(
            name, endpoint_url=moto, region_name=REGION, aws_access_key_id="t", aws_secret_access_key="t"
        )
        for name in ("rds", "cloudwatch")
    )
    rds.create_db_cluster(
        DBClusterIdentifier="orders", Engine="aurora-postgresql", MasterUsername="u", MasterUserPassword="password1"
    )  # fmt: skip
    for number in (1, 2):
        rds.create_db_instance(
            DBInstanceIdentifier=f"orders-{number}", DBInstanceClass="db.r5.large", Engine="aurora-postgresql",
            DBClusterIdentifier="orders",
        )  # fmt: skip
    cloudwatch.put_metric_alarm(
        AlarmName="orders-errors", MetricName="m", Namespace="n", Statistic="Maximum", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName="orders-errors", StateValue="OK", StateReason="x")

    def writer():
        (found,) = rds.describe_db_clusters(DBClusterIdentifier="orders")["DBClusters"]
        return next(m["DBInstanceIdentifier"] for m in found["DBClusterMembers"] if m["IsClusterWriter"])

    return writer


@pytest.fixture
def drill(aws, moto, private, tmp_path):
    """A front before it, credentials in a file, a service that can make AWS unwell, and drills of it."""
    front, service = Front(moto), Service((TARGET, "note:unwell"))
    front.credentials = tmp_path / "credentials"
    write_credentials(front.credentials)
    for key in KEYS:
        private.delenv(key)
    environment = {k: v for k, v in CREDENTIALS.items() if k not in KEYS} | {
        "AWS_ENDPOINT_URL": front.url, "GAMEDAY_FAULT_DIR": str(tmp_path / "faults"),
        "AWS_SHARED_CREDENTIALS_FILE": str(front.credentials), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    project = tmp_path / "project"
    (project / "experiments").mkdir(parents=True)
    (project / "unwell.py").write_text(MODULE)

    def run(*steps, more=(), watched=False):
        text = HEAD.replace("WATCHED", WATCHED * watched).replace("STOPS", STOPS * watched) + "".join(steps)
        (project / "experiments" / "aws.yaml").write_text(text.replace("URL", service.url))
        return Run(project, "aws", *more, env=environment)

    def recover(folder):
        done = subprocess.run(
            [sys.executable, "-m", "gameday", "recover", str(folder)], cwd=project, capture_output=True, text=True,
            env={**os.environ, **environment},
        )  # fmt: skip
        return done.stdout + done.stderr

    yield SimpleNamespace(front=front, service=service, run=run, writer=aws, recover=recover)
    mend(front)
    front.close()
    service.close()


@pytest.mark.parametrize("name", TROUBLES)
def test_a_rehearsal_refuses_and_changes_nothing(drill, name):
    TROUBLES[name].begin(drill.front)
    code, out = drill.run(LOST, more=("--rehearse",)).end(90)
    assert code == 3, out
    assert re.search(TROUBLES[name].said, out), out
    assert not drill.front.asked("FailoverDBCluster")
    assert drill.writer() == "orders-1"


@pytest.mark.parametrize("name", TROUBLES)
def test_a_probe_that_cannot_be_read_halts(drill, name):
    drill.service.begin = lambda: TROUBLES[name].begin(drill.front)
    run = drill.run(UNWELL, "  - hold: 60s\n", watched=True)
    code, out = run.end(90)
    assert drill.service.began.is_set(), out
    assert code in (1, 4), out
    assert "HALT" in out and "orders-alarm: 2 unreadable" in out, out


@pytest.mark.parametrize("name", TROUBLES)
def test_a_step_that_meets_it_is_not_known_and_calls_for_a_person(drill, name):
    """Neither the step nor its read-back nor its undo gets through; no change was sent."""
    drill.service.begin = lambda: TROUBLES[name].begin(drill.front)
    run = drill.run(UNWELL, LOST)
    code, out = run.end(120)
    step = {e.step: e for e in events(run, StepEnded)}["2-the-writer-is-lost"]
    assert step.effect is Effect.INDETERMINATE, run.explain()
    assert re.search(TROUBLES[name].said, step.detail), step.detail
    assert code == 5, out
    assert not drill.front.asked("FailoverDBCluster")
    assert drill.writer() == "orders-1"


@pytest.mark.parametrize("name", [name for name, one in TROUBLES.items() if one.is_of_a_call])
def test_a_change_that_meets_it_itself_is_read_back(drill, name):
    """All else is answered: who we are, what there is. So it is known that it was not done: nobody is called."""

    def begin():
        TROUBLES[name].begin(drill.front)
        meets = drill.front.trouble
        drill.front.trouble = lambda called, *, is_json: (
            meets(called, is_json=is_json) if called == "FailoverDBCluster" else None
        )

    drill.service.begin = begin
    run = drill.run(UNWELL, LOST)
    code, out = run.end(120)
    step = {e.step: e for e in events(run, StepEnded)}["2-the-writer-is-lost"]
    assert step.effect is Effect.DID_NOT_HAPPEN, run.explain()
    assert re.search(TROUBLES[name].said, step.detail), step.detail
    assert code in (1, 4), out
    assert len(drill.front.asked("FailoverDBCluster")) == (3 if name in ("throttled", "429") else 1)
    assert drill.writer() == "orders-1"


@pytest.mark.parametrize("name", TROUBLES)
def test_an_undo_that_meets_it_is_stuck_and_is_made_later(drill, name):
    drill.service.begin = lambda: TROUBLES[name].begin(drill.front)
    run = drill.run(LOST, UNWELL)
    code, out = run.end(150)
    assert code == 5, out + run.explain()
    assert not any(e.undone for e in events(run, UndoEnded) if e.step == "1-the-writer-is-lost")
    assert drill.writer() == "orders-2"
    mend(drill.front)
    said = drill.recover(run.folder)
    assert drill.writer() == "orders-1", said
