"""Who is told of a drill, and when: channels by the name of the variable that holds their address.

An address of a channel is a secret (whoever has it can write there), so a policy never holds one.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gameday.plan.shape import Key, Part

BEFORE, START, HALT, END = "before", "start", "halt", "end"
_TO = re.compile(r"\$\{env\.[A-Za-z_][A-Za-z0-9_]{0,63}\}\Z")
When = Literal["before", "start", "halt", "end"]
WHEN: tuple[When, ...] = ("before", "start", "halt", "end")


@dataclass(frozen=True, slots=True)
class Notice:
    """One channel. `variable` holds its address; empty `environments` means all."""

    variable: str
    when: tuple[str, ...] = WHEN
    environments: tuple[str, ...] = ()

    def is_due(self, when: str, environment: str) -> bool:
        """Tell whether it is told of this moment of a drill in this environment."""
        return when in self.when and (not self.environments or environment in self.environments)


def _channel(text: str) -> str:
    if not _TO.match(text):
        raise ValueError("the address of a channel is a secret: expected ${env.NAME}, set where gameday runs")
    return text


class NoticeIn(Part):
    """A channel: its address is `${env.NAME}`, in the form of apprise."""

    to: Annotated[str, AfterValidator(_channel)]
    when: list[When] = Field(default_factory=lambda: list(WHEN), min_length=1)
    environments: list[Key] = Field(default_factory=list)


def notices(written: list[NoticeIn]) -> tuple[Notice, ...]:
    """Return the channels of a policy."""
    return tuple(
        Notice(item.to[len("${env.") : -1], tuple(dict.fromkeys(item.when)), tuple(item.environments))
        for item in written
    )
