"""ECS services and EKS node groups: how many there should be, and back.

Source: Amazon ECS API Reference, UpdateService; Amazon EKS API Reference, UpdateNodegroupConfig.
"""

from __future__ import annotations

from typing import Any

from gameday.actions.aws.prior import as_text, place
from gameday.actions.aws.session import Aws
from gameday.actions.http import ActionError

__all__ = [
    "is_nodegroup_resized",
    "is_service_scaled",
    "resize_nodegroup",
    "restore_nodegroup",
    "restore_service",
    "scale_service",
]


def scale_service(
    account: str, region: str, cluster: str, service: str, desired: int, profile: str = ""
) -> dict[str, str]:
    """Ask an ECS service for so many tasks.

    Raises:
        ActionError: Refused, or there is no such active service.
    """
    aws = Aws(account, region, profile)
    where = place("ecs", aws.account, aws.region, cluster, service)
    before = _tasks(aws, cluster, service)
    with where.changing({"desired": before}):
        aws.write("ecs", "UpdateService", cluster=cluster, service=service, desiredCount=_count(desired))
    return aws.says(f"{service} from {before} to {desired}; {as_text(where.owed())}")


def restore_service(
    account: str, region: str, cluster: str, service: str, prior: str = "", profile: str = ""
) -> dict[str, str]:
    """Ask for as many tasks as before. Raises as `scale_service`."""
    aws = Aws(account, region, profile)
    where = place("ecs", aws.account, aws.region, cluster, service)
    before = where.to_put_back(prior)
    if not before:
        return aws.says("nothing is owed")
    aws.write("ecs", "UpdateService", cluster=cluster, service=service, desiredCount=before["desired"])
    where.undone()
    return aws.says(f"{service} to {before['desired']} again")


def is_service_scaled(account: str, region: str, cluster: str, service: str, profile: str = "") -> bool:
    """Tell whether another number of tasks is asked for than before the step."""
    aws = Aws(account, region, profile)
    now = _tasks(aws, cluster, service)
    before = place("ecs", aws.account, aws.region, cluster, service).owed()
    return bool(before) and now != before["desired"]


def resize_nodegroup(
    account: str, region: str, cluster: str, nodegroup: str, desired: int, profile: str = ""
) -> dict[str, str]:
    """Ask an EKS node group for so many nodes; its limits give way as far as needed (0 is a size, too).

    Raises:
        ActionError: Refused, or there is no such node group.
    """
    aws = Aws(account, region, profile)
    where = place("eks", aws.account, aws.region, cluster, nodegroup)
    before = _scaling(aws, cluster, nodegroup)
    wanted = _count(desired)
    with where.changing(before):
        size = {
            "minSize": min(before["minSize"], wanted), "maxSize": max(before["maxSize"], wanted, 1),
            "desiredSize": wanted,
        }  # fmt: skip
        _resize(aws, cluster, nodegroup, size)
    return aws.says(f"{nodegroup} to {desired}; {as_text(where.owed())}")


def restore_nodegroup(
    account: str, region: str, cluster: str, nodegroup: str, prior: str = "", profile: str = ""
) -> dict[str, str]:
    """Give the node group its size and limits back. Raises as `resize_nodegroup`."""
    aws = Aws(account, region, profile)
    where = place("eks", aws.account, aws.region, cluster, nodegroup)
    before = where.to_put_back(prior)
    if not before:
        return aws.says("nothing is owed")
    _resize(aws, cluster, nodegroup, before)
    where.undone()
    return aws.says(f"{nodegroup} to {before['desiredSize']} again")


def is_nodegroup_resized(account: str, region: str, cluster: str, nodegroup: str, profile: str = "") -> bool:
    """Tell whether the node group's size or limits are others than before the step."""
    aws = Aws(account, region, profile)
    now = _scaling(aws, cluster, nodegroup)
    before = place("eks", aws.account, aws.region, cluster, nodegroup).owed()
    return bool(before) and now != before


def _count(desired: int) -> int:
    if not isinstance(desired, int) or desired < 0:
        raise ActionError(f"desired {desired!r}: expected a whole number from 0")
    return desired


def _tasks(aws: Aws, cluster: str, service: str) -> int:
    found = aws.read("ecs", "DescribeServices", cluster=cluster, services=[service])["services"]
    if not found or found[0]["status"] != "ACTIVE":
        raise ActionError(
            f"there is no active service {service} on {cluster} in {aws.region} of account {aws.account}"
        )
    return int(found[0]["desiredCount"])


def _scaling(aws: Aws, cluster: str, nodegroup: str) -> dict[str, int]:
    found = aws.read("eks", "DescribeNodegroup", clusterName=cluster, nodegroupName=nodegroup)
    scaling = found["nodegroup"]["scalingConfig"]
    return {key: int(scaling[key]) for key in ("minSize", "maxSize", "desiredSize")}


def _resize(aws: Aws, cluster: str, nodegroup: str, size: dict[str, Any]) -> None:
    aws.write(
        "eks", "UpdateNodegroupConfig", clusterName=cluster, nodegroupName=nodegroup, scalingConfig=size
    )
