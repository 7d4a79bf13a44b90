"""Calls that one emulator has and the other has not: global databases, clusters restored, subnets, lost answers."""

from __future__ import annotations

import boto3
import pytest

from gameday.actions.http import ActionError
from tests.aws.conftest import REGION
from tests.aws.emulators import Front
from tests.aws.test_emulated import cluster_of, unique

pytestmark = pytest.mark.slow
AWAY = "eu-west-1"


def global_database(world, name):
    """A global database with its writer here and a second cluster away; the ARNs of both."""
    rds, there = world.client("rds"), world.client("rds", AWAY)
    rds.create_global_cluster(GlobalClusterIdentifier=name, Engine="aurora-postgresql", EngineVersion="15.10")
    common = {"Engine": "aurora-postgresql", "EngineVersion": "15.10", "GlobalClusterIdentifier": name}
    here = rds.create_db_cluster(
        DBClusterIdentifier=f"{name}-here", MasterUsername="u", MasterUserPassword="password1", **common
    )["DBCluster"]["DBClusterArn"]
    away = there.create_db_cluster(DBClusterIdentifier=f"{name}-away", **common)["DBCluster"]["DBClusterArn"]
    for number, (client, part) in enumerate(((rds, "here"), (there, "away"))):
        client.create_db_instance(
            DBInstanceIdentifier=f"{name}-{number}", DBInstanceClass="db.r5.large", Engine="aurora-postgresql",
            DBClusterIdentifier=f"{name}-{part}",
        )  # fmt: skip
    return here, away


@pytest.mark.parametrize("kind", ["switchover", "failover"])
def test_a_global_database_moves_and_is_switched_back(world, kind):
    name = unique("gl")
    here, away = global_database(world, name)
    given = {"global_cluster": name, "to_cluster_arn": away}
    if kind == "failover":
        given["allow_data_loss"] = True
    if world.kind == "moto":  # It answers with a page of HTML when it is asked for one with members.
        with pytest.raises(ActionError, match="what answered is not AWS"):
            world.do(f"rds.{kind}_global_cluster", **given)
        return
    assert world.do("rds.is_global_moved", global_cluster=name) is False
    world.do(f"rds.{kind}_global_cluster", **given)
    assert world.do("rds.is_global_moved", global_cluster=name) is True
    assert writer_of(world, name) == away
    world.do("rds.switch_back_global", global_cluster=name)
    assert world.do("rds.is_global_moved", global_cluster=name) is False
    assert writer_of(world, name) == here


def writer_of(world, name):
    found = world.client("rds").describe_global_clusters(GlobalClusterIdentifier=name)["GlobalClusters"][0]
    return next(m["DBClusterArn"] for m in found["GlobalClusterMembers"] if m["IsWriter"])


def test_a_cluster_is_restored_to_a_point_in_time_and_deleted(world):
    name = unique("c")
    cluster_of(world, name)
    given = {"cluster": name, "to": f"{name}-new"}
    if world.kind == "ministack":  # It does not implement RestoreDBClusterToPointInTime.
        with pytest.raises(ActionError):
            world.do("restores.cluster_to_time", **given)
        return
    assert world.do("restores.is_cluster_there", to=f"{name}-new") is False
    world.do("restores.cluster_to_time", **given)
    assert world.do("restores.is_cluster_there", to=f"{name}-new") is True
    world.do("restores.delete_cluster", to=name)  # Not made by a restore of ours: it stays.
    assert world.client("rds").describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
    world.do("restores.delete_cluster", to=f"{name}-new")
    assert world.do("restores.is_cluster_there", to=f"{name}-new") is False


def test_a_group_with_subnets_leaves_a_zone_by_them(world):
    ec2, asg, name = world.client("ec2"), world.client("autoscaling"), unique("g")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.7.{n}.0/24", AvailabilityZone=f"{REGION}{z}")["Subnet"]["SubnetId"]
        for n, z in enumerate("ab")
    ]  # fmt: skip
    image = ec2.describe_images()["Images"][0]["ImageId"]
    ec2.create_launch_template(
        LaunchTemplateName=name, LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"}
    )
    asg.create_auto_scaling_group(
        AutoScalingGroupName=name, MinSize=0, MaxSize=3, DesiredCapacity=0, VPCZoneIdentifier=",".join(subnets),
        LaunchTemplate={"LaunchTemplateName": name},
    )  # fmt: skip

    def now():
        found = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
        return found["VPCZoneIdentifier"].split(",")

    world.do("ec2.leave_zone", group=name, zone=f"{REGION}a")
    assert now() == subnets[1:]
    assert world.do("ec2.has_left_zone", group=name) is True
    world.do("ec2.return_to_zone", group=name)
    assert now() == subnets
    assert world.do("ec2.has_left_zone", group=name) is False


def test_an_experiment_whose_start_was_carried_out_and_not_answered_is_found_and_stopped(world):
    if world.kind == "ministack":
        return  # It has no FIS: tests/aws/test_emulated.py says how that ends.
    fis = world.client("fis")
    template = fis.create_experiment_template(
        clientToken=unique("t"), description="d", stopConditions=[{"source": "none"}],
        targets={"t": {"resourceType": "aws:ec2:instance", "selectionMode": "ALL", "resourceTags": {"a": "b"}}},
        actions={"stop": {"actionId": "aws:ec2:stop-instances", "targets": {"Instances": "t"}}},
        roleArn="arn:aws:iam::123456789012:role/r",
    )["experimentTemplate"]["id"]  # fmt: skip
    front = Front(world.url)

    def swallow(given):
        boto3.client("fis", endpoint_url=world.url, region_name=REGION).start_experiment(
            experimentTemplateId=template, clientToken=given["clientToken"], tags=given["tags"]
        )
        return 500, b"{}", {"Content-Type": "application/json"}

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", front.url)
        front.rule("POST /experiments", swallow)
        with pytest.raises(ActionError):
            world.do("fis.start_experiment", template=template)
        assert world.do("fis.is_running", template=template) is True
        assert "stopped" in world.do("fis.stop_experiment", template=template)["says"]
        assert world.do("fis.is_running", template=template) is False
    front.close()


def test_an_automation_that_an_emulator_does_not_have_is_no_success(world):
    ssm, name = world.client("ssm"), unique("Restart")
    if world.kind == "moto":
        ssm.create_document(
            Content='{"schemaVersion": "0.3", "mainSteps": []}', Name=name, DocumentType="Automation"
        )
        assert world.do("ssm.is_automation_owed", document=name) is False
    with pytest.raises(ActionError):
        world.do("ssm.run_automation", document=name)
