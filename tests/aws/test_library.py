"""The ready drills for AWS in experiments/, run whole on moto: load, fault, runbook, everything as before afterwards."""

from __future__ import annotations

import json

import pytest

from gameday.history.events import UndoEnded
from tests.aws.conftest import REGION
from tests.aws.emulators import CREDENTIALS
from tests.aws.test_drill import events, moto, service, world  # noqa: F401 - fixtures
from tests.drills import ROOT, Run, make_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SHORT = {
    "hold: 20s": "hold: 2s",
    "hold: 10s": "hold: 2s",
    "baseline: 5s": "baseline: 2s",
    "window: 10s": "window: 2s",
}


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "policy.yaml").write_bytes((ROOT / "policy.yaml").read_bytes())
    return make_project(folder, **SHORT)


def go(project, plan, service, url, tmp_path):
    env = {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": url,
        "SHOP_URL": service,
        "GAMEDAY_FAULT_DIR": str(tmp_path / "faults"),
    }
    return Run(project, plan, env=env)


def test_aurora_is_lost_and_users_are_led_away_and_back(world, project, service, tmp_path):
    book = project / "runbooks" / "aws-lead-users.yaml"
    zone = world_zone(world)
    book.write_text(book.read_text().replace("Z0000000EXAMPLE", zone))
    run = go(project, "aws-aurora", service, world.front.url, tmp_path)
    run.wait_for(lambda kind, data: kind == "StepEnded" and "shifted" in data.get("detail", ""), 90)
    assert (world.writer(), world.answer()) == ("orders-2", "10.0.0.2")
    code, out = run.end(150)
    assert code == 0, out + run.explain()
    assert (world.writer(), world.answer()) == ("orders-1", "10.0.0.1")
    assert sum(e.undone for e in events(run, UndoEnded)) == 2
    names = {
        f["name"]: f["verdict"] for f in json.loads((run.folder / "findings.json").read_text())["findings"]
    }
    assert names["load look"] == "pass", names


def world_zone(world):
    import boto3

    r53 = boto3.client("route53", endpoint_url=world.front.url, region_name=REGION)
    return r53.list_hosted_zones()["HostedZones"][0]["Id"].rpartition("/")[2]


def test_the_fleet_leaves_a_zone_and_returns(world, project, service, tmp_path):
    import boto3

    ec2, asg = (
        boto3.client(name, endpoint_url=world.front.url, region_name=REGION)
        for name in ("ec2", "autoscaling")
    )
    image = ec2.describe_images()["Images"][0]["ImageId"]
    ec2.create_launch_template(
        LaunchTemplateName="shop", LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"}
    )
    asg.create_auto_scaling_group(
        AutoScalingGroupName="shop", MinSize=1, MaxSize=3, DesiredCapacity=2,
        AvailabilityZones=["us-east-1a", "us-east-1b"], LaunchTemplate={"LaunchTemplateName": "shop"},
    )  # fmt: skip

    def zones():
        return sorted(
            asg.describe_auto_scaling_groups(AutoScalingGroupNames=["shop"])["AutoScalingGroups"][0][
                "AvailabilityZones"
            ]
        )

    run = go(project, "aws-zone", service, world.front.url, tmp_path)
    run.wait_for(lambda kind, data: kind == "StepEnded", 90)
    assert zones() == ["us-east-1b"]
    code, out = run.end(150)
    assert code == 0, out + run.explain()
    assert zones() == ["us-east-1a", "us-east-1b"]
