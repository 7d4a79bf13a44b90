"""Aurora and RDS: the writer moved within a cluster or to another region, a replica promoted.

A cluster's failover always names its target, so that a call that is repeated does no harm and an undo
knows the way back. What a failover is worth shows only at the database itself: measure it with probes.

Source: Amazon RDS API Reference, FailoverDBCluster, SwitchoverGlobalCluster, PromoteReadReplica.
"""

from __future__ import annotations

from typing import Any

from gameday.actions.aws.prior import Place, as_text, place
from gameday.actions.aws.session import Aws, wait_until
from gameday.actions.http import ActionError

__all__ = [
    "fail_back",
    "failover_cluster",
    "failover_global_cluster",
    "is_failed_over",
    "is_global_moved",
    "promote_replica",
    "switch_back_global",
    "switchover_global_cluster",
]
WITHIN_S = 240.0
GLOBAL_WITHIN_S = 900.0


def failover_cluster(
    account: str, region: str, cluster: str, to: str = "", within_s: float = WITHIN_S, profile: str = ""
) -> dict[str, str]:
    """Make another member of an Aurora or Multi-AZ cluster the writer, and wait until it is.

    Args:
        account: The plan's account, twelve digits.
        region: The cluster's region.
        cluster: Its identifier.
        to: The member to be the writer; the first reader in the order of promotion where it is not said.
        within_s: How long the writer may take to move.
        profile: A profile of the AWS configuration; the usual search where it is not said.

    Raises:
        ActionError: Refused, no reader to fail over to, or the writer did not move in time.
    """
    aws = Aws(account, region, profile)
    members = _members(aws, cluster)
    writer = _writer(members, cluster)
    readers = sorted(
        (m for m in members if not m["IsClusterWriter"]),
        key=lambda m: (m.get("PromotionTier", 1), m["DBInstanceIdentifier"]),
    )
    names = [m["DBInstanceIdentifier"] for m in readers]
    if (to and to not in names) or not names:
        raise ActionError(
            f"cluster {cluster}: {to or 'nobody'!r} is no reader; readers: {', '.join(names) or 'none'}"
        )
    target, where = to or names[0], _cluster_place(aws, cluster)
    with where.changing({"writer": writer, "to": target}):
        aws.write("rds", "FailoverDBCluster", DBClusterIdentifier=cluster, TargetDBInstanceIdentifier=target)
    _wait_writer(aws, cluster, target, within_s)
    return aws.says(f"writer {writer} to {target}; {as_text(where.owed())}")


def fail_back(
    account: str, region: str, cluster: str, prior: str = "", within_s: float = WITHIN_S, profile: str = ""
) -> dict[str, str]:
    """Make the member the writer again that was it before; harmless when it is.

    Raises:
        ActionError: Refused, or the writer did not move in time.
    """
    aws = Aws(account, region, profile)
    where = _cluster_place(aws, cluster)
    before = where.to_put_back(prior)
    if not before:
        return aws.says("nothing is owed")
    if _writer(_members(aws, cluster), cluster) != before["writer"]:
        aws.write(
            "rds", "FailoverDBCluster", DBClusterIdentifier=cluster,
            TargetDBInstanceIdentifier=before["writer"],
        )  # fmt: skip
        _wait_writer(aws, cluster, before["writer"], within_s)
    where.undone()
    return aws.says(f"writer {before['writer']} again")


def is_failed_over(account: str, region: str, cluster: str, profile: str = "") -> bool:
    """Tell whether another member is the writer than before the step."""
    aws = Aws(account, region, profile)
    writer = _writer(_members(aws, cluster), cluster)
    before = _cluster_place(aws, cluster).owed()
    return bool(before) and writer != before["writer"]


def failover_global_cluster(
    account: str,
    region: str,
    global_cluster: str,
    to_cluster_arn: str,
    allow_data_loss: bool,
    within_s: float = GLOBAL_WITHIN_S,
    profile: str = "",
) -> dict[str, str]:
    """Make a cluster of another region the writer of a global database, whatever was not replicated is lost.

    Args:
        account: As for `failover_cluster`.
        region: A region that works: that of the cluster which takes over.
        global_cluster: The global cluster's identifier.
        to_cluster_arn: Which cluster takes over.
        allow_data_loss: Must be true; without loss it is `switchover_global_cluster`.
        within_s: How long it may take.
        profile: As for `failover_cluster`.

    Raises:
        ActionError: Refused, or it did not move in time.
    """
    if allow_data_loss is not True:
        raise ActionError("allow_data_loss: expected true; without loss use switchover_global_cluster")
    return _move_global(
        Aws(account, region, profile), "FailoverGlobalCluster", global_cluster, to_cluster_arn, within_s,
        AllowDataLoss=True,
    )  # fmt: skip


def switchover_global_cluster(
    account: str,
    region: str,
    global_cluster: str,
    to_cluster_arn: str,
    within_s: float = GLOBAL_WITHIN_S,
    profile: str = "",
) -> dict[str, str]:
    """Make a cluster of another region the writer, once it has everything. Raises as the failover."""
    aws = Aws(account, region, profile)
    return _move_global(aws, "SwitchoverGlobalCluster", global_cluster, to_cluster_arn, within_s)


def switch_back_global(
    account: str,
    region: str,
    global_cluster: str,
    prior: str = "",
    within_s: float = GLOBAL_WITHIN_S,
    profile: str = "",
) -> dict[str, str]:
    """Switch a global database back to the cluster that was its writer, without loss.

    After a failover with loss AWS rebuilds the old cluster first: until then this is refused.

    Raises:
        ActionError: Refused, or it did not move in time.
    """
    aws = Aws(account, region, profile)
    where = _global_place(aws, global_cluster)
    before = where.to_put_back(prior)
    if not before:
        return aws.says("nothing is owed")
    if _global_writer(aws, global_cluster) != before["writer"]:
        aws.write(
            "rds", "SwitchoverGlobalCluster", GlobalClusterIdentifier=global_cluster,
            TargetDbClusterIdentifier=before["writer"],
        )  # fmt: skip
        _wait_global(aws, global_cluster, before["writer"], within_s)
    where.undone()
    return aws.says(f"writer {before['writer']} again")


def is_global_moved(account: str, region: str, global_cluster: str, profile: str = "") -> bool:
    """Tell whether another cluster is the writer of the global database than before the step."""
    aws = Aws(account, region, profile)
    writer = _global_writer(aws, global_cluster)
    before = _global_place(aws, global_cluster).owed()
    return bool(before) and writer != before["writer"]


def promote_replica(
    account: str, region: str, instance: str, within_s: float = GLOBAL_WITHIN_S, profile: str = ""
) -> dict[str, str]:
    """Make a read replica a database of its own, for good: there is no undo. One that is one is left.

    Raises:
        ActionError: Refused, or it is still a replica after `within_s` seconds.
    """
    aws = Aws(account, region, profile)
    source = _instance(aws, instance).get("ReadReplicaSourceDBInstanceIdentifier")
    if not source:
        return aws.says(f"{instance} is no replica (any more)")
    aws.write("rds", "PromoteReadReplica", DBInstanceIdentifier=instance)

    def is_own() -> bool:
        found = _instance(aws, instance)
        return found["DBInstanceStatus"] == "available" and not found.get(
            "ReadReplicaSourceDBInstanceIdentifier"
        )

    wait_until(is_own, within_s, f"{instance} was not promoted")
    return aws.says(f"{instance} no longer follows {source}")


def _cluster_place(aws: Aws, cluster: str) -> Place:
    return place("rds-cluster", aws.account, aws.region, cluster)


def _global_place(aws: Aws, name: str) -> Place:
    return place("rds-global", aws.account, "global", name)


def _members(aws: Aws, cluster: str) -> list[dict[str, Any]]:
    found = aws.read("rds", "DescribeDBClusters", DBClusterIdentifier=cluster).get("DBClusters") or ()
    if not found:
        raise ActionError(f"there is no cluster {cluster} in {aws.region} of account {aws.account}")
    return list(found[0].get("DBClusterMembers") or ())


def _writer(members: list[dict[str, Any]], cluster: str) -> str:
    for member in members:
        if member["IsClusterWriter"]:
            return str(member["DBInstanceIdentifier"])
    raise ActionError(f"cluster {cluster} has no writer")


def _wait_writer(aws: Aws, cluster: str, target: str, within_s: float) -> None:
    def is_writer() -> bool:
        return any(
            m["IsClusterWriter"] and m["DBInstanceIdentifier"] == target for m in _members(aws, cluster)
        )

    wait_until(is_writer, within_s, f"cluster {cluster}: {target} was not the writer")


def _instance(aws: Aws, instance: str) -> dict[str, Any]:
    found = aws.read("rds", "DescribeDBInstances", DBInstanceIdentifier=instance).get("DBInstances") or ()
    if not found:
        raise ActionError(f"there is no instance {instance} in {aws.region} of account {aws.account}")
    return dict(found[0])


def _move_global(
    aws: Aws, operation: str, name: str, target: str, within_s: float, **more: Any
) -> dict[str, str]:
    writer, where = _global_writer(aws, name), _global_place(aws, name)
    if writer == target:
        raise ActionError(f"global cluster {name}: {target} is its writer already")
    with where.changing({"writer": writer, "to": target}):
        aws.write("rds", operation, GlobalClusterIdentifier=name, TargetDbClusterIdentifier=target, **more)
    _wait_global(aws, name, target, within_s)
    return aws.says(f"writer of {name} moved; {as_text(where.owed())}")


def _global_writer(aws: Aws, name: str) -> str:
    found = (
        aws.read("rds", "DescribeGlobalClusters", GlobalClusterIdentifier=name).get("GlobalClusters") or ()
    )
    for member in found[0].get("GlobalClusterMembers") or () if found else ():
        if member.get("IsWriter"):
            return str(member["DBClusterArn"])
    raise ActionError(f"global cluster {name} has no writer")


def _wait_global(aws: Aws, name: str, target: str, within_s: float) -> None:
    wait_until(lambda: _global_writer(aws, name) == target, within_s, f"{name}: {target} was not the writer")
