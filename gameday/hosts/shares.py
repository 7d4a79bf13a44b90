"""How a load is shared out over generators: what each is asked for, so that all of it adds up.

An ask is what a load host obeys: `rate` (a second) or `users`, else the plan's stages (or `stages`, when
it must go on in the middle of them), with `max_users`, and `part` of `parts`: which generator it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

StageRow = Sequence[int | None]  # over_ns, rate_per_1000s, users


def share(total: int, place: int, count: int) -> int:
    """Return the part of number `place` of `count`: parts differ by at most one and add up to `total`."""
    return total // count + (place < total % count)


def share_of_users(most: int, place: int, count: int) -> int:
    """Return the most users that one generator may have: at least one, or it could not send anything."""
    return max(share(most, place, count), 1)


def part_of(ask: dict[str, Any], place: int, count: int) -> dict[str, Any] | None:
    """Return what number `place` of `count` generators is asked for; None when there is less than one each.

    A rate is shared to a thousandth, which is as exact as a plan says it. Stages are not shared here: each
    generator follows its part of them.
    """
    part = {**ask, "part": place, "parts": count}
    part["max_users"] = share_of_users(ask["max_users"], place, count)
    if ask.get("rate"):
        part["rate"] = share(round(ask["rate"] * 1000), place, count) / 1000
        return part if part["rate"] else None
    if ask.get("users"):
        part["users"] = share(ask["users"], place, count)
        return part if part["users"] else None
    return part


def later(ask: dict[str, Any], stages: Iterable[StageRow], elapsed_s: float) -> dict[str, Any]:
    """Return what an ask means `elapsed_s` seconds on: stages go on where they are, all else stays."""
    rows = ask.get("stages") or stages
    if ask.get("rate") or ask.get("users") or not rows:
        return ask
    return {**ask, "stages": remaining(rows, round(elapsed_s * 1e9))}


def remaining(stages: Iterable[StageRow], elapsed_ns: int) -> list[list[int | None]]:
    """Return the stages that are left after `elapsed_ns`, beginning at the level reached by then."""
    rest = [list(stage) for stage in stages]
    place = 2 if any(stage[2] is not None for stage in rest) else 1
    level = 0
    while rest:
        over_ns, goal = rest[0][0] or 0, rest[0][place] or 0
        if elapsed_ns < over_ns:
            level += (goal - level) * elapsed_ns // over_ns
            rest[0][0] = over_ns - elapsed_ns
            break
        level, elapsed_ns = goal, elapsed_ns - over_ns
        del rest[0]
    first: list[int | None] = [0, None, None]
    first[place] = level
    return [first, *rest]
