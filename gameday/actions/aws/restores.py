"""RDS, Aurora and DynamoDB restored beside the original: from a snapshot, a backup, to a point in time.

A restore makes something new and costs money until it is deleted: that is its undo, and it deletes
only what this step made: recorded before the restore was asked for, when nothing of that name was there.

Source: Amazon RDS API Reference, RestoreDB…; Amazon DynamoDB API Reference, RestoreTable….
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gameday.actions.aws.prior import Place, place
from gameday.actions.aws.session import Aws, Failed, wait_until
from gameday.actions.http import ActionError

__all__ = [
    "cluster_to_time",
    "delete_cluster",
    "delete_instance",
    "delete_table",
    "instance_from_snapshot",
    "instance_to_time",
    "is_cluster_there",
    "is_instance_there",
    "is_table_there",
    "table_from_backup",
    "table_to_time",
]
WITHIN_S = 3600.0
INSTANCE, CLUSTER, TABLE = "rds-restored", "rds-restored-cluster", "dynamodb-restored"


def instance_from_snapshot(
    account: str, region: str, snapshot: str, to: str, within_s: float = WITHIN_S, profile: str = ""
) -> dict[str, str]:
    """Restore an RDS instance `to` from a snapshot, and wait until it is available.

    Raises:
        ActionError: Refused, `to` is there already, or it is not available after `within_s` seconds.
    """
    aws = Aws(account, region, profile)
    given = {"DBSnapshotIdentifier": snapshot, "DBInstanceIdentifier": to}
    return _restore(aws, INSTANCE, to, "rds", "RestoreDBInstanceFromDBSnapshot", given, within_s)


def instance_to_time(
    account: str,
    region: str,
    instance: str,
    to: str,
    seconds_before: float = 0,
    within_s: float = WITHIN_S,
    profile: str = "",
) -> dict[str, str]:
    """Restore an RDS instance `to` as `instance` was so many seconds ago; 0: the latest that is possible.

    Raises:
        ActionError: As `instance_from_snapshot`.
    """
    aws = Aws(account, region, profile)
    given = {"SourceDBInstanceIdentifier": instance, "TargetDBInstanceIdentifier": to}
    moment = _moment(seconds_before, "RestoreTime", "UseLatestRestorableTime")
    return _restore(aws, INSTANCE, to, "rds", "RestoreDBInstanceToPointInTime", given | moment, within_s)


def cluster_to_time(
    account: str,
    region: str,
    cluster: str,
    to: str,
    seconds_before: float = 0,
    within_s: float = WITHIN_S,
    profile: str = "",
) -> dict[str, str]:
    """Restore an Aurora cluster `to` as `cluster` was so many seconds ago. It has no instance yet.

    Raises:
        ActionError: As `instance_from_snapshot`.
    """
    aws = Aws(account, region, profile)
    given = {"SourceDBClusterIdentifier": cluster, "DBClusterIdentifier": to}
    moment = _moment(seconds_before, "RestoreToTime", "UseLatestRestorableTime")
    return _restore(aws, CLUSTER, to, "rds", "RestoreDBClusterToPointInTime", given | moment, within_s)


def table_to_time(
    account: str,
    region: str,
    table: str,
    to: str,
    seconds_before: float = 0,
    within_s: float = WITHIN_S,
    profile: str = "",
) -> dict[str, str]:
    """Restore a DynamoDB table `to` as `table` was so many seconds ago.

    Raises:
        ActionError: As `instance_from_snapshot`.
    """
    aws = Aws(account, region, profile)
    given = {"SourceTableName": table, "TargetTableName": to}
    moment = _moment(seconds_before, "RestoreDateTime", "UseLatestRestorableTime")
    return _restore(aws, TABLE, to, "dynamodb", "RestoreTableToPointInTime", given | moment, within_s)


def table_from_backup(
    account: str, region: str, backup_arn: str, to: str, within_s: float = WITHIN_S, profile: str = ""
) -> dict[str, str]:
    """Restore a DynamoDB table `to` from a backup.

    Raises:
        ActionError: As `instance_from_snapshot`.
    """
    aws = Aws(account, region, profile)
    given = {"BackupArn": backup_arn, "TargetTableName": to}
    return _restore(aws, TABLE, to, "dynamodb", "RestoreTableFromBackup", given, within_s)


def delete_instance(account: str, region: str, to: str, profile: str = "") -> dict[str, str]:
    """Delete the instance that a restore made, without a last snapshot. Others are never touched.

    Raises:
        ActionError: Refused.
    """
    given = {"DBInstanceIdentifier": to, "SkipFinalSnapshot": True, "DeleteAutomatedBackups": True}
    return _delete(Aws(account, region, profile), INSTANCE, to, "rds", "DeleteDBInstance", given)


def delete_cluster(account: str, region: str, to: str, profile: str = "") -> dict[str, str]:
    """Delete the cluster that a restore made. Raises as `delete_instance`."""
    given = {"DBClusterIdentifier": to, "SkipFinalSnapshot": True}
    return _delete(Aws(account, region, profile), CLUSTER, to, "rds", "DeleteDBCluster", given)


def delete_table(account: str, region: str, to: str, profile: str = "") -> dict[str, str]:
    """Delete the table that a restore made. Raises as `delete_instance`."""
    aws = Aws(account, region, profile)
    return _delete(aws, TABLE, to, "dynamodb", "DeleteTable", {"TableName": to})


def is_instance_there(account: str, region: str, to: str, profile: str = "") -> bool:
    """Tell whether the instance that a restore made is there and not being deleted."""
    return _is_there(Aws(account, region, profile), INSTANCE, to)


def is_cluster_there(account: str, region: str, to: str, profile: str = "") -> bool:
    """Tell whether the cluster that a restore made is there and not being deleted."""
    return _is_there(Aws(account, region, profile), CLUSTER, to)


def is_table_there(account: str, region: str, to: str, profile: str = "") -> bool:
    """Tell whether the table that a restore made is there and not being deleted."""
    return _is_there(Aws(account, region, profile), TABLE, to)


def _moment(seconds_before: float, key: str, latest: str) -> dict[str, Any]:
    if seconds_before < 0:
        raise ActionError(f"seconds_before {seconds_before!r}: expected 0 or more")
    if not seconds_before:
        return {latest: True}
    return {key: datetime.now(UTC) - timedelta(seconds=seconds_before)}


def _place(aws: Aws, kind: str, name: str) -> Place:
    return place(kind, aws.account, aws.region, name)


def _restore(
    aws: Aws, kind: str, to: str, service: str, operation: str, given: dict[str, Any], within_s: float
) -> dict[str, str]:
    if _status(aws, kind, to):
        raise ActionError(f"{to} is there already in {aws.region}: a restore makes something new")
    where = _place(aws, kind, to)
    with where.changing({"made": to}):
        aws.write(service, operation, **given)
    wait_until(
        lambda: _status(aws, kind, to).lower() in ("available", "active"), within_s, f"{to} was not available"
    )
    return aws.says(f"restored {to}")


def _delete(
    aws: Aws, kind: str, to: str, service: str, operation: str, given: dict[str, Any]
) -> dict[str, str]:
    where = _place(aws, kind, to)
    if not where.owed():
        return aws.says("nothing is owed")
    if _status(aws, kind, to).lower() not in ("", "deleting"):
        aws.write(service, operation, **given)
    where.undone()
    return aws.says(f"{to} is being deleted")


def _is_there(aws: Aws, kind: str, to: str) -> bool:
    status = _status(aws, kind, to).lower()
    return status not in ("", "deleting") and bool(_place(aws, kind, to).record())


def _status(aws: Aws, kind: str, name: str) -> str:
    """Return the status of what may have been restored; empty when there is nothing of that name."""
    try:
        match kind:
            case "rds-restored":
                found = aws.read("rds", "DescribeDBInstances", DBInstanceIdentifier=name)["DBInstances"]
                return str(found[0]["DBInstanceStatus"]) if found else ""
            case "rds-restored-cluster":
                found = aws.read("rds", "DescribeDBClusters", DBClusterIdentifier=name)["DBClusters"]
                return str(found[0]["Status"]) if found else ""
            case _:
                return str(aws.read("dynamodb", "DescribeTable", TableName=name)["Table"]["TableStatus"])
    except Failed as error:
        if "NotFound" in error.code:
            return ""
        raise
