"""DynamoDB global tables: a replica in another region added, and removed again. Restores: `restores`.

Source: Amazon DynamoDB API Reference, UpdateTable (ReplicaUpdates).
"""

from __future__ import annotations

from typing import Any

from gameday.actions.aws.prior import place
from gameday.actions.aws.session import Aws, wait_until
from gameday.actions.http import ActionError

__all__ = ["add_replica", "has_replica", "remove_replica"]
WITHIN_S = 1800.0


def add_replica(
    account: str, region: str, table: str, to_region: str, within_s: float = WITHIN_S, profile: str = ""
) -> dict[str, str]:
    """Add a replica of a table in another region, and wait until it is active.

    Raises:
        ActionError: Refused, it is there already, or it is not active in time.
    """
    aws = Aws(account, region, profile)
    if _replica(aws, table, to_region):
        raise ActionError(f"table {table} has a replica in {to_region} already")
    where = place("replica", aws.account, aws.region, table, to_region)
    with where.changing({"made": to_region}):
        _update(aws, table, {"Create": {"RegionName": to_region}})
    wait_until(
        lambda: _replica(aws, table, to_region).get("ReplicaStatus", "") == "ACTIVE", within_s,
        f"the replica of {table} in {to_region} was not active",
    )  # fmt: skip
    return aws.says(f"replica of {table} in {to_region}")


def remove_replica(
    account: str, region: str, table: str, to_region: str, within_s: float = WITHIN_S, profile: str = ""
) -> dict[str, str]:
    """Remove the replica that a step of ours added; others are never touched.

    Raises:
        ActionError: Refused, or it is still there after `within_s` seconds.
    """
    aws = Aws(account, region, profile)
    where = place("replica", aws.account, aws.region, table, to_region)
    if not where.owed():
        return aws.says("nothing is owed")
    if _replica(aws, table, to_region).get("ReplicaStatus", "DELETING") != "DELETING":
        _update(aws, table, {"Delete": {"RegionName": to_region}})
    wait_until(lambda: not _replica(aws, table, to_region), within_s, "the replica was not removed")
    where.undone()
    return aws.says(f"no replica of {table} in {to_region}")


def has_replica(account: str, region: str, table: str, to_region: str, profile: str = "") -> bool:
    """Tell whether the replica that a step of ours added is there."""
    aws = Aws(account, region, profile)
    there = bool(_replica(aws, table, to_region))
    return there and bool(place("replica", aws.account, aws.region, table, to_region).owed())


def _replica(aws: Aws, table: str, region: str) -> dict[str, Any]:
    found = aws.read("dynamodb", "DescribeTable", TableName=table)["Table"].get("Replicas") or ()
    return next((dict(r) for r in found if r.get("RegionName") == region), {})


def _update(aws: Aws, table: str, change: dict[str, Any]) -> None:
    aws.write("dynamodb", "UpdateTable", TableName=table, ReplicaUpdates=[change])
