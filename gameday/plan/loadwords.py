"""A load in words, and its peak. No pydantic here: views that must start quickly use it too."""

from __future__ import annotations

from gameday.plan.model import Load
from gameday.plan.pacing import is_open


def level_words(rate_per_1000s: int | None, users: int | None) -> str:
    """Return a rate or a number of users in words; with neither, that a load follows a shape of its own."""
    if rate_per_1000s is not None:
        return f"{rate_per_1000s / 1000:g}/s"
    if users is not None:
        return f"{users} user{'' if users == 1 else 's'}"
    return "its own shape"


def begin_words(load: Load) -> str:
    """Return what a load begins with, in words."""
    if load.shape:
        return "the shape in its file"
    if not load.stages:
        return level_words(load.rate_per_1000s, load.users)
    levels = [level_words(stage.rate_per_1000s, stage.users) for stage in load.stages]
    most = max(load.stages, key=lambda stage: stage.rate_per_1000s or stage.users or 0)
    count = f"{len(levels)} stage{'' if len(levels) == 1 else 's'}"
    return f"{count} up to {level_words(most.rate_per_1000s, most.users)}, in the end {levels[-1]}"


def peak_per_1000s(load: Load) -> int | None:
    """Return the highest rate that a load begins with; None for a closed loop."""
    if not is_open(load):
        return None
    return max([load.rate_per_1000s or 0, *(stage.rate_per_1000s or 0 for stage in load.stages)])
