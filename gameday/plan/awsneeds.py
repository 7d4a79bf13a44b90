"""Which IAM actions each AWS function needs, on which resource; and the least policy of a plan.

Data, so that `gameday plan --iam` says it without boto3. Tests hold it against the calls that are really
made and against botocore's service models. sts:GetCallerIdentity needs no permission.

A resource is `*` where the call reads and cannot be narrowed, or AWS does not narrow it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gameday.plan.catalogue import action_of
from gameday.plan.inverse import ACTIONS
from gameday.plan.model import Activity, Plan

ANY = "*"
_PREFIX = f"{ACTIONS}.aws."
_DATA = "arn:{partition}:"
_RDS = f"{_DATA}rds:{{region}}:{{account}}:"
_CLUSTER, _INSTANCE = f"{_RDS}cluster:{{cluster}}", f"{_RDS}db:{{instance}}"
_ZONE = f"{_DATA}route53:::hostedzone/{{zone}}"
_CHECK = f"{_DATA}route53:::healthcheck/{{health_check}}"
_ASG = f"{_DATA}autoscaling:{{region}}:{{account}}:autoScalingGroup:*:autoScalingGroupName/{{group}}"
_SERVICE = f"{_DATA}ecs:{{region}}:{{account}}:service/{{cluster}}/{{service}}"
_NODES = f"{_DATA}eks:{{region}}:{{account}}:nodegroup/{{cluster}}/{{nodegroup}}/*"
_TABLE = f"{_DATA}dynamodb:{{region}}:{{account}}:table/"
_FIS = f"{_DATA}fis:{{region}}:{{account}}:"


@dataclass(frozen=True, slots=True)
class Need:
    """Actions that are needed together on one resource."""

    actions: tuple[str, ...]
    resource: str = ANY


def _need(actions: str, resource: str = ANY) -> Need:
    return Need(tuple(actions.split()), resource)


_MEMBERS = _need("rds:DescribeDBClusters", _CLUSTER)
_FAILOVER = _need("rds:FailoverDBCluster", _CLUSTER)
_GLOBALS = _need("rds:DescribeGlobalClusters")
_SWITCH = _need("rds:SwitchoverGlobalCluster")
_RESTORED = _need("rds:DescribeDBInstances", _RDS + "db:{to}")
_RESTORED_CLUSTER = _need("rds:DescribeDBClusters", _RDS + "cluster:{to}")
_SETS = _need("route53:ListResourceRecordSets", _ZONE)
_CHANGE = (
    _need("route53:ChangeResourceRecordSets", _ZONE),
    _need("route53:GetChange", f"{_DATA}route53:::change/*"),
)
_CHECKS = _need("route53:GetHealthCheck", _CHECK)
_INVERT = _need("route53:UpdateHealthCheck", _CHECK)
_CONTROLS = _need("route53-recovery-cluster:GetRoutingControlState", "{states}")
_CONTROL = _need("route53-recovery-cluster:UpdateRoutingControlStates", "{states}")
_SHIFTS = _need("arc-zonal-shift:ListZonalShifts")
_INSTANCES = _need("ec2:DescribeInstances")
_GROUPS = _need("autoscaling:DescribeAutoScalingGroups")
_GROUP = _need("autoscaling:UpdateAutoScalingGroup", _ASG)
_READ_TABLE = _need("dynamodb:DescribeTable", _TABLE + "{table}")
_READ_NEW = _need("dynamodb:DescribeTable", _TABLE + "{to}")
_FILLED = "dynamodb:Scan dynamodb:Query dynamodb:UpdateItem dynamodb:PutItem dynamodb:GetItem "
_FILL = _need(_FILLED + "dynamodb:DeleteItem dynamodb:BatchWriteItem", _TABLE + "{to}")
_REPLICA = _need("dynamodb:UpdateTable dynamodb:CreateTableReplica", _TABLE + "{table}")
_UNREPLICA = _need("dynamodb:UpdateTable dynamodb:DeleteTableReplica", _TABLE + "{table}")
_EXPERIMENTS = (
    _need("fis:GetExperimentTemplate", _FIS + "experiment-template/{template}"),
    _need("fis:GetExperiment", _FIS + "experiment/*"),
    _need("fis:ListExperiments"),
)
_TASKS = _need("ecs:DescribeServices", _SERVICE)
_SCALE = _need("ecs:UpdateService", _SERVICE)
_SIZE = _need("eks:DescribeNodegroup", _NODES)
_RESIZE = _need("eks:UpdateNodegroupConfig", _NODES)
_EXECUTION = _need("ssm:GetAutomationExecution")
_EXECUTIONS = _need("ssm:DescribeAutomationExecutions ssm:ListTagsForResource")

NEEDS: dict[str, tuple[Need, ...]] = {
    "rds.failover_cluster": (_MEMBERS, _FAILOVER),
    "rds.fail_back": (_MEMBERS, _FAILOVER),
    "rds.is_failed_over": (_MEMBERS,),
    "rds.failover_global_cluster": (_GLOBALS, _need("rds:FailoverGlobalCluster")),
    "rds.switchover_global_cluster": (_GLOBALS, _SWITCH),
    "rds.switch_back_global": (_GLOBALS, _SWITCH),
    "rds.is_global_moved": (_GLOBALS,),
    "rds.promote_replica": (_need("rds:DescribeDBInstances rds:PromoteReadReplica", _INSTANCE),),
    "restores.instance_from_snapshot": (_RESTORED, _need("rds:RestoreDBInstanceFromDBSnapshot")),
    "restores.instance_to_time": (_RESTORED, _need("rds:RestoreDBInstanceToPointInTime")),
    "restores.cluster_to_time": (_RESTORED_CLUSTER, _need("rds:RestoreDBClusterToPointInTime")),
    "restores.table_to_time": (
        _READ_NEW,
        _need("dynamodb:RestoreTableToPointInTime", _TABLE + "{table}"),
        _need("dynamodb:RestoreTableToPointInTime", _TABLE + "{to}"),
        _FILL,
    ),
    "restores.table_from_backup": (
        _READ_NEW,
        _need("dynamodb:RestoreTableFromBackup", "{backup_arn}"),
        _need("dynamodb:RestoreTableFromBackup", _TABLE + "{to}"),
        _FILL,
    ),
    "restores.delete_instance": (_RESTORED, _need("rds:DeleteDBInstance", _RDS + "db:{to}")),
    "restores.delete_cluster": (_RESTORED_CLUSTER, _need("rds:DeleteDBCluster", _RDS + "cluster:{to}")),
    "restores.delete_table": (_READ_NEW, _need("dynamodb:DeleteTable", _TABLE + "{to}")),
    "restores.is_instance_there": (_RESTORED,),
    "restores.is_cluster_there": (_RESTORED_CLUSTER,),
    "restores.is_table_there": (_READ_NEW,),
    "route53.shift_record": (_SETS, *_CHANGE),
    "route53.shift_weights": (_SETS, *_CHANGE),
    "route53.restore_record": _CHANGE,
    "route53.is_shifted": (_SETS,),
    "route53.invert_health_check": (_CHECKS, _INVERT),
    "route53.revert_health_check": (_INVERT,),
    "route53.is_inverted": (_CHECKS,),
    "arc.set_routing_controls": (_CONTROLS, _CONTROL),
    "arc.restore_routing_controls": (_CONTROL,),
    "arc.are_controls_set": (_CONTROLS,),
    "arc.start_zonal_shift": (_need("arc-zonal-shift:StartZonalShift", "{resource}"),),
    "arc.cancel_zonal_shift": (_SHIFTS, _need("arc-zonal-shift:CancelZonalShift", "{resource}")),
    "arc.has_zonal_shift": (_SHIFTS,),
    "ec2.stop_instances": (
        _INSTANCES,
        _need("ec2:StopInstances", _DATA + "ec2:{region}:{account}:instance/*"),
    ),
    "ec2.start_instances": (
        _INSTANCES,
        _need("ec2:StartInstances", _DATA + "ec2:{region}:{account}:instance/*"),
    ),
    "ec2.are_stopped": (_INSTANCES,),
    "ec2.leave_zone": (_GROUPS, _GROUP, _need("ec2:DescribeSubnets")),
    "ec2.return_to_zone": (_GROUP,),
    "ec2.has_left_zone": (_GROUPS,),
    "ec2.set_desired": (_GROUPS, _GROUP),
    "ec2.restore_size": (_GROUP,),
    "ec2.is_resized": (_GROUPS,),
    "containers.scale_service": (_TASKS, _SCALE),
    "containers.restore_service": (_SCALE,),
    "containers.is_service_scaled": (_TASKS,),
    "containers.resize_nodegroup": (_SIZE, _RESIZE),
    "containers.restore_nodegroup": (_RESIZE,),
    "containers.is_nodegroup_resized": (_SIZE,),
    "dynamodb.add_replica": (_READ_TABLE, _REPLICA),
    "dynamodb.remove_replica": (_READ_TABLE, _UNREPLICA),
    "dynamodb.has_replica": (_READ_TABLE,),
    "fis.start_experiment": (
        _EXPERIMENTS[0],
        _need("fis:StartExperiment", _FIS + "experiment-template/{template}"),
        _need("fis:StartExperiment fis:TagResource", _FIS + "experiment/*"),
    ),
    "fis.wait_experiment": _EXPERIMENTS[1:],
    "fis.stop_experiment": (*_EXPERIMENTS[1:], _need("fis:StopExperiment", _FIS + "experiment/*")),
    "fis.is_running": _EXPERIMENTS,
    "ssm.run_automation": (
        _EXECUTION,
        _need("ssm:StartAutomationExecution ssm:AddTagsToResource"),
    ),
    "ssm.stop_automation": (_EXECUTION, _EXECUTIONS, _need("ssm:StopAutomationExecution")),
    "ssm.is_automation_owed": (_EXECUTIONS, _need("ssm:DescribeDocument")),
    "cloudwatch.alarm_state": (_need("cloudwatch:DescribeAlarms"),),
    "cloudwatch.is_alarm_quiet": (_need("cloudwatch:DescribeAlarms"),),
    "cloudwatch.metric": (_need("cloudwatch:GetMetricData"),),
}
# Names of permissions that are no operation: they stand in a policy, and nobody calls them.
PERMISSION_ONLY = frozenset({"dynamodb:CreateTableReplica", "dynamodb:DeleteTableReplica"})


def least_policy(plan: Plan) -> dict[str, Any]:
    """Return the IAM policy document that the plan's AWS steps, undos, read-backs and probes need."""
    by_resource: dict[str, set[str]] = defaultdict(set)
    for activity in _activities(plan):
        action, arguments = action_of(activity)
        for need in NEEDS.get(action.removeprefix(_PREFIX), ()) if action.startswith(_PREFIX) else ():
            for resource in _resources(need.resource, arguments):
                by_resource[resource].update(need.actions)
    by_actions: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for resource, actions in sorted(by_resource.items()):
        by_actions[tuple(sorted(actions))].append(resource)
    statements = [
        {"Effect": "Allow", "Action": list(actions), "Resource": resources}
        for actions, resources in sorted(by_actions.items())
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def accounts(plan: Plan) -> tuple[str, ...]:
    """Return each account that the plan's AWS steps name, sorted."""
    found = {
        str(arguments.get("account", ""))
        for action, arguments in map(action_of, _activities(plan))
        if action.startswith(_PREFIX)
    }
    return tuple(sorted(found - {""}))


def _activities(plan: Plan) -> Iterator[Activity]:
    for step in plan.steps:
        yield from (part for part in (step.do, step.undo, step.in_place) if part is not None)
    for probe in plan.probes:
        spec = json.loads(probe.spec)
        provider = spec.get("provider") if isinstance(spec, dict) else None
        if isinstance(provider, dict):
            yield Activity(probe.name, json.dumps(provider), probe.timeout_ns)


def _resources(template: str, arguments: dict[str, Any]) -> tuple[str, ...]:
    """Return the ARNs of a template; a list or the keys of an object make one each."""
    given = {**arguments, "partition": _partition(str(arguments.get("region", "")))}
    alone = re.fullmatch(r"\{(\w+)\}", template)
    value = given.get(alone[1]) if alone else None
    if isinstance(value, dict | list):
        return tuple(sorted(map(str, value)))

    def text(match: re.Match[str]) -> str:
        return str(given.get(match[1]) or ANY)

    return (re.sub(r"\{(\w+)\}", text, template),)


def _partition(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"
