"""Route 53: records and weights shifted, health checks inverted; what there was is put back whole.

A change counts once Route 53 says INSYNC: then all of its name servers answer so. What resolvers have
cached stays for the record's TTL, which only a probe that resolves can see.

Source: Amazon Route 53 API Reference, ChangeResourceRecordSets, GetChange, UpdateHealthCheck.
"""

from __future__ import annotations

from typing import Any

from gameday.actions.aws.prior import Place, as_text, place
from gameday.actions.aws.session import Aws, wait_until
from gameday.actions.http import ActionError

__all__ = [
    "invert_health_check",
    "is_inverted",
    "is_shifted",
    "restore_record",
    "revert_health_check",
    "shift_record",
    "shift_weights",
]
WITHIN_S = 120.0


def shift_record(
    account: str,
    region: str,
    zone: str,
    record: str,
    type: str,  # noqa: A002 - Route 53's word, as it stands in plans
    values: list[str],
    set_id: str = "",
    within_s: float = WITHIN_S,
    profile: str = "",
) -> dict[str, str]:
    """Let a record that is there answer with other values, and wait until all name servers do.

    Args:
        account: The plan's account, twelve digits.
        region: Any region of the account's partition: Route 53 has none.
        zone: The hosted zone's id.
        record: The record's full name.
        type: A, AAAA, CNAME…
        values: What it is to answer. An alias record is shifted by weights, or by its health check.
        set_id: Which set, where the name has several.
        within_s: How long it may take.
        profile: A profile of the AWS configuration.

    Raises:
        ActionError: Refused, there is no such record, or it is not in sync in time.
    """
    if not isinstance(values, list) or not values:
        raise ActionError(f"values {values!r}: expected a list of at least one")
    aws = Aws(account, region, profile)
    found = [s for s in _sets(aws, zone, record, type) if s.get("SetIdentifier", "") == set_id]
    if len(found) != 1 or "ResourceRecords" not in found[0]:
        raise ActionError(f"{record} {type} {set_id}: expected one record with values in zone {zone}")
    wanted = found[0] | {"ResourceRecords": [{"Value": str(value)} for value in values]}
    return _shift(aws, zone, record, type, found, [wanted], within_s)


def shift_weights(
    account: str,
    region: str,
    zone: str,
    record: str,
    type: str,  # noqa: A002 - as above
    weights: dict[str, int],
    within_s: float = WITHIN_S,
    profile: str = "",
) -> dict[str, str]:
    """Give each set of a weighted record its weight; sets that are not named keep theirs.

    Raises:
        ActionError: Refused, a set is not there, all weights would be 0, or it is not in sync in time.
    """
    aws = Aws(account, region, profile)
    sets = [s for s in _sets(aws, zone, record, type) if "Weight" in s]
    names = {s["SetIdentifier"] for s in sets}
    if not weights or not set(weights) <= names:
        raise ActionError(
            f"weights {weights!r}: expected some of the sets {', '.join(sorted(names)) or '(none)'}"
        )
    wanted = [s | {"Weight": weights.get(s["SetIdentifier"], s["Weight"])} for s in sets]
    if not any(s["Weight"] for s in wanted):
        raise ActionError(f"{record}: with all weights 0, Route 53 answers with every set alike")
    changed = [(old, new) for old, new in zip(sets, wanted, strict=True) if old != new]
    return _shift(aws, zone, record, type, [old for old, _ in changed], [new for _, new in changed], within_s)


def restore_record(
    account: str,
    region: str,
    zone: str,
    record: str,
    type: str,  # noqa: A002 - as above
    prior: str = "",
    within_s: float = WITHIN_S,
    profile: str = "",
) -> dict[str, str]:
    """Put the record's sets back as they were. Harmless when they are so.

    Raises:
        ActionError: Refused, or not in sync in time.
    """
    aws = Aws(account, region, profile)
    where = _place(aws, zone, record, type)
    before = where.to_put_back(prior)
    if not before:
        return aws.says("nothing is owed")
    _wait_in_sync(aws, _send(aws, zone, before["sets"]), within_s)
    where.undone()
    return aws.says(f"{record} {type} as before")


def is_shifted(
    account: str,
    region: str,
    zone: str,
    record: str,
    type: str,  # noqa: A002 - as above
    profile: str = "",
) -> bool:
    """Tell whether a set of the record is another than before the step."""
    aws = Aws(account, region, profile)
    sets = _sets(aws, zone, record, type)
    before = _place(aws, zone, record, type).owed()
    return any(old not in sets for old in before.get("sets", ()))


def invert_health_check(account: str, region: str, health_check: str, profile: str = "") -> dict[str, str]:
    """Let a health check say the opposite, so that its records fail over. Raises as AWS does."""
    aws = Aws(account, region, profile)
    where = place("health-check", aws.account, "global", health_check)
    config = _health_check(aws, health_check)
    with where.changing({"inverted": bool(config.get("Inverted"))}):
        aws.write(
            "route53", "UpdateHealthCheck", HealthCheckId=health_check, Inverted=not config.get("Inverted")
        )
    return aws.says(f"health check {health_check} inverted; {as_text(where.owed())}")


def revert_health_check(
    account: str, region: str, health_check: str, prior: str = "", profile: str = ""
) -> dict[str, str]:
    """Let a health check say again what it said before. Raises as AWS does."""
    aws = Aws(account, region, profile)
    where = place("health-check", aws.account, "global", health_check)
    before = where.to_put_back(prior)
    if not before:
        return aws.says("nothing is owed")
    aws.write("route53", "UpdateHealthCheck", HealthCheckId=health_check, Inverted=before["inverted"])
    where.undone()
    return aws.says(f"health check {health_check} as before")


def is_inverted(account: str, region: str, health_check: str, profile: str = "") -> bool:
    """Tell whether the health check is set otherwise than before the step."""
    aws = Aws(account, region, profile)
    now = bool(_health_check(aws, health_check).get("Inverted"))
    before = place("health-check", aws.account, "global", health_check).owed()
    return bool(before) and now != before["inverted"]


def _place(aws: Aws, zone: str, record: str, kind: str) -> Place:
    return place("record", aws.account, "global", zone, record.rstrip(".").lower(), kind)


def _health_check(aws: Aws, health_check: str) -> dict[str, Any]:
    found = aws.read("route53", "GetHealthCheck", HealthCheckId=health_check)
    return dict(found["HealthCheck"]["HealthCheckConfig"])


def _sets(aws: Aws, zone: str, record: str, kind: str) -> list[dict[str, Any]]:
    name = record.rstrip(".").lower()
    found = aws.all(
        "route53", "ListResourceRecordSets", "ResourceRecordSets", HostedZoneId=zone, StartRecordName=name,
        StartRecordType=kind,
    )  # fmt: skip
    sets = [s for s in found if s["Name"].rstrip(".").lower() == name and s["Type"] == kind]
    if not sets:
        raise ActionError(f"there is no record {record} {kind} in zone {zone} of account {aws.account}")
    return sets


def _shift(
    aws: Aws,
    zone: str,
    record: str,
    kind: str,
    old: list[dict[str, Any]],
    new: list[dict[str, Any]],
    within_s: float,
) -> dict[str, str]:
    if old == new:
        raise ActionError(f"{record} {kind} is so already: there is nothing to shift")
    where = _place(aws, zone, record, kind)
    with where.changing({"sets": old}):
        change = _send(aws, zone, new)
    _wait_in_sync(aws, change, within_s)
    return aws.says(f"{record} shifted; {as_text(where.owed())}")


def _send(aws: Aws, zone: str, sets: list[dict[str, Any]]) -> str:
    """Send the sets as they are to be; return the id of the change."""
    batch = {
        "Comment": "gameday",
        "Changes": [{"Action": "UPSERT", "ResourceRecordSet": one} for one in sets],
    }
    answer = aws.write("route53", "ChangeResourceRecordSets", HostedZoneId=zone, ChangeBatch=batch)
    return str(answer["ChangeInfo"]["Id"]).rpartition("/")[2]


def _wait_in_sync(aws: Aws, change: str, within_s: float) -> None:
    def is_in_sync() -> bool:
        return bool(aws.read("route53", "GetChange", Id=change)["ChangeInfo"]["Status"] == "INSYNC")

    wait_until(is_in_sync, within_s, f"change {change} was not INSYNC")
