"""The capacity sign-off's part of a plan file: what must be held, with what, and what is signed for it."""

from typing import Annotated

from pydantic import Field

from gameday.plan.schema_fault import FaultIn
from gameday.plan.shape import Duration, Key, Name, Part, Rate, Ratio

TRIALS_MAX = 50


class ForecastIn(Part):
    """The forecast peak: a rate with its source, or a CSV of real traffic whose highest rate it is."""

    peak: Rate | None = None
    file: str | None = None
    source: str = ""


class ArtefactIn(Part):
    """What is signed for: a digest as text, or where the target says which one it runs."""

    digest: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    http: str | None = None
    key: Key = "digest"
    argv: list[str] | None = Field(default=None, min_length=1, max_length=100)


class PriceIn(Part):
    """What the tested system costs in an hour."""

    per_hour: int | float = Field(gt=0, le=1_000_000)
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class SearchIn(Part):
    """The search for the limit after the sign-off."""

    first: Rate | None = Field(default=None, alias="from")
    up_to: Rate | None = None
    width: Ratio = 100_000
    trials: int = Field(default=10, ge=2, le=TRIALS_MAX)
    each: Duration
    at_most: Duration | None = None


class CapacityIn(Part):
    """A capacity sign-off: its trials, and then a search, are the steps of the drill."""

    load: Key
    forecast: ForecastIn
    headroom: Annotated[str, Field(pattern=r"^\d{1,4}(\.\d{1,4})? ?%$")]
    slos: list[Key] = Field(min_length=1, max_length=20)
    duration: Duration
    at_most: Duration | None = None
    warm_up: Duration = 5_000_000_000
    confidence: Ratio = 950_000
    n_minus_one: FaultIn | Name | None = None
    expires: Duration = 90 * 86_400_000_000_000
    artefact: ArtefactIn
    price: PriceIn | None = None
    search: SearchIn | None = None
