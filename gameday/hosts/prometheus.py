"""Read Prometheus and Alertmanager: is a query within its limit, is an alert firing.

Unlike a user's path, a monitoring system is not the target: when it cannot be reached, answers with an
error, has no data, gives NaN, or does not know the alert, nothing was measured, so the sample is
unreadable. Several series are unreadable too, unless the plan says `series: any` or `all`.

    prometheus    {"url", "query", "bad_above"?, "bad_below"?, "series"?="one", "token_env"?}
                  GET URL/api/v1/query            the instant value; no instant is asked for, so it is now
    prometheus    {"url", "alert", "labels"?, "token_env"?}
                  GET URL/api/v1/rules?type=alert  not /alerts: there a misspelt alert would never fire
    alertmanager  {"url", "alert", "labels"?, "token_env"?}
                  GET URL/api/v2/alerts            silenced and inhibited ones count: harm is not paging.
                                                   It does not know rules: what is not there does not fire.

Source: Prometheus HTTP API, "Instant queries" and "Rules"; Alertmanager API v2, `getAlerts`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from gameday.history.events import Reading
from gameday.hosts.httpprobe import exchange
from gameday.hosts.words import one_line
from gameday.plan.model import ProbeKind

BODY_MAX = 8 << 20
DETAIL_MAX = 120
Reader = Callable[[], tuple[Reading, str]]
Found = tuple[Reading, str]


class _NotReadError(Exception):
    """The monitoring system gave no answer that can be relied on; the message says why."""


def monitoring_reader(kind: ProbeKind, spec: dict[str, Any], timeout_s: float) -> Reader:
    """Return the function that takes one sample of a probe on Prometheus or Alertmanager."""
    base = str(spec["url"]).rstrip("/")
    if kind is ProbeKind.ALERTMANAGER:
        matcher = f"alertname={json.dumps(spec['alert'], ensure_ascii=False)}"
        url, judge = f"{base}/api/v2/alerts?{urlencode({'filter': matcher})}", _judge_pager
    elif spec.get("alert") is not None:
        asked = {"type": "alert", "rule_name[]": spec["alert"]}
        url, judge = f"{base}/api/v1/rules?{urlencode(asked)}", _judge_alert
    else:
        url, judge = f"{base}/api/v1/query?{urlencode({'query': spec['query']})}", _judge_query

    def read() -> Found:
        try:
            return judge(spec, _ask(url, spec.get("token_env"), timeout_s))
        except _NotReadError as error:
            return Reading.UNREADABLE, one_line(str(error), DETAIL_MAX)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            return Reading.UNREADABLE, f"not the expected shape: {type(error).__name__}"

    return read


def _ask(url: str, token_env: str | None, timeout_s: float) -> Any:
    headers = {"Accept": "application/json"}
    if token_env is not None:
        token = os.environ.get(token_env, "")
        if not token or not token.isascii() or not token.isprintable():
            raise _NotReadError(f"the variable {token_env} holds no token")
        headers["Authorization"] = f"Bearer {token}"
    answer = exchange(url, headers=headers, timeout_s=timeout_s, body_max=BODY_MAX)
    if answer.status is None:
        raise _NotReadError(answer.error)
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        said = None
    if answer.status != 200:
        why = said.get("error", "") if isinstance(said, dict) else ""
        raise _NotReadError(f"HTTP {answer.status} {why}")
    if said is None:
        raise _NotReadError("not JSON")
    return said


def _data(said: Any) -> Any:
    if not isinstance(said, dict) or said.get("status") != "success":
        raise _NotReadError("the answer does not say success")
    return said["data"]


# --- queries ---------------------------------------------------------------------------------


def _judge_query(spec: dict[str, Any], said: Any) -> Found:
    values = _values(_data(said))
    rule = spec.get("series") or "one"
    if not values:
        raise _NotReadError("no data")
    if rule == "one" and len(values) > 1:
        raise _NotReadError(f"{len(values)} series, expected one")
    within = [_is_within(spec, value) for value in values]
    shown = ", ".join(f"{value:g}" for value in values[:5])
    if rule == "all":
        verdict = True if True in within else None if None in within else False
    else:
        verdict = False if False in within else None if None in within else True
    if verdict is None:
        raise _NotReadError("NaN" if len(values) == 1 else f"NaN among {len(values)} series")
    return (Reading.GOOD, "") if verdict else (Reading.BAD, f"value {shown}")


def _values(data: Any) -> list[float]:
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        return [float(result[1])]
    if kind != "vector":
        raise _NotReadError(f"the query gives a {str(kind)[:20]}, expected a vector or a scalar")
    return [float(series["value"][1]) for series in result]


def _is_within(spec: dict[str, Any], value: float) -> bool | None:
    """Tell whether a value is within its limits; None for NaN. Infinity is beyond any upper limit."""
    if math.isnan(value):
        return None
    above, below = spec.get("bad_above"), spec.get("bad_below")
    return not ((above is not None and value > above) or (below is not None and value < below))


# --- alerts ----------------------------------------------------------------------------------


def _judge_alert(spec: dict[str, Any], said: Any) -> Found:
    rules = [
        rule
        for group in _data(said)["groups"]
        for rule in group["rules"]
        if rule.get("type") == "alerting" and rule.get("name") == spec["alert"]
    ]
    if not rules:
        raise _NotReadError(f"no rule makes an alert {spec['alert']!r}")
    firing = sum(
        alert.get("state") == "firing" and _wears(alert.get("labels"), spec)
        for rule in rules
        for alert in rule["alerts"]
    )
    if firing:
        return Reading.BAD, one_line(f"{spec['alert']} is firing, {firing} of it", DETAIL_MAX)
    broken = next((rule for rule in rules if rule.get("health") != "ok"), None)
    if broken is not None:
        said_why = broken.get("lastError") or "it was not evaluated yet"
        raise _NotReadError(f"the rule of {spec['alert']!r} gives nothing: {said_why}")
    return Reading.GOOD, ""


def _judge_pager(spec: dict[str, Any], said: Any) -> Found:
    if not isinstance(said, list):
        raise _NotReadError("the answer is no list of alerts")
    named = [alert for alert in said if alert["labels"].get("alertname") == spec["alert"]]
    firing = sum(_wears(alert["labels"], spec) for alert in named)
    if firing:
        return Reading.BAD, one_line(f"{spec['alert']} is firing, {firing} of it", DETAIL_MAX)
    return Reading.GOOD, ""


def _wears(labels: Any, spec: dict[str, Any]) -> bool:
    wanted = spec.get("labels") or {}
    return all((labels or {}).get(name) == value for name, value in wanted.items())
