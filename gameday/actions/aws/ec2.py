"""EC2 instances and Auto Scaling groups by zone: what is touched is resolved once, frozen, and recorded.

Instances that appear later are never touched, and the undo starts those that were stopped, not those
that match. A selection is never empty and never larger than the plan says.

Source: Amazon EC2 API Reference, StopInstances; EC2 Auto Scaling API Reference, UpdateAutoScalingGroup.
"""

from __future__ import annotations

from typing import Any

from gameday.actions.aws.prior import Place, as_text, place
from gameday.actions.aws.session import Aws, wait_until
from gameday.actions.http import ActionError

__all__ = [
    "are_stopped",
    "has_left_zone",
    "is_resized",
    "leave_zone",
    "restore_size",
    "return_to_zone",
    "set_desired",
    "start_instances",
    "stop_instances",
]
WITHIN_S = 300.0


def stop_instances(
    account: str,
    region: str,
    zone: str,
    tags: dict[str, str],
    most: int,
    instances: list[str] | None = None,
    within_s: float = WITHIN_S,
    profile: str = "",
) -> dict[str, str]:
    """Stop the running instances of a zone that carry all the tags, and wait until they are stopped.

    Args:
        account: The plan's account, twelve digits.
        region: The zone's region.
        zone: The availability zone, such as `eu-west-1a`.
        tags: Values by key, at least one.
        most: More than so many are refused.
        instances: The only instances allowed, where the plan froze them; each must be in the zone and tagged.
        within_s: How long it may take.
        profile: A profile of the AWS configuration.

    Raises:
        ActionError: Refused, none or too many match, or they are not stopped in time.
    """
    aws = Aws(account, region, profile)
    found = _running(aws, zone, tags)
    if instances is not None and not set(instances) <= set(found):
        raise ActionError(
            f"{', '.join(sorted(set(instances) - set(found)))}: not running in {zone} with these tags"
        )
    chosen = sorted(instances) if instances is not None else found
    if not chosen or len(chosen) > most:
        raise ActionError(
            f"{len(chosen)} instances in {zone} match, allowed are 1 to {most}: nothing was stopped"
        )
    where = _instances_place(aws, zone, tags)
    with where.changing({"instances": chosen}):
        aws.write("ec2", "StopInstances", InstanceIds=chosen)
    wait_until(lambda: _are(aws, chosen, "stopped"), within_s, f"{', '.join(chosen)} were not stopped")
    return aws.says(f"stopped {len(chosen)} of {len(found)}; {as_text(where.owed())}")


def start_instances(
    account: str,
    region: str,
    zone: str,
    tags: dict[str, str],
    prior: str = "",
    within_s: float = WITHIN_S,
    profile: str = "",
) -> dict[str, str]:
    """Start exactly those instances that were stopped. Harmless when they run.

    Raises:
        ActionError: Refused, or they do not run in time.
    """
    aws = Aws(account, region, profile)
    where = _instances_place(aws, zone, tags)
    before = where.to_put_back(prior)
    if not before:
        return aws.says("nothing is owed")
    # One that is still stopping cannot be started.
    wait_until(lambda: not _are(aws, before["instances"], "stopping", some=True), within_s, "still stopping")
    aws.write("ec2", "StartInstances", InstanceIds=before["instances"])
    wait_until(lambda: _are(aws, before["instances"], "running"), within_s, "they did not run")
    where.undone()
    return aws.says(f"started {len(before['instances'])}")


def are_stopped(account: str, region: str, zone: str, tags: dict[str, str], profile: str = "") -> bool:
    """Tell whether one of the instances that were stopped does not run."""
    aws = Aws(account, region, profile)
    _running(aws, zone, tags)  # Right account, right region, readable: also before anything is recorded.
    before = _instances_place(aws, zone, tags).owed()
    return bool(before) and not _are(aws, before["instances"], "running")


def leave_zone(account: str, region: str, group: str, zone: str, profile: str = "") -> dict[str, str]:
    """Take a zone away from an Auto Scaling group: it ends its instances there, and starts others elsewhere.

    Raises:
        ActionError: Refused, the group is not there, or in no other zone.
    """
    aws = Aws(account, region, profile)
    found = _group(aws, group)
    subnets = [s for s in str(found.get("VPCZoneIdentifier") or "").split(",") if s]
    before: dict[str, Any] = (
        {"subnets": subnets} if subnets else {"zones": sorted(found["AvailabilityZones"])}
    )
    if subnets:
        where_is = {
            s["SubnetId"]: s["AvailabilityZone"]
            for s in aws.all("ec2", "DescribeSubnets", "Subnets", SubnetIds=subnets)
        }
        left = [s for s in subnets if where_is[s] != zone]
    else:
        left = [z for z in before["zones"] if z != zone]
    if not left or len(left) == len(subnets or before["zones"]):
        raise ActionError(f"group {group}: it must be in {zone} and in another zone; it is in {before}")
    where = _zone_place(aws, group)
    with where.changing(before):
        _set_zones(aws, group, {"subnets": left} if subnets else {"zones": left})
    return aws.says(f"group {group} leaves {zone}; {as_text(where.owed())}")


def return_to_zone(
    account: str, region: str, group: str, prior: str = "", profile: str = ""
) -> dict[str, str]:
    """Give the group its zones back. Raises as AWS does."""
    aws = Aws(account, region, profile)
    where = _zone_place(aws, group)
    before = where.to_put_back(prior)
    if not before:
        return aws.says("nothing is owed")
    _set_zones(aws, group, before)
    where.undone()
    return aws.says(f"group {group} has its zones back")


def has_left_zone(account: str, region: str, group: str, profile: str = "") -> bool:
    """Tell whether the group has other zones than before the step."""
    aws = Aws(account, region, profile)
    found = _group(aws, group)
    before = _zone_place(aws, group).owed()
    if not before:
        return False
    if "subnets" in before:
        return sorted(str(found["VPCZoneIdentifier"]).split(",")) != sorted(before["subnets"])
    return sorted(found["AvailabilityZones"]) != sorted(before["zones"])


def set_desired(account: str, region: str, group: str, desired: int, profile: str = "") -> dict[str, str]:
    """Let an Auto Scaling group have so many instances; its limits give way as far as needed.

    Raises:
        ActionError: Refused, or the group is not there.
    """
    if not isinstance(desired, int) or desired < 0:
        raise ActionError(f"desired {desired!r}: expected a whole number from 0")
    aws = Aws(account, region, profile)
    before = _size(_group(aws, group))
    where = _size_place(aws, group)
    with where.changing(before):
        _set_size(
            aws,
            group,
            {"min": min(before["min"], desired), "max": max(before["max"], desired), "desired": desired},
        )
    return aws.says(f"group {group} to {desired}; {as_text(where.owed())}")


def restore_size(account: str, region: str, group: str, prior: str = "", profile: str = "") -> dict[str, str]:
    """Give the group its size and limits back. Raises as AWS does."""
    aws = Aws(account, region, profile)
    where = _size_place(aws, group)
    before = where.to_put_back(prior)
    if not before:
        return aws.says("nothing is owed")
    _set_size(aws, group, before)
    where.undone()
    return aws.says(f"group {group} to {before['desired']} again")


def is_resized(account: str, region: str, group: str, profile: str = "") -> bool:
    """Tell whether size or limits of the group are others than before the step."""
    aws = Aws(account, region, profile)
    now = _size(_group(aws, group))
    before = _size_place(aws, group).owed()
    return bool(before) and now != before


def _instances_place(aws: Aws, zone: str, tags: dict[str, str]) -> Place:
    return place("instances", aws.account, aws.region, zone, *(f"{k}={v}" for k, v in sorted(tags.items())))


def _zone_place(aws: Aws, group: str) -> Place:
    return place("asg-zones", aws.account, aws.region, group)


def _size_place(aws: Aws, group: str) -> Place:
    return place("asg-size", aws.account, aws.region, group)


def _running(aws: Aws, zone: str, tags: dict[str, str]) -> list[str]:
    if not tags:
        raise ActionError("tags: expected at least one; without them every instance of the zone would match")
    filters = [{"Name": f"tag:{key}", "Values": [str(value)]} for key, value in sorted(tags.items())]
    filters += [
        {"Name": "availability-zone", "Values": [zone]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    found = aws.all("ec2", "DescribeInstances", "Reservations", Filters=filters)
    return sorted(i["InstanceId"] for reservation in found for i in reservation["Instances"])


def _are(aws: Aws, instances: list[str], state: str, *, some: bool = False) -> bool:
    found = aws.all("ec2", "DescribeInstances", "Reservations", InstanceIds=instances)
    states = [i["State"]["Name"] for reservation in found for i in reservation["Instances"]]
    return any(s == state for s in states) if some else all(s == state for s in states)


def _group(aws: Aws, group: str) -> dict[str, Any]:
    found = aws.read("autoscaling", "DescribeAutoScalingGroups", AutoScalingGroupNames=[group])
    if not found["AutoScalingGroups"]:
        raise ActionError(f"there is no Auto Scaling group {group} in {aws.region} of account {aws.account}")
    return dict(found["AutoScalingGroups"][0])


def _size(group: dict[str, Any]) -> dict[str, int]:
    return {"min": group["MinSize"], "max": group["MaxSize"], "desired": group["DesiredCapacity"]}


def _set_size(aws: Aws, group: str, size: dict[str, int]) -> None:
    aws.write(
        "autoscaling", "UpdateAutoScalingGroup", AutoScalingGroupName=group, MinSize=size["min"],
        MaxSize=size["max"], DesiredCapacity=size["desired"],
    )  # fmt: skip


def _set_zones(aws: Aws, group: str, zones: dict[str, list[str]]) -> None:
    given: dict[str, Any] = (
        {"VPCZoneIdentifier": ",".join(zones["subnets"])}
        if "subnets" in zones
        else {"AvailabilityZones": zones["zones"]}
    )
    aws.write("autoscaling", "UpdateAutoScalingGroup", AutoScalingGroupName=group, **given)
