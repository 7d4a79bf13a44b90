"""The Merkle tree of the register: one digest for all of its leaves, in their order.

Whoever keeps the root of an earlier size can tell later whether a leaf was dropped, changed or put
in between. Leaves and nodes are hashed with different first bytes, so neither passes for the other.

Source: RFC 6962, section 2.1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes; over none, the digest of nothing."""
    peaks: list[tuple[int, bytes]] = []  # Whole trees, larger to smaller, each with its height.
    for leaf in leaves:
        height, node = 0, leaf
        while peaks and peaks[-1][0] == height:
            node = _node(peaks.pop()[1], node)
            height += 1
        peaks.append((height, node))
    if not peaks:
        return hashlib.sha256(b"").digest()
    node = peaks.pop()[1]
    while peaks:
        node = _node(peaks.pop()[1], node)
    return node


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
