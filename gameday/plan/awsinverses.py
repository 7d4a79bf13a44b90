"""The catalogue's entries for AWS: how each change is undone and read back, and what it survives.

Failover steps and shifts of traffic are `by_steps`: they may be written as a fault or as a step, and owe
their undo either way. Promotions have no inverse, so they do not stand here.
"""

from __future__ import annotations

from gameday.plan.inverse import ACTIONS, Inverse

_AWS = f"{ACTIONS}.aws."
_HERE = (
    "Runner killed: the watchdog undoes it within seconds. Host lost: it stays in AWS until "
    "`gameday recover` or the command by hand, with the `prior` of the history."
)
_BY_AWS = "Runner killed: the watchdog undoes it within seconds. Host lost: it ends by itself: {}."
_WHO = ("account", "region", "profile")
_HAND = "python -m gameday.actions aws."


def _entry(
    module: str,
    undo: str,
    in_place: str,
    keep: tuple[str, ...],
    target: str,
    *,
    by_steps: bool = True,
    has_ttl: bool = False,
    survives: str = _HERE,
) -> Inverse:
    """An entry whose target is named with account and region, because names repeat across both."""
    named = " ".join(f"{key}={{{key}}}" for key in (*_WHO, *keep))
    return Inverse(
        f"{_AWS}{module}.{undo}",
        f"{_AWS}{module}.{in_place}",
        (*_WHO, *keep),
        f"aws:{{account}}/{{region}}/{target}",
        survives,
        defaults=(("profile", ""),),
        manual=f"{_HAND}{module}.{undo} {named}",
        has_ttl=has_ttl,
        by_steps=by_steps,
    )


_CLUSTER = _entry("rds", "fail_back", "is_failed_over", ("cluster",), "cluster/{cluster}")
_GLOBAL = _entry(
    "rds", "switch_back_global", "is_global_moved", ("global_cluster",), "global/{global_cluster}"
)
_INSTANCE = _entry("restores", "delete_instance", "is_instance_there", ("to",), "restored/{to}")
_TABLE = _entry("restores", "delete_table", "is_table_there", ("to",), "restored-table/{to}")
_RECORD = _entry(
    "route53", "restore_record", "is_shifted", ("zone", "record", "type"), "record/{zone}/{record}/{type}"
)

AWS_INVERSES: dict[str, Inverse] = {
    f"{_AWS}rds.failover_cluster": _CLUSTER,
    f"{_AWS}rds.failover_global_cluster": _GLOBAL,
    f"{_AWS}rds.switchover_global_cluster": _GLOBAL,
    f"{_AWS}restores.instance_from_snapshot": _INSTANCE,
    f"{_AWS}restores.instance_to_time": _INSTANCE,
    f"{_AWS}restores.cluster_to_time": _entry(
        "restores", "delete_cluster", "is_cluster_there", ("to",), "restored-cluster/{to}"
    ),
    f"{_AWS}restores.table_to_time": _TABLE,
    f"{_AWS}restores.table_from_backup": _TABLE,
    f"{_AWS}route53.shift_record": _RECORD,
    f"{_AWS}route53.shift_weights": _RECORD,
    f"{_AWS}route53.invert_health_check": _entry(
        "route53", "revert_health_check", "is_inverted", ("health_check",), "health-check/{health_check}"
    ),
    f"{_AWS}arc.set_routing_controls": _entry(
        "arc",
        "restore_routing_controls",
        "are_controls_set",
        ("states", "endpoints"),
        "routing-controls/{states}",
    ),
    f"{_AWS}arc.start_zonal_shift": _entry(
        "arc",
        "cancel_zonal_shift",
        "has_zonal_shift",
        ("resource",),
        "zonal-shift/{resource}",
        has_ttl=True,
        survives=_BY_AWS.format("the shift expires"),
    ),
    f"{_AWS}ec2.stop_instances": _entry(
        "ec2", "start_instances", "are_stopped", ("zone", "tags"), "instances/{zone}/{tags}", by_steps=False
    ),
    f"{_AWS}ec2.leave_zone": _entry(
        "ec2", "return_to_zone", "has_left_zone", ("group",), "asg/{group}", by_steps=False
    ),
    f"{_AWS}ec2.set_desired": _entry("ec2", "restore_size", "is_resized", ("group",), "asg/{group}"),
    f"{_AWS}containers.scale_service": _entry(
        "containers",
        "restore_service",
        "is_service_scaled",
        ("cluster", "service"),
        "ecs/{cluster}/{service}",
    ),
    f"{_AWS}containers.resize_nodegroup": _entry(
        "containers",
        "restore_nodegroup",
        "is_nodegroup_resized",
        ("cluster", "nodegroup"),
        "eks/{cluster}/{nodegroup}",
    ),
    f"{_AWS}dynamodb.add_replica": _entry(
        "dynamodb", "remove_replica", "has_replica", ("table", "to_region"), "table/{table}/{to_region}"
    ),
    f"{_AWS}fis.start_experiment": _entry(
        "fis",
        "stop_experiment",
        "is_running",
        ("template",),
        "fis/{template}",
        by_steps=False,
        survives=_BY_AWS.format("the experiment has durations of its own"),
    ),
    f"{_AWS}ssm.run_automation": _entry(
        "ssm", "stop_automation", "is_automation_owed", ("document",), "ssm/{document}"
    ),
}
