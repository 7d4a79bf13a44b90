"""A time stamp over the chain, as the history records it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimeStamped:
    """Another party stamped the digest of record `covers_seq`; an empty `token_sha256` says it did not.

    The token lies in `time/head-<covers_seq>.tsr`. A token is unpredictable: what follows came later.
    """

    covers_seq: int
    head_sha256: str
    token_sha256: str
    authority: str
    detail: str = ""
