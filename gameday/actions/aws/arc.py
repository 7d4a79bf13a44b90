"""Application Recovery Controller: routing controls switched together, a zone left by zonal shift.

The five endpoints of a cluster are what works when a region does not; the control plane that lists
them lives in us-west-2 alone. So a plan names them (`endpoints`), and each is tried in turn.

Source: AWS ARC Developer Guide, "Best practices for routing control"; ARC Zonal Shift API Reference.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from gameday.actions.aws.prior import Place, as_text, place
from gameday.actions.aws.session import Aws, Unanswered
from gameday.actions.http import ActionError

__all__ = [
    "are_controls_set",
    "cancel_zonal_shift",
    "has_zonal_shift",
    "restore_routing_controls",
    "set_routing_controls",
    "start_zonal_shift",
]
DATA = "route53-recovery-cluster"
SHIFT = "arc-zonal-shift"
MINUTES_MAX = 3 * 24 * 60


def set_routing_controls(
    account: str, region: str, states: dict[str, str], endpoints: dict[str, str], profile: str = ""
) -> dict[str, str]:
    """Switch routing controls, all at once or none, as safety rules allow.

    Args:
        account: The plan's account, twelve digits.
        region: The region whose endpoint is tried first.
        states: `On` or `Off` by the routing control's ARN.
        endpoints: The cluster's endpoint URLs by region.
        profile: A profile of the AWS configuration.

    Raises:
        ActionError: Refused, or no endpoint answered.
    """
    if not states or not set(states.values()) <= {"On", "Off"}:
        raise ActionError(f"states {states!r}: expected 'On' or 'Off' (in quotes) by routing control ARN")
    aws = Aws(account, region, profile)
    before = _states(aws, states, endpoints)
    where = _place(aws, states)
    with where.changing(before):
        _set(aws, states, endpoints)
    return aws.says(f"{len(states)} routing controls set; {as_text(where.owed())}")


def restore_routing_controls(
    account: str,
    region: str,
    states: dict[str, str],
    endpoints: dict[str, str],
    prior: str = "",
    profile: str = "",
) -> dict[str, str]:
    """Switch the routing controls back as they were. Raises as `set_routing_controls`."""
    aws = Aws(account, region, profile)
    where = _place(aws, states)
    before = where.to_put_back(prior)
    if not before:
        return aws.says("nothing is owed")
    _set(aws, before, endpoints)
    where.undone()
    return aws.says(f"{len(before)} routing controls as before")


def are_controls_set(
    account: str, region: str, states: dict[str, str], endpoints: dict[str, str], profile: str = ""
) -> bool:
    """Tell whether a routing control is otherwise than before the step."""
    aws = Aws(account, region, profile)
    now = _states(aws, states, endpoints)
    before = _place(aws, states).owed()
    return bool(before) and now != before


def start_zonal_shift(
    account: str, region: str, resource: str, away_from: str, ttl_s: float = 900, profile: str = ""
) -> dict[str, str]:
    """Lead the traffic of a load balancer, an EKS cluster or an ASG away from a zone.

    Args:
        account: The plan's account, twelve digits.
        region: The resource's region.
        resource: Its ARN.
        away_from: The zone's id, such as `euw1-az1`; names differ between accounts.
        ttl_s: AWS ends it by itself then; rounded up to minutes, three days at most.
        profile: A profile of the AWS configuration.

    Raises:
        ActionError: Refused.
    """
    minutes = -(-int(ttl_s) // 60)
    if not 0 < minutes <= MINUTES_MAX:
        raise ActionError(f"ttl_s {ttl_s!r}: expected more than 0, and three days at most")
    aws = Aws(account, region, profile)
    where = place("zonal-shift", aws.account, aws.region, resource)
    with where.changing({"away_from": away_from}) as known:
        made = aws.write(
            SHIFT, "StartZonalShift", resourceIdentifier=resource, awayFrom=away_from,
            expiresIn=f"{minutes}m", comment="gameday",
        )  # fmt: skip
        known["id"] = made["zonalShiftId"]
    return aws.says(f"zonal shift {made['zonalShiftId']} away from {away_from} for {minutes}m")


def cancel_zonal_shift(account: str, region: str, resource: str, profile: str = "") -> dict[str, str]:
    """Cancel the zonal shift that a step of ours started. Harmless when it has ended. Raises as AWS does."""
    aws = Aws(account, region, profile)
    where = place("zonal-shift", aws.account, aws.region, resource)
    for shift in _shifts(aws, resource):
        aws.write(SHIFT, "CancelZonalShift", zonalShiftId=shift["zonalShiftId"])
    where.undone()
    return aws.says(f"no zonal shift of gameday on {resource}")


def has_zonal_shift(account: str, region: str, resource: str, profile: str = "") -> bool:
    """Tell whether a zonal shift of ours is active."""
    return bool(_shifts(Aws(account, region, profile), resource))


def _shifts(aws: Aws, resource: str) -> list[dict[str, Any]]:
    found = aws.all(SHIFT, "ListZonalShifts", "items", resourceIdentifier=resource, status="ACTIVE")
    return [
        s for s in found if s.get("comment") == "gameday" and s.get("resourceIdentifier") in (None, resource)
    ]


def _place(aws: Aws, states: dict[str, str]) -> Place:
    return place("routing-controls", aws.account, "global", *sorted(states))


def _states(aws: Aws, states: dict[str, str], endpoints: dict[str, str]) -> dict[str, str]:
    def ask(there: Aws, url: str) -> dict[str, str]:
        return {
            arn: str(
                there.read(DATA, "GetRoutingControlState", url=url, RoutingControlArn=arn)[
                    "RoutingControlState"
                ]
            )
            for arn in sorted(states)
        }

    found: dict[str, str] = _anywhere(aws, endpoints, ask)
    return found


def _set(aws: Aws, states: dict[str, str], endpoints: dict[str, str]) -> None:
    entries = [
        {"RoutingControlArn": arn, "RoutingControlState": state} for arn, state in sorted(states.items())
    ]

    def send(there: Aws, url: str) -> dict[str, Any]:
        answer = there.write(
            DATA, "UpdateRoutingControlStates", url=url, UpdateRoutingControlStateEntries=entries
        )
        aws.requests += there.requests if there is not aws else []
        return answer

    _anywhere(aws, endpoints, send)


def _anywhere(aws: Aws, endpoints: dict[str, str], ask: Callable[[Aws, str], Any]) -> Any:
    """Ask each endpoint in turn until one answers. States are absolute: sent twice is harmless."""
    if not endpoints:
        raise ActionError("endpoints: expected the cluster's endpoint URLs by region")
    last: Unanswered | None = None
    for region in sorted(endpoints, key=lambda name: name != aws.region):
        url = "" if os.environ.get("AWS_ENDPOINT_URL") else endpoints[region]
        try:
            return ask(aws.beside(region), url)
        except Unanswered as error:
            last = error
    raise Unanswered(f"none of {len(endpoints)} endpoints answered; the last: {last}")
