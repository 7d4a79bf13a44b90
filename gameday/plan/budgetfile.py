"""The floor of an error budget, as the policy's file has it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from gameday.plan.policy import BudgetFloor
from gameday.plan.policyshape import CalendarDay
from gameday.plan.shape import Name, Part, Ratio


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text!r}: expected the http(s) URL of a Prometheus")
    if parts.username or parts.password:
        raise ValueError("the URL must not hold a password: the policy stands in every record")
    return text


class LeftIn(Part):
    """A query whose one value is the share of the budget that is left: 1 is all of it."""

    url: Annotated[str, AfterValidator(_url)]
    query: Name
    token_env: Name | None = None


class BudgetIn(Part):
    """No drill of the service while less than the floor is left."""

    service: Name
    floor: Ratio
    prometheus: LeftIn | None = None
    left: Ratio | None = None
    until: CalendarDay | None = None


def budget_trouble(item: BudgetIn) -> str:
    """Return what is wrong with it; empty where nothing is."""
    if (item.prometheus is None) == (item.left is None):
        return "expected either `prometheus: {url, query}` or `left: 60%`: where what is left comes from"
    if (item.left is None) != (item.until is None):
        return "`left` and `until` go together: what was given by hand holds until the end of that day"
    return ""


def budget(item: BudgetIn) -> BudgetFloor:
    """Return it as the policy holds it."""
    asked = item.prometheus
    return BudgetFloor(
        service=item.service,
        floor_ppm=item.floor,
        url=asked.url if asked else "",
        query=asked.query if asked else "",
        token_env=(asked.token_env or "") if asked else "",
        left_ppm=item.left,
        until=item.until or "",
    )
