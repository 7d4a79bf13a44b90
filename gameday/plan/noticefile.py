"""The part of a policy file that says who is told of a drill."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gameday.plan.notices import Notice
from gameday.plan.shape import Key, Part

_TO = re.compile(r"\$\{env\.[A-Za-z_][A-Za-z0-9_]{0,63}\}\Z")
When = Literal["before", "start", "halt", "end"]
_ALWAYS: tuple[When, ...] = ("before", "start", "halt", "end")


def _channel(text: str) -> str:
    if not _TO.match(text):
        raise ValueError("the address of a channel is a secret: expected ${env.NAME}, set where gameday runs")
    return text


class NoticeIn(Part):
    """A channel: its address is `${env.NAME}`, in the form of apprise."""

    to: Annotated[str, AfterValidator(_channel)]
    when: list[When] = Field(default_factory=lambda: list(_ALWAYS), min_length=1)
    environments: list[Key] = Field(default_factory=list)


def notices(written: list[NoticeIn]) -> tuple[Notice, ...]:
    """Return the channels of a policy."""
    return tuple(
        Notice(item.to[len("${env.") : -1], tuple(dict.fromkeys(item.when)), tuple(item.environments))
        for item in written
    )
