"""The shape of a ledger in a plan file: who writes, where to, and how often."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from gameday.plan.shape import Duration, Key, Part


class LedgerIn(Part):
    """Numbered writes, by which lost data is measured. `gameday.plan.ledgers` says which keys go together."""

    writer: Literal["orders", "http", "sql", "redis", "s3", "python"]
    name: Key | None = None
    every: Duration
    timeout: Duration = 400_000_000
    url: str | None = None
    read_url: str | None = None
    headers: dict[str, str] | None = None
    rows: Key | None = None
    sentinels: list[str] | None = Field(default=None, min_length=1)
    master: Key | None = None
    password: str | None = None
    bucket: str | None = None
    prefix: str | None = None
    endpoint: str | None = None
    region: str | None = None
    module: str | None = None
    arguments: dict[str, Any] | None = Field(default=None, alias="with")


LedgersIn = Annotated[
    Annotated[LedgerIn, Tag("one")] | Annotated[list[LedgerIn], Tag("several")],
    Discriminator(lambda data: "several" if isinstance(data, list) else "one"),
]
