"""Each call on every emulator that has it. Where the two disagree, the test says so, and docs/aws.md too."""

from __future__ import annotations

import json
import uuid

import pytest

from gameday.actions.http import ActionError

pytestmark = pytest.mark.slow


def unique(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def cluster_of(world, name):
    rds = world.client("rds")
    rds.create_db_cluster(
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        MasterUsername="u",
        MasterUserPassword="password1",
    )
    for number in (1, 2):
        rds.create_db_instance(
            DBInstanceIdentifier=f"{name}-{number}", DBInstanceClass="db.r5.large", Engine="aurora-postgresql",
            DBClusterIdentifier=name,
        )  # fmt: skip
    return rds


def writer(rds, name):
    members = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]["DBClusterMembers"]
    return next(m["DBInstanceIdentifier"] for m in members if m["IsClusterWriter"])


def test_a_cluster_fails_over_and_back(world):
    name = unique("c")
    rds = cluster_of(world, name)
    assert writer(rds, name) == f"{name}-1"
    assert world.do("rds.is_failed_over", cluster=name) is False
    says = world.do("rds.failover_cluster", cluster=name)["says"]
    assert writer(rds, name) == f"{name}-2"
    assert "FailoverDBCluster=" in says and f'"writer":"{name}-1"' in says
    assert world.do("rds.is_failed_over", cluster=name) is True
    with pytest.raises(ActionError, match="undo it first"):
        world.do("rds.failover_cluster", cluster=name)
    world.do("rds.fail_back", cluster=name)
    assert writer(rds, name) == f"{name}-1"
    assert world.do("rds.is_failed_over", cluster=name) is False
    assert "nothing is owed" in world.do("rds.fail_back", cluster=name)["says"]


def test_a_person_on_another_machine_gives_the_prior_of_the_history(world, monkeypatch, tmp_path):
    name = unique("c")
    rds = cluster_of(world, name)
    says = world.do("rds.failover_cluster", cluster=name)["says"]
    monkeypatch.setenv("GAMEDAY_FAULT_DIR", str(tmp_path / "elsewhere"))
    prior = says.partition("prior ")[2].partition(";")[0]
    world.do("rds.fail_back", cluster=name, prior=prior)
    assert writer(rds, name) == json.loads(prior)["writer"] == f"{name}-1"


def test_a_cluster_that_is_not_there_is_one_clear_line(world):
    with pytest.raises(ActionError, match="(?i)not ?found") as raised:
        world.do("rds.failover_cluster", cluster="nobody")
    assert "\n" not in str(raised.value)


def test_a_writer_cannot_be_failed_over_to(world):
    name = unique("c")
    cluster_of(world, name)
    with pytest.raises(ActionError, match="is no reader"):
        world.do("rds.failover_cluster", cluster=name, to=f"{name}-1")


def instance(world, name):
    rds = world.client("rds")
    rds.create_db_instance(
        DBInstanceIdentifier=name, DBInstanceClass="db.t3.micro", Engine="postgres", AllocatedStorage=20,
        MasterUsername="u", MasterUserPassword="password1", BackupRetentionPeriod=1,
    )  # fmt: skip
    return rds


def test_a_restore_from_a_snapshot_is_deleted_by_its_undo(world):
    name = unique("p")
    rds = instance(world, name)
    rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=f"{name}-s")
    assert world.do("restores.is_instance_there", to=f"{name}-new") is False
    world.do("restores.instance_from_snapshot", snapshot=f"{name}-s", to=f"{name}-new")
    assert world.do("restores.is_instance_there", to=f"{name}-new") is True
    world.do("restores.delete_instance", to=name)  # Not made by a restore of ours: it stays.
    assert rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    with pytest.raises(ActionError, match="is there already"):
        world.do("restores.instance_from_snapshot", snapshot=f"{name}-s", to=name)
    world.do("restores.delete_instance", to=f"{name}-new")
    assert world.do("restores.is_instance_there", to=f"{name}-new") is False


def test_a_restore_to_a_point_in_time(world):
    name = unique("p")
    instance(world, name)
    given = {"instance": name, "to": f"{name}-new"}
    if world.kind == "ministack":  # It does not implement RestoreDBInstanceToPointInTime.
        with pytest.raises(ActionError):
            world.do("restores.instance_to_time", **given)
        return
    world.do("restores.instance_to_time", **given)
    assert world.do("restores.is_instance_there", to=f"{name}-new") is True
    world.do("restores.delete_instance", to=f"{name}-new")
    assert world.do("restores.is_instance_there", to=f"{name}-new") is False


def test_a_replica_is_promoted(world):
    name = unique("p")
    rds = instance(world, name)
    rds.create_db_instance_read_replica(DBInstanceIdentifier=f"{name}-r", SourceDBInstanceIdentifier=name)
    # moto answers and keeps the source; ministack does not implement it. Neither may end as done.
    with pytest.raises(ActionError) as raised:
        world.do("rds.promote_replica", instance=f"{name}-r", within_s=1)
    assert ("was not promoted" in str(raised.value)) == (world.kind == "moto")


def zone_of(world):
    r53 = world.client("route53")
    zone = r53.create_hosted_zone(Name="gd.test.", CallerReference=unique("z"))["HostedZone"]["Id"]
    return r53, zone.rpartition("/")[2]


def put(r53, zone, value, **more):
    record = {
        "Name": "db.gd.test.", "Type": "A", "TTL": 5, "ResourceRecords": [{"Value": value}], **more
    }  # fmt: skip
    r53.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    )


def answers(r53, zone, key):
    found = r53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    mine = [s for s in found if s["Name"] == "db.gd.test." and s["Type"] == "A"]
    if key == "Weight":
        return {s["SetIdentifier"]: s["Weight"] for s in mine}
    return [r["Value"] for s in mine for r in s["ResourceRecords"]]


def test_a_record_is_shifted_and_restored(world):
    r53, zone = zone_of(world)
    put(r53, zone, "10.0.0.1")
    where = {"zone": zone, "record": "db.gd.test", "type": "A"}
    assert world.do("route53.is_shifted", **where) is False
    world.do("route53.shift_record", values=["10.0.0.2"], **where)
    assert answers(r53, zone, "") == ["10.0.0.2"]
    assert world.do("route53.is_shifted", **where) is True
    world.do("route53.restore_record", **where)
    assert answers(r53, zone, "") == ["10.0.0.1"]
    assert world.do("route53.is_shifted", **where) is False


def test_weights_are_shifted_and_restored(world):
    r53, zone = zone_of(world)
    for name, weight in (("a", 100), ("b", 0)):
        put(r53, zone, "10.0.0.1", SetIdentifier=name, Weight=weight)
    where = {"zone": zone, "record": "db.gd.test.", "type": "A"}
    with pytest.raises(ActionError, match="all weights 0"):
        world.do("route53.shift_weights", weights={"a": 0}, **where)
    world.do("route53.shift_weights", weights={"a": 0, "b": 100}, **where)
    assert answers(r53, zone, "Weight") == {"a": 0, "b": 100}
    assert world.do("route53.is_shifted", **where) is True
    world.do("route53.restore_record", **where)
    assert answers(r53, zone, "Weight") == {"a": 100, "b": 0}


def test_a_health_check_is_inverted_and_reverted(world):
    r53 = world.client("route53")
    config = {"IPAddress": "192.0.2.1", "Port": 80, "Type": "HTTP", "ResourcePath": "/"}
    made = r53.create_health_check(CallerReference=unique("h"), HealthCheckConfig=config)["HealthCheck"]["Id"]
    assert world.do("route53.is_inverted", health_check=made) is False
    world.do("route53.invert_health_check", health_check=made)
    # ministack takes the request and leaves the check as it is: the read-back says so.
    assert world.do("route53.is_inverted", health_check=made) is (world.kind == "moto")
    world.do("route53.revert_health_check", health_check=made)
    assert world.do("route53.is_inverted", health_check=made) is False


def instances(world, count, **tags):
    ec2 = world.client("ec2")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    made = ec2.run_instances(
        ImageId=image, MinCount=count, MaxCount=count, Placement={"AvailabilityZone": "us-east-1a"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}],
    )["Instances"]  # fmt: skip
    return ec2, [i["InstanceId"] for i in made]


def states(ec2, names):
    found = ec2.describe_instances(InstanceIds=names)["Reservations"]
    return {i["InstanceId"]: i["State"]["Name"] for r in found for i in r["Instances"]}


def test_the_instances_of_a_zone_are_stopped_frozen_and_started(world):
    app = unique("app")
    ec2, mine = instances(world, 2, app=app)
    where = {"zone": "us-east-1a", "tags": {"app": app}}
    assert world.do("ec2.are_stopped", **where) is False
    with pytest.raises(ActionError, match="allowed are 1 to 1"):
        world.do("ec2.stop_instances", most=1, **where)
    with pytest.raises(ActionError, match="at least one"):
        world.do("ec2.stop_instances", zone="us-east-1a", tags={}, most=9)
    with pytest.raises(ActionError, match="not running in"):
        world.do("ec2.stop_instances", most=2, instances=["i-0123456789abcdef0"], **where)
    world.do("ec2.stop_instances", most=2, instances=mine[:1], **where)
    assert states(ec2, mine) == {mine[0]: "stopped", mine[1]: "running"}
    _, late = instances(world, 1, app=app)
    ec2.stop_instances(InstanceIds=late)
    assert world.do("ec2.are_stopped", **where) is True
    world.do("ec2.start_instances", **where)
    assert states(ec2, mine + late) == {mine[0]: "running", mine[1]: "running", late[0]: "stopped"}
    assert world.do("ec2.are_stopped", **where) is False


def group(world):
    ec2, asg, name = world.client("ec2"), world.client("autoscaling"), unique("g")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    ec2.create_launch_template(
        LaunchTemplateName=name, LaunchTemplateData={"ImageId": image, "InstanceType": "t3.micro"}
    )
    asg.create_auto_scaling_group(
        AutoScalingGroupName=name, MinSize=1, MaxSize=3, DesiredCapacity=2,
        AvailabilityZones=["us-east-1a", "us-east-1b"], LaunchTemplate={"LaunchTemplateName": name},
    )  # fmt: skip
    return asg, name


def test_a_group_is_resized_beyond_its_limits_and_back(world):
    asg, name = group(world)
    assert world.do("ec2.is_resized", group=name) is False
    world.do("ec2.set_desired", group=name, desired=5)
    now = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
    assert (now["MinSize"], now["MaxSize"], now["DesiredCapacity"]) == (1, 5, 5)
    assert world.do("ec2.is_resized", group=name) is True
    world.do("ec2.restore_size", group=name)
    assert world.do("ec2.is_resized", group=name) is False
    now = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
    assert (now["MinSize"], now["MaxSize"], now["DesiredCapacity"]) == (1, 3, 2)


def test_a_group_leaves_a_zone_and_returns(world):
    asg, name = group(world)
    world.do("ec2.leave_zone", group=name, zone="us-east-1a")
    now = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
    # ministack takes the request and leaves the zones as they are: the read-back says so.
    assert (now["AvailabilityZones"] == ["us-east-1b"]) == (world.kind == "moto")
    assert world.do("ec2.has_left_zone", group=name) is (world.kind == "moto")
    world.do("ec2.return_to_zone", group=name)
    assert world.do("ec2.has_left_zone", group=name) is False
    with pytest.raises(ActionError, match="must be in us-east-1z"):
        world.do("ec2.leave_zone", group=name, zone="us-east-1z")


def test_an_ecs_service_is_scaled_and_restored(world):
    ecs, name = world.client("ecs"), unique("k")
    ecs.create_cluster(clusterName=name)
    ecs.register_task_definition(
        family=name, containerDefinitions=[{"name": "w", "image": "x", "memory": 64}]
    )
    ecs.create_service(cluster=name, serviceName="s", taskDefinition=name, desiredCount=2)
    where = {"cluster": name, "service": "s"}
    assert world.do("containers.is_service_scaled", **where) is False
    world.do("containers.scale_service", desired=0, **where)
    assert ecs.describe_services(cluster=name, services=["s"])["services"][0]["desiredCount"] == 0
    assert world.do("containers.is_service_scaled", **where) is True
    world.do("containers.restore_service", **where)
    assert ecs.describe_services(cluster=name, services=["s"])["services"][0]["desiredCount"] == 2
    with pytest.raises(ActionError):
        world.do("containers.scale_service", cluster=name, service="nobody", desired=1)


def test_an_eks_node_group_is_resized_and_restored(world):
    eks, ec2, name = world.client("eks"), world.client("ec2"), unique("k")
    subnets = [s["SubnetId"] for s in ec2.describe_subnets()["Subnets"][:2]]
    role = f"arn:aws:iam::{world.account}:role/r"
    eks.create_cluster(name=name, roleArn=role, resourcesVpcConfig={"subnetIds": subnets})
    eks.create_nodegroup(
        clusterName=name, nodegroupName="n", subnets=subnets, nodeRole=role,
        scalingConfig={"minSize": 1, "maxSize": 3, "desiredSize": 2},
    )  # fmt: skip
    where = {"cluster": name, "nodegroup": "n"}
    assert world.do("containers.is_nodegroup_resized", **where) is False
    if world.kind == "ministack":  # It has no route for UpdateNodegroupConfig.
        with pytest.raises(ActionError):
            world.do("containers.resize_nodegroup", desired=0, **where)
        return
    world.do("containers.resize_nodegroup", desired=0, **where)
    now = eks.describe_nodegroup(clusterName=name, nodegroupName="n")["nodegroup"]["scalingConfig"]
    assert (now["minSize"], now["desiredSize"]) == (0, 0)
    world.do("containers.restore_nodegroup", **where)
    assert world.do("containers.is_nodegroup_resized", **where) is False


def table(world):
    ddb, name = world.client("dynamodb"), unique("t")
    ddb.create_table(
        TableName=name, KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}], BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )  # fmt: skip
    ddb.put_item(TableName=name, Item={"k": {"S": "1"}})
    return ddb, name


def test_a_table_is_restored_to_a_point_in_time(world):
    ddb, name = table(world)
    ddb.update_continuous_backups(
        TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    world.do("restores.table_to_time", table=name, to=f"{name}-new")
    assert ddb.get_item(TableName=f"{name}-new", Key={"k": {"S": "1"}})["Item"]
    assert world.do("restores.is_table_there", to=f"{name}-new") is True
    world.do("restores.delete_table", to=f"{name}-new")
    assert world.do("restores.is_table_there", to=f"{name}-new") is False
    assert world.do("restores.is_table_there", to=name) is False


def test_a_table_is_restored_from_a_backup(world):
    ddb, name = table(world)
    backup = ddb.create_backup(TableName=name, BackupName="backup")["BackupDetails"]["BackupArn"]
    world.do("restores.table_from_backup", backup_arn=backup, to=f"{name}-new")
    assert ddb.get_item(TableName=f"{name}-new", Key={"k": {"S": "1"}})["Item"]
    world.do("restores.delete_table", to=f"{name}-new")


def test_a_replica_of_a_table_is_added_and_removed(world):
    _, name = table(world)
    where = {"table": name, "to_region": "us-west-2"}
    assert world.do("dynamodb.has_replica", **where) is False
    if world.kind == "moto":  # It accepts the replica and never shows it: that must not end as done.
        with pytest.raises(ActionError, match="was not active"):
            world.do("dynamodb.add_replica", within_s=0.5, **where)
        return
    world.do("dynamodb.add_replica", **where)
    assert world.do("dynamodb.has_replica", **where) is True
    world.do("dynamodb.remove_replica", **where)
    assert world.do("dynamodb.has_replica", **where) is False


def test_an_experiment_is_started_and_stopped(world):
    if world.kind == "ministack":  # It has no FIS.
        with pytest.raises(ActionError):
            world.do("fis.start_experiment", template="EXT1")
        return
    fis = world.client("fis")
    template = fis.create_experiment_template(
        clientToken=unique("t"), description="d", stopConditions=[{"source": "none"}],
        targets={"t": {"resourceType": "aws:ec2:instance", "selectionMode": "ALL", "resourceTags": {"a": "b"}}},
        actions={"stop": {"actionId": "aws:ec2:stop-instances", "targets": {"Instances": "t"}}},
        roleArn="arn:aws:iam::123456789012:role/r",
    )["experimentTemplate"]["id"]  # fmt: skip
    assert world.do("fis.is_running", template=template) is False
    says = world.do("fis.start_experiment", template=template)["says"]
    assert "StartExperiment=" in says
    assert world.do("fis.is_running", template=template) is True
    says = world.do("fis.stop_experiment", template=template)["says"]
    assert "stopped" in says, says
    assert world.do("fis.is_running", template=template) is False
    with pytest.raises(ActionError, match="no step has started"):
        world.do("fis.wait_experiment", template=template)


def test_alarms_and_metrics_are_read(world):
    cloudwatch, name = world.client("cloudwatch"), unique("a")
    cloudwatch.put_metric_alarm(
        AlarmName=name, MetricName="m", Namespace="n", Statistic="Maximum", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip
    for state, quiet in (("OK", True), ("ALARM", False)):
        cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="x")
        assert world.do("cloudwatch.alarm_state", alarm=name) == state
        assert world.do("cloudwatch.is_alarm_quiet", alarm=name) is quiet
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="INSUFFICIENT_DATA", StateReason="x")
    with pytest.raises(ActionError, match="can tell nothing"):
        world.do("cloudwatch.is_alarm_quiet", alarm=name)
    with pytest.raises(ActionError, match="no alarm"):
        world.do("cloudwatch.alarm_state", alarm="nobody")
    cloudwatch.put_metric_data(Namespace=name, MetricData=[{"MetricName": "m", "Value": 5}])
    given = {"namespace": name, "name": "m", "statistic": "Maximum"}
    assert world.do("cloudwatch.metric", **given) == 5.0
    with pytest.raises(ActionError, match="has no value"):
        world.do("cloudwatch.metric", namespace=name, name="none")
