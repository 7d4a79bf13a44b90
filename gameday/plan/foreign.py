"""How the actions of chaosk8s and chaosaws are taken back, as far as they can be.

Knowledge about other people's extensions, held against the installed packages by a test. gameday names
such an undo where a person writes a plan; it derives by itself only what stands in `catalogue.INVERSES`,
because only there the read-back is known, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gameday.plan.catalogue import INVERSES


class Way(StrEnum):
    """In which way an action can be taken back."""

    DIRECT = "direct"  # another action, with what is known beforehand
    SNAPSHOT = "snapshot"  # another action, with what was read before the first effect
    SELF_HEALING = "self-healing"  # the system mends it; whether it did must be looked at
    NONE = "none"  # nothing takes it back
    UNDO = "undo"  # it is itself what takes others back
    STEP = "step"  # one of gameday's own that leaves nothing to take back
    UNKNOWN = "unknown"  # of an extension that gameday does not know


@dataclass(frozen=True, slots=True)
class Back:
    """The way back from one action: by which action, what must be read beforehand, what to mind."""

    way: Way
    undo: str = ""
    before: tuple[str, ...] = ()
    fixed: tuple[tuple[str, bool | int], ...] = ()
    note: str = ""


def _direct(undo: str, note: str = "", fixed: tuple[tuple[str, bool | int], ...] = ()) -> Back:
    return Back(Way.DIRECT, undo, (), fixed, note)


def _snapshot(undo: str, *before: str, note: str = "") -> Back:
    return Back(Way.SNAPSHOT, undo, before, (), note)


_NONE = Back(Way.NONE)
_NAMED = "the name stands in what is created"
_MANIFEST = "save the manifest first, and clean it of status, uid and resourceVersion"
_HEALS = "its controller makes new ones: wait until they are ready"
_ALL = "with no selector it takes everything: name one"

CHAOSK8S: dict[str, Back] = {
    "actions.kill_microservice": Back(Way.SNAPSHOT, "actions.start_microservice", note=_MANIFEST),
    "actions.remove_service_endpoint": _snapshot("service.actions.create_service_endpoint", note=_MANIFEST),
    "actions.scale_microservice": _snapshot("actions.scale_microservice", "replicas"),
    "actions.start_microservice": _direct("actions.kill_microservice", _NAMED),
    "crd.actions.apply_from_json": _direct("crd.actions.delete_custom_object", _NAMED),
    "crd.actions.apply_from_yaml": _direct("crd.actions.delete_custom_object", _NAMED),
    "crd.actions.create_custom_object": _direct("crd.actions.delete_custom_object", _NAMED),
    "crd.actions.create_cluster_custom_object": _direct("crd.actions.delete_cluster_custom_object", _NAMED),
    "crd.actions.delete_custom_object": _snapshot(
        "crd.actions.create_custom_object", "resource", note=_MANIFEST
    ),
    "crd.actions.delete_cluster_custom_object": _snapshot(
        "crd.actions.create_cluster_custom_object", "resource", note=_MANIFEST
    ),
    "crd.actions.patch_custom_object": _snapshot("crd.actions.replace_custom_object", "resource"),
    "crd.actions.replace_custom_object": _snapshot("crd.actions.replace_custom_object", "resource"),
    "crd.actions.patch_cluster_custom_object": _snapshot(
        "crd.actions.replace_cluster_custom_object", "resource"
    ),
    "crd.actions.replace_cluster_custom_object": _snapshot(
        "crd.actions.replace_cluster_custom_object", "resource"
    ),
    "daemonset.actions.create_daemon_set": _direct("daemonset.actions.delete_daemon_set", _NAMED),
    "daemonset.actions.delete_daemon_set": _snapshot("daemonset.actions.create_daemon_set", note=_MANIFEST),
    "daemonset.actions.update_daemon_set": _snapshot("daemonset.actions.update_daemon_set", "spec"),
    "deployment.actions.create_deployment": _direct("deployment.actions.delete_deployment", _NAMED),
    "deployment.actions.delete_deployment": _snapshot(
        "deployment.actions.create_deployment", note=f"{_MANIFEST}; {_ALL}"
    ),
    "deployment.actions.rollout_deployment": Back(Way.SELF_HEALING, note="wait until it is rolled out"),
    "deployment.actions.scale_deployment": _snapshot("deployment.actions.scale_deployment", "replicas"),
    "namespace.actions.create_namespace": _direct("namespace.actions.delete_namespace"),
    "namespace.actions.delete_namespace": Back(Way.NONE, note="all that is in it goes, too"),
    "networking.actions.allow_dns_access": _direct("networking.actions.remove_allow_dns_access"),
    "networking.actions.create_ingress": _direct("networking.actions.delete_ingress", _NAMED),
    "networking.actions.create_network_policy": _direct("networking.actions.remove_network_policy", _NAMED),
    "networking.actions.delete_ingress": _snapshot("networking.actions.create_ingress", note=_MANIFEST),
    "networking.actions.deny_all_egress": _direct("networking.actions.remove_deny_all_egress"),
    "networking.actions.deny_all_ingress": _direct("networking.actions.remove_deny_all_ingress"),
    "networking.actions.remove_network_policy": _snapshot(
        "networking.actions.create_network_policy", "spec", note=_MANIFEST
    ),
    "networking.actions.update_ingress": _snapshot("networking.actions.update_ingress", "spec"),
    "node.actions.cordon_node": _direct("node.actions.uncordon_node", "without a name it takes all nodes"),
    "node.actions.create_node": _NONE,
    "node.actions.delete_nodes": Back(Way.NONE, note="the kubelet must register again"),
    "node.actions.drain_nodes": _direct(
        "node.actions.uncordon_node", "pods stay where they went; it stays cordoned where it fails halfway"
    ),
    "pod.actions.exec_in_pods": Back(Way.NONE, note="only you know: give the command that takes yours back"),
    "pod.actions.terminate_pods": Back(Way.SELF_HEALING, note=f"{_HEALS}; {_ALL}"),
    "replicaset.actions.delete_replica_set": Back(Way.SELF_HEALING, note=_HEALS),
    "secret.actions.create_secret": _direct("secret.actions.delete_secret", _NAMED),
    "secret.actions.delete_secret": _snapshot("secret.actions.create_secret", note=_MANIFEST),
    "service.actions.create_service_endpoint": _direct("service.actions.delete_service", _NAMED),
    "service.actions.delete_service": _snapshot("service.actions.create_service_endpoint", note=_MANIFEST),
    "statefulset.actions.create_statefulset": _direct("statefulset.actions.remove_statefulset", _NAMED),
    "statefulset.actions.remove_statefulset": _snapshot(
        "statefulset.actions.create_statefulset", note=f"{_MANIFEST}; {_ALL}"
    ),
    "statefulset.actions.scale_statefulset": _snapshot("statefulset.actions.scale_statefulset", "replicas"),
    **{
        f"chaosmesh.network.actions.{name}": _direct("chaosmesh.network.actions.delete_network_fault")
        for name in (
            "add_latency",
            "corrupt_packets",
            "duplicate_packets",
            "reorder_packets",
            "set_bandwidth",
            "set_loss",
        )
    },
    **{
        f"chaosmesh.stress.actions.{name}": _direct(
            "chaosmesh.stress.actions.delete_stressor", "it ends by itself after its duration"
        )
        for name in ("stress_cpu", "stress_memory")
    },
}

_IDS = "the ids are in what the action returned: name the instances instead of picking them"
_NO_ACTION = "chaosaws has no action for it: write it with boto3, or use gameday.actions.aws"

CHAOSAWS: dict[str, Back] = {
    "asg.actions.attach_volume": _NONE,
    "asg.actions.change_subnets": _snapshot("asg.actions.change_subnets", "subnets"),
    "asg.actions.detach_random_instances": Back(Way.NONE, note=f"attach_instances: {_NO_ACTION}"),
    "asg.actions.detach_random_volume": _direct(
        "asg.actions.attach_volume", "it finds it by its tag ChaosToolkitDetached"
    ),
    "asg.actions.stop_random_instances": Back(Way.SELF_HEALING, note="the group replaces them"),
    "asg.actions.suspend_processes": _direct("asg.actions.resume_processes"),
    "asg.actions.terminate_random_instances": Back(Way.SELF_HEALING, note="the group replaces them"),
    "awslambda.actions.add_error": _direct("awslambda.actions.remove_error"),
    "awslambda.actions.add_latency": _direct("awslambda.actions.remove_latency"),
    "awslambda.actions.add_layer": _direct("awslambda.actions.remove_layer"),
    "awslambda.actions.delete_event_source_mapping": _NONE,
    "awslambda.actions.delete_function_concurrency": _snapshot(
        "awslambda.actions.put_function_concurrency", "concurrent_executions"
    ),
    "awslambda.actions.invoke_function": Back(Way.NONE, note="only you know what it does"),
    "awslambda.actions.put_function_concurrency": _direct(
        "awslambda.actions.delete_function_concurrency", "only where none was set before"
    ),
    "awslambda.actions.put_function_memory_size": _snapshot(
        "awslambda.actions.put_function_memory_size", "memory_size"
    ),
    "awslambda.actions.put_function_timeout": _snapshot("awslambda.actions.put_function_timeout", "timeout"),
    "awslambda.actions.toggle_event_source_mapping_state": _snapshot(
        "awslambda.actions.toggle_event_source_mapping_state", "enabled"
    ),
    "cloudwatch.actions.delete_rule": _snapshot("cloudwatch.actions.put_rule"),
    "cloudwatch.actions.disable_rule": _direct("cloudwatch.actions.enable_rule"),
    "cloudwatch.actions.put_metric_data": Back(Way.NONE, note="metrics stay; they are evidence, no fault"),
    "cloudwatch.actions.put_rule": _direct("cloudwatch.actions.delete_rule", "only where it is new"),
    "cloudwatch.actions.put_rule_targets": _direct("cloudwatch.actions.remove_rule_targets"),
    "cloudwatch.actions.remove_rule_targets": _snapshot("cloudwatch.actions.put_rule_targets", "targets"),
    "ec2.actions.attach_volume": _NONE,
    "ec2.actions.detach_random_volume": _direct(
        "ec2.actions.attach_volume", "it finds it by its tag ChaosToolkitDetached"
    ),
    "ec2.actions.remove_tags_from_instances": _snapshot("ec2.actions.set_tags_on_instances", "tags"),
    "ec2.actions.restart_instances": Back(Way.SELF_HEALING, note="wait until they answer"),
    "ec2.actions.set_tags_on_instances": _direct("ec2.actions.remove_tags_from_instances"),
    "ec2.actions.stop_instance": _direct("ec2.actions.start_instances", _IDS),
    "ec2.actions.stop_instances": _direct("ec2.actions.start_instances", _IDS),
    "ec2.actions.stop_instances_by_incremental_steps": _direct("ec2.actions.start_instances", _IDS),
    "ec2.actions.terminate_instance": _NONE,
    "ec2.actions.terminate_instances": _NONE,
    "ecs.actions.delete_cluster": _NONE,
    "ecs.actions.delete_service": _NONE,
    "ecs.actions.deregister_container_instance": _NONE,
    "ecs.actions.set_service_deployment_configuration": _snapshot(
        "ecs.actions.set_service_deployment_configuration", "maximum_percent", "minimum_healthy_percent"
    ),
    "ecs.actions.set_service_placement_strategy": _snapshot(
        "ecs.actions.set_service_placement_strategy", "placement_type", "placement_field"
    ),
    "ecs.actions.stop_random_tasks": Back(Way.SELF_HEALING, note="the service starts new ones"),
    "ecs.actions.stop_task": Back(Way.SELF_HEALING, note="its service, if it has one, starts a new one"),
    "ecs.actions.tag_resource": _direct("ecs.actions.untag_resource"),
    "ecs.actions.untag_resource": _snapshot("ecs.actions.tag_resource", "tags"),
    "ecs.actions.update_container_instances_state": _snapshot(
        "ecs.actions.update_container_instances_state", "status"
    ),
    "ecs.actions.update_desired_count": _snapshot("ecs.actions.update_desired_count", "desired_count"),
    "eks.actions.create_cluster": _direct("eks.actions.delete_cluster"),
    "eks.actions.delete_cluster": _NONE,
    "elasticache.actions.delete_cache_clusters": _NONE,
    "elasticache.actions.delete_replication_groups": _NONE,
    "elasticache.actions.reboot_cache_clusters": Back(Way.SELF_HEALING, note="what was in memory is gone"),
    "elasticache.actions.test_failover": Back(Way.SELF_HEALING, note="the new primary stays where it is"),
    "elbv2.actions.delete_load_balancer": _NONE,
    "elbv2.actions.deregister_target": Back(Way.NONE, note=f"register_targets: {_NO_ACTION}"),
    "elbv2.actions.enable_access_log": _direct("elbv2.actions.enable_access_log", fixed=(("enable", False),)),
    "elbv2.actions.set_security_groups": _snapshot("elbv2.actions.set_security_groups", "security_group_ids"),
    "elbv2.actions.set_subnets": _snapshot("elbv2.actions.set_subnets", "subnet_ids"),
    "emr.actions.modify_cluster": _snapshot("emr.actions.modify_cluster", "concurrency"),
    "emr.actions.modify_instance_fleet": _snapshot(
        "emr.actions.modify_instance_fleet", "on_demand_capacity", "spot_capacity"
    ),
    "emr.actions.modify_instance_groups_instance_count": _snapshot(
        "emr.actions.modify_instance_groups_instance_count", "instance_count"
    ),
    "emr.actions.modify_instance_groups_shrink_policy": _snapshot(
        "emr.actions.modify_instance_groups_shrink_policy",
        "decommission_timeout",
        "terminate_instances",
        "protect_instances",
        "termination_timeout",
    ),
    "fis.actions.start_availability_zone_power_interruption_scenario": _direct(
        "fis.actions.restore_availability_zone_power_after_interruption"
    ),
    "fis.actions.start_experiment": _direct(
        "fis.actions.stop_experiment", "the id is in what the action returned: stop_experiments_by_tags"
    ),
    "fis.actions.start_stress_pod_delete_scenario": _direct("fis.actions.stop_experiments_by_tags"),
    "iam.actions.attach_role_policy": _direct("iam.actions.detach_role_policy"),
    "iam.actions.create_policy": _NONE,
    "iam.actions.detach_role_policy": _direct("iam.actions.attach_role_policy"),
    "msk.actions.delete_cluster": _NONE,
    "msk.actions.reboot_msk_broker": Back(Way.SELF_HEALING, note="wait until the broker is in sync"),
    "rds.actions.delete_db_cluster": _NONE,
    "rds.actions.delete_db_cluster_endpoint": _NONE,
    "rds.actions.delete_db_instance": _NONE,
    "rds.actions.failover_db_cluster": Back(
        Way.SELF_HEALING, note="always name the target: without one botocore refuses; failing back is a step"
    ),
    "rds.actions.reboot_db_instance": Back(Way.SELF_HEALING, note="wait until it is available"),
    "rds.actions.stop_db_cluster": Back(Way.NONE, note=f"start_db_cluster: {_NO_ACTION}"),
    "rds.actions.stop_db_instance": Back(Way.NONE, note=f"start_db_instance: {_NO_ACTION}"),
    "route53.actions.associate_vpc_with_zone": _direct("route53.actions.disassociate_vpc_from_zone"),
    "route53.actions.disassociate_vpc_from_zone": _direct("route53.actions.associate_vpc_with_zone"),
    "s3.actions.delete_object": Back(Way.NONE, note="unless the bucket keeps versions"),
    "s3.actions.toggle_versioning": _snapshot("s3.actions.toggle_versioning", "status"),
    "ssm.actions.create_document": _direct("ssm.actions.delete_document"),
    "ssm.actions.delete_document": _snapshot("ssm.actions.create_document", "path_content"),
    "ssm.actions.put_parameter": _snapshot("ssm.actions.put_parameter", "value"),
    "ssm.actions.send_command": Back(Way.NONE, note="only you know: give the command that takes yours back"),
}


def _whole(top: str, table: dict[str, Back]) -> dict[str, Back]:
    made = {
        f"{top}.{name}": Back(
            back.way, f"{top}.{back.undo}" if back.undo else "", back.before, back.fixed, back.note
        )
        for name, back in table.items()
    }
    undos = {back.undo for back in made.values() if back.undo}
    return made | {undo: Back(Way.UNDO) for undo in undos if undo not in made}


FOREIGN: dict[str, Back] = _whole("chaosk8s", CHAOSK8S) | _whole("chaosaws", CHAOSAWS)


def way_back(name: str) -> Back:
    """Return how an action is taken back, as far as gameday knows."""
    inverse = INVERSES.get(name)
    if inverse is not None:
        return Back(Way.DIRECT, inverse.undo)
    if name in FOREIGN:
        return FOREIGN[name]
    if name in {known.undo for known in INVERSES.values()}:
        return Back(Way.UNDO)
    return Back(Way.STEP if name.startswith("gameday.") else Way.UNKNOWN)
