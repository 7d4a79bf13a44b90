"""CloudWatch metrics and alarms as probes. No data is never good: it raises, and reads as unreadable.

    probes:
      checkout-alarm:
        provider: {type: python, module: gameday.actions.aws.cloudwatch, func: is_alarm_quiet, arguments: {…}}
        tolerance: true

Source: Amazon CloudWatch API Reference, GetMetricData, DescribeAlarms.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gameday.actions.aws.session import Aws
from gameday.actions.http import ActionError

__all__ = ["alarm_state", "is_alarm_quiet", "metric"]


def alarm_state(account: str, region: str, alarm: str, profile: str = "") -> str:
    """Return OK, ALARM or INSUFFICIENT_DATA, as CloudWatch has it.

    Raises:
        ActionError: Refused, or there is no such alarm.
    """
    found = Aws(account, region, profile).read(
        "cloudwatch", "DescribeAlarms", AlarmNames=[alarm], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    for one in [*(found.get("MetricAlarms") or ()), *(found.get("CompositeAlarms") or ())]:
        if one["AlarmName"] == alarm:
            return str(one["StateValue"])
    raise ActionError(f"there is no alarm {alarm!r} in {region} of account {account}")


def is_alarm_quiet(account: str, region: str, alarm: str, profile: str = "") -> bool:
    """Tell whether the alarm is OK. One without data cannot tell.

    Raises:
        ActionError: It has no data, or there is no such alarm.
    """
    state = alarm_state(account, region, alarm, profile)
    if state not in ("OK", "ALARM"):
        raise ActionError(f"alarm {alarm!r} says {state}: it can tell nothing")
    return state == "OK"


def metric(
    account: str,
    region: str,
    namespace: str,
    name: str,
    statistic: str = "Average",
    dimensions: dict[str, str] | None = None,
    period_s: int = 60,
    window_s: int = 300,
    profile: str = "",
) -> float:
    """Return the newest value of a metric within the last `window_s` seconds.

    Raises:
        ActionError: Refused, or there is no value.
    """
    now = datetime.now(UTC)
    stat = {
        "Metric": {
            "Namespace": namespace,
            "MetricName": name,
            "Dimensions": [{"Name": k, "Value": str(v)} for k, v in sorted((dimensions or {}).items())],
        },
        "Period": period_s,
        "Stat": statistic,
    }
    found = Aws(account, region, profile).read(
        "cloudwatch", "GetMetricData", StartTime=now - timedelta(seconds=window_s),
        EndTime=now + timedelta(seconds=period_s), ScanBy="TimestampDescending",
        MetricDataQueries=[{"Id": "m", "MetricStat": stat, "ReturnData": True}],
    )  # fmt: skip
    values = [value for one in found["MetricDataResults"] for value in one.get("Values") or ()]
    if not values:
        raise ActionError(f"metric {namespace} {name} has no value of the last {window_s} s")
    return float(values[0])
