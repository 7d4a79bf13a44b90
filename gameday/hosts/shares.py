"""How a load is shared out over generators."""

from __future__ import annotations


def share(total: int, place: int, count: int) -> int:
    """Return the part of number `place` of `count`: parts differ by at most one and add up to `total`."""
    return total // count + (place < total % count)


def share_of_users(most: int, place: int, count: int) -> int:
    """Return the most users that one generator may have: at least one, or it could not send anything."""
    return max(share(most, place, count), 1)
