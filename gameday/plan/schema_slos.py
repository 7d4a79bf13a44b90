"""Where a plan takes SLOs from, of OpenSLO and sloth files."""

from typing import Literal

from pydantic import Field

from gameday.plan.shape import Duration, Part, Ratio


class SlosFromIn(Part):
    """A file of SLOs, and the Prometheus that its queries are for."""

    file: str
    prometheus: str
    only: list[str] = Field(default_factory=list)
    token_env: str | None = None
    every: Duration = 5_000_000_000
    timeout: Duration = 2_000_000_000
    over: Duration = 60_000_000_000
    window: Duration = 60_000_000_000
    alerts: Literal["page", "all", "none"] = "page"
    budget_spent: Ratio | None = None
