"""What no emulator has, against botocore's own service model: it validates each request, parses each answer.

The front answers with what AWS documents; whether AWS itself behaves so, only a real account can tell.
"""

from __future__ import annotations

import pytest

from gameday.actions.http import ActionError
from tests.aws.conftest import World
from tests.aws.emulators import error, json_error

pytestmark = pytest.mark.slow
ACCOUNT = "123456789012"
XML = {"Content-Type": "text/xml"}
ARNS = [f"arn:aws:rds:{region}:{ACCOUNT}:cluster:orders" for region in ("us-east-1", "us-west-2")]


@pytest.fixture
def world(front, capsys):
    return World("front", front.url, capsys)


def rds_xml(operation, inner=""):
    return 200, (
        f'<{operation}Response xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><{operation}Result>{inner}'
        f"</{operation}Result><ResponseMetadata><RequestId>r-{operation}</RequestId></ResponseMetadata>"
        f"</{operation}Response>"
    ), XML  # fmt: skip


def global_cluster(front):
    """A global cluster that moves as it is told to."""
    state = {"writer": ARNS[0]}

    def describe(_):
        members = "".join(
            f"<GlobalClusterMember><DBClusterArn>{arn}</DBClusterArn><IsWriter>"
            f"{str(arn == state['writer']).lower()}</IsWriter></GlobalClusterMember>"
            for arn in ARNS
        )
        inner = (
            "<GlobalClusters><GlobalClusterMember><GlobalClusterIdentifier>g</GlobalClusterIdentifier>"
            f"<GlobalClusterMembers>{members}</GlobalClusterMembers></GlobalClusterMember></GlobalClusters>"
        )
        return rds_xml("DescribeGlobalClusters", inner)

    def move(operation):
        def answer(given):
            state["writer"] = given["TargetDbClusterIdentifier"]
            return rds_xml(operation, "<GlobalCluster/>")

        return answer

    front.rule("DescribeGlobalClusters", describe)
    for operation in ("FailoverGlobalCluster", "SwitchoverGlobalCluster"):
        front.rule(operation, move(operation))
    return state


@pytest.mark.parametrize("kind", ["failover", "switchover"])
def test_a_global_cluster_moves_and_is_switched_back_without_loss(front, world, kind):
    state = global_cluster(front)
    given = {"global_cluster": "g", "to_cluster_arn": ARNS[1]}
    if kind == "failover":
        with pytest.raises(ActionError, match="expected true"):
            world.do("rds.failover_global_cluster", allow_data_loss=False, **given)
        given["allow_data_loss"] = True
    assert world.do("rds.is_global_moved", global_cluster="g") is False
    world.do(f"rds.{kind}_global_cluster", **given)
    assert state["writer"] == ARNS[1]
    assert world.do("rds.is_global_moved", global_cluster="g") is True
    world.do("rds.switch_back_global", global_cluster="g")
    assert state["writer"] == ARNS[0]
    assert world.do("rds.is_global_moved", global_cluster="g") is False
    if kind == "failover":
        assert front.asked("FailoverGlobalCluster")[0]["AllowDataLoss"] == "true"


def test_a_replica_is_promoted_once_it_has_no_source(front, world):
    def describe(source, status="available"):
        more = f"<ReadReplicaSourceDBInstanceIdentifier>{source}</ReadReplicaSourceDBInstanceIdentifier>"
        inner = (
            "<DBInstances><DBInstance><DBInstanceIdentifier>r</DBInstanceIdentifier>"
            f"<DBInstanceStatus>{status}</DBInstanceStatus>{more if source else ''}</DBInstance></DBInstances>"
        )
        return rds_xml("DescribeDBInstances", inner)

    front.rule(
        "DescribeDBInstances",
        describe("p"),
        describe("p", "modifying"),
        describe("", "modifying"),
        describe(""),
    )
    front.rule("PromoteReadReplica", rds_xml("PromoteReadReplica", "<DBInstance/>"))
    assert "no longer follows p" in world.do("rds.promote_replica", instance="r")["says"]
    assert len(front.asked("DescribeDBInstances")) == 4


CONTROL = f"arn:aws:route53-recovery-control::{ACCOUNT}:controlpanel/0a/routingcontrol/1b"


def routing(front):
    state = {CONTROL: "On"}
    front.rule(
        "GetRoutingControlState",
        lambda given: {
            "RoutingControlArn": given["RoutingControlArn"], "RoutingControlState": state[given["RoutingControlArn"]]
        },
    )  # fmt: skip

    def update(given):
        for entry in given["UpdateRoutingControlStateEntries"]:
            state[entry["RoutingControlArn"]] = entry["RoutingControlState"]
        return {}

    front.rule("UpdateRoutingControlStates", update)
    return state


def test_routing_controls_are_set_together_and_restored(front, world):
    state = routing(front)
    where = {"states": {CONTROL: "Off"}, "endpoints": {"us-east-1": "https://a", "us-west-2": "https://b"}}
    assert world.do("arc.are_controls_set", **where) is False
    world.do("arc.set_routing_controls", **where)
    assert state == {CONTROL: "Off"}
    assert world.do("arc.are_controls_set", **where) is True
    world.do("arc.restore_routing_controls", **where)
    assert state == {CONTROL: "On"}
    with pytest.raises(ActionError, match="in quotes"):
        world.do("arc.set_routing_controls", states={CONTROL: False}, endpoints=where["endpoints"])


def test_the_next_endpoint_is_asked_when_one_is_down(front, world, monkeypatch):
    """Endpoints of a plan count where no emulator is named; STS is told apart by its own variable."""
    state = routing(front)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", front.url)
    endpoints = {"us-east-1": "http://127.0.0.1:9", "us-west-2": front.url}
    world.do("arc.set_routing_controls", states={CONTROL: "Off"}, endpoints=endpoints)
    assert state == {CONTROL: "Off"}


def test_a_zonal_shift_expires_by_itself_and_is_cancelled(front, world):
    load_balancer = f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:loadbalancer/app/x/1"
    shift = {
        "zonalShiftId": "00000000-0000-0000-0000-000000000001", "resourceIdentifier": load_balancer,
        "awayFrom": "use1-az1", "expiryTime": 1900000000, "startTime": 1800000000, "status": "ACTIVE", "comment": "gameday",
    }  # fmt: skip
    others = shift | {"zonalShiftId": "00000000-0000-0000-0000-000000000002", "comment": "not ours"}
    active = [others]
    front.rule("GET /zonalshifts", lambda _: {"items": active})

    def start(_):
        active.append(shift)
        return shift

    def cancel(_):
        active.remove(shift)
        return shift | {"status": "CANCELED"}

    front.rule("POST /zonalshifts", start)
    front.rule("DELETE /zonalshifts/*", cancel)
    assert world.do("arc.has_zonal_shift", resource=load_balancer) is False
    world.do("arc.start_zonal_shift", resource=load_balancer, away_from="use1-az1", ttl_s=61)
    assert front.asked("POST /zonalshifts")[0]["expiresIn"] == "2m"
    assert world.do("arc.has_zonal_shift", resource=load_balancer) is True
    world.do("arc.cancel_zonal_shift", resource=load_balancer)
    assert active == [others]
    assert world.do("arc.has_zonal_shift", resource=load_balancer) is False


def automation(front, *statuses):
    front.rule("DescribeDocument", {"Document": {"Name": "Restart", "DocumentType": "Automation"}})
    front.rule("StartAutomationExecution", {"AutomationExecutionId": "00000000-0000-0000-0000-00000000000a"})
    answers = [
        {
            "AutomationExecution": {
                "AutomationExecutionId": "00000000-0000-0000-0000-00000000000a", "AutomationExecutionStatus": status,
                "StepExecutions": [{"StepName": "restart", "StepStatus": status}],
            }
        }
        for status in statuses
    ]  # fmt: skip
    front.rule("GetAutomationExecution", *answers)
    front.rule("StopAutomationExecution", {})


def test_an_automation_runs_to_its_end_and_says_its_steps(front, world):
    automation(front, "InProgress", "Success")
    assert world.do("ssm.is_automation_owed", document="Restart") is False
    says = world.do("ssm.run_automation", document="Restart", parameters={"InstanceId": ["i-1"]})["says"]
    assert "Success; restart: Success" in says
    assert front.asked("StartAutomationExecution")[0]["Parameters"] == {"InstanceId": ["i-1"]}
    assert world.do("ssm.is_automation_owed", document="Restart") is True
    world.do("ssm.stop_automation", document="Restart")
    assert world.do("ssm.is_automation_owed", document="Restart") is False
    assert not front.asked("StopAutomationExecution")  # It was over.


def test_an_automation_that_failed_is_no_success_and_one_that_runs_is_stopped(front, world):
    automation(front, "Failed")
    with pytest.raises(ActionError, match="Failed; restart: Failed"):
        world.do("ssm.run_automation", document="Restart")
    automation(front, "InProgress", "Cancelled")
    world.do("ssm.stop_automation", document="Restart")
    assert front.asked("StopAutomationExecution")[0]["Type"] == "Cancel"


def test_an_automation_whose_start_was_never_answered_is_found_by_its_own_tag_and_stopped(front, world):
    automation(front, "InProgress", "Cancelled")
    front.rule("StartAutomationExecution", json_error("InternalServerError", status=500))
    with pytest.raises(ActionError, match="InternalServerError"):
        world.do("ssm.run_automation", document="Restart")
    (asked,) = front.asked("StartAutomationExecution")  # A start is not sent twice.
    theirs, ours = "00000000-0000-0000-0000-0000000000ff", "00000000-0000-0000-0000-00000000000a"
    listed = [
        {"AutomationExecutionId": name, "AutomationExecutionStatus": "InProgress"} for name in (theirs, ours)
    ]
    front.rule("DescribeAutomationExecutions", {"AutomationExecutionMetadataList": listed})
    tags = {theirs: [{"Key": "gameday", "Value": "another drill's"}], ours: asked["Tags"]}
    front.rule("ListTagsForResource", lambda given: {"TagList": tags[given["ResourceId"]]})
    assert world.do("ssm.is_automation_owed", document="Restart") is True
    world.do("ssm.stop_automation", document="Restart")
    assert [given["AutomationExecutionId"] for given in front.asked("StopAutomationExecution")] == [ours]


def test_a_change_that_aws_refused_owes_nothing_and_one_that_ended_in_an_error_of_the_server_does(
    front, world
):
    service = {"services": [{"status": "ACTIVE", "desiredCount": 2}], "failures": []}
    front.rule("DescribeServices", service)
    given = {"cluster": "c", "service": "s", "desired": 0}
    front.rule("UpdateService", json_error("InvalidParameterException"))
    for _ in range(2):  # The second is not told that something is owed.
        with pytest.raises(ActionError, match="InvalidParameter"):
            world.do("containers.scale_service", **given)
    front.rule("UpdateService", json_error("ServerException", status=500))
    with pytest.raises(ActionError, match="ServerException"):
        world.do("containers.scale_service", **given)
    with pytest.raises(ActionError, match="undo it first"):
        world.do("containers.scale_service", **given)


def experiment(status, reason="", token="t"):
    return {
        "experiment": {
            "id": "EXP1", "state": {"status": status, "reason": reason}, "tags": {"gameday": token},
            "actions": {"stop": {"actionId": "aws:ec2:stop-instances", "state": {"status": status}}},
        }
    }  # fmt: skip


def test_an_experiment_whose_start_was_never_answered_is_found_by_its_tag_and_stopped(front, world):
    front.rule("GET /experimentTemplates/*", {"experimentTemplate": {"id": "EXT1"}})
    front.rule("POST /experiments", json_error("InternalServerException", status=500))
    with pytest.raises(ActionError, match="InternalServerException"):
        world.do("fis.start_experiment", template="EXT1")
    (asked,) = front.asked("POST /experiments")  # A start is not sent twice.
    token = asked["tags"]["gameday"]
    listed = [{"id": "EXP0", "tags": {}}, {"id": "EXP1", "tags": {"gameday": token}}]
    front.rule("GET /experiments", {"experiments": listed})
    front.rule("GET /experiments/*", experiment("running"))
    assert world.do("fis.is_running", template="EXT1") is True
    front.rule("DELETE /experiments/*", experiment("stopping"))
    front.rule("GET /experiments/*", experiment("running"), experiment("stopped", "by gameday"))
    assert "EXP1 stopped" in world.do("fis.stop_experiment", template="EXT1")["says"]
    assert front.asked("DELETE /experiments/*")


def test_an_experiment_is_watched_to_its_end(front, world):
    front.rule("GET /experimentTemplates/*", {"experimentTemplate": {"id": "EXT1"}})
    front.rule("POST /experiments", experiment("initiating"))
    world.do("fis.start_experiment", template="EXT1")
    front.rule("GET /experiments/*", experiment("running"), experiment("completed"))
    assert "completed; stop: completed" in world.do("fis.wait_experiment", template="EXT1")["says"]
    front.rule("GET /experiments/*", experiment("failed", "no targets"))
    with pytest.raises(ActionError, match="failed; no targets"):
        world.do("fis.wait_experiment", template="EXT1")


def test_a_group_with_subnets_leaves_a_zone_by_its_subnets(front, world):
    state = {"subnets": "subnet-1,subnet-2"}

    def xml(operation, inner, namespace="http://autoscaling.amazonaws.com/doc/2011-01-01/"):
        return rds_xml(operation, inner)[1].replace("http://rds.amazonaws.com/doc/2014-10-31/", namespace)

    def describe(_):
        inner = (
            "<AutoScalingGroups><member><AutoScalingGroupName>g</AutoScalingGroupName>"
            f"<VPCZoneIdentifier>{state['subnets']}</VPCZoneIdentifier><AvailabilityZones><member>us-east-1a</member>"
            "</AvailabilityZones></member></AutoScalingGroups>"
        )
        return 200, xml("DescribeAutoScalingGroups", inner), XML

    def update(given):
        state["subnets"] = given["VPCZoneIdentifier"]
        return 200, xml("UpdateAutoScalingGroup", ""), XML

    subnets = "".join(
        f"<item><subnetId>subnet-{n}</subnetId><availabilityZone>us-east-1{z}</availabilityZone></item>"
        for n, z in ((1, "a"), (2, "b"))
    )
    found = (
        '<DescribeSubnetsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>'
        f"<subnetSet>{subnets}</subnetSet></DescribeSubnetsResponse>"
    )
    front.rule("DescribeAutoScalingGroups", describe)
    front.rule("UpdateAutoScalingGroup", update)
    front.rule("DescribeSubnets", (200, found, XML))
    world.do("ec2.leave_zone", group="g", zone="us-east-1a")
    assert state["subnets"] == "subnet-2"
    assert world.do("ec2.has_left_zone", group="g") is True
    world.do("ec2.return_to_zone", group="g")
    assert state["subnets"] == "subnet-1,subnet-2"


def test_a_cluster_is_restored_to_a_point_in_time_and_deleted(front, world):
    state = {"status": ""}

    def describe(_):
        if not state["status"]:
            return error("DBClusterNotFoundFault", status=404)
        inner = f"<DBClusters><DBCluster><Status>{state['status']}</Status></DBCluster></DBClusters>"
        return rds_xml("DescribeDBClusters", inner)

    def change(operation, status):
        def answer(_):
            state["status"] = status
            return rds_xml(operation, "<DBCluster/>")

        return answer

    front.rule("DescribeDBClusters", describe)
    front.rule("RestoreDBClusterToPointInTime", change("RestoreDBClusterToPointInTime", "available"))
    front.rule("DeleteDBCluster", change("DeleteDBCluster", "deleting"))
    world.do("restores.cluster_to_time", cluster="orders", to="new", seconds_before=90)
    asked = front.asked("RestoreDBClusterToPointInTime")[0]
    assert "RestoreToTime" in asked and "UseLatestRestorableTime" not in asked
    assert world.do("restores.is_cluster_there", to="new") is True
    world.do("restores.delete_cluster", to="new")
    assert world.do("restores.is_cluster_there", to="new") is False
