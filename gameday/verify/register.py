"""Line 4, its first half: the register of all drills, an append-only Merkle log.

    leaf hash   SHA-256(0x00, line without its newline)
    node hash   SHA-256(0x01, left, right)                                    (RFC 6962, section 2.1)

    checkpoint  ORIGIN newline SIZE newline ROOT newline newline "— ORIGIN BASE64" newline  (C2SP signed-note)

One pass over the leaves gives the roots at every size that is asked for. So no proofs are needed: an
earlier checkpoint is the root over the first so many leaves, or the register was rewritten.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .dsse import unbase64
from .lines import Broken, clean
from .strictjson import get, parse_canonical

LEAF_MAX = 64 << 10
LEAVES_MAX = 500_000
ENDS = ("finished", "halted", "crashed", "refused")
_NOTE = re.compile(
    r"(gameday-register/[A-Za-z0-9._-]{1,100})\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\n\n(.*)\Z",
    re.DOTALL,
)


class Tree:
    """The root of a growing Merkle tree, kept as the roots of its perfect subtrees."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Append one leaf."""
        node = hashlib.sha256(b"\0" + leaf).digest()
        size = self.size
        while size & 1:
            node = hashlib.sha256(b"\1" + self._peaks.pop() + node).digest()
            size >>= 1
        self._peaks.append(node)
        self.size += 1

    @property
    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._peaks:
            return hashlib.sha256(b"").digest()
        node = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            node = hashlib.sha256(b"\1" + peak + node).digest()
        return node


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A register's size and root at some moment."""

    origin: str
    size: int
    root: bytes
    signature_lines: str

    def signed_by(self, keys: Iterable[Ed25519PublicKey]) -> Ed25519PublicKey | None:
        """Return which key made its only signature; None when none of these did."""
        found = re.fullmatch(r"— (\S+) (\S+)\n", self.signature_lines)
        if found is None or found[1] != self.origin:
            return None
        blob = unbase64(found[2], "checkpoint")
        text = f"{self.origin}\n{self.size}\n{_base64(self.root)}\n".encode()
        for key in keys:
            raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
            if blob[:4] != hashlib.sha256(self.origin.encode() + b"\n\x01" + raw).digest()[:4]:
                continue
            try:
                key.verify(blob[4:], text)
            except InvalidSignature:
                continue
            return key
        return None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def read_checkpoint(data: bytes, where: str) -> Checkpoint:
    """Return the checkpoint in a signed note. Its signature is not looked at yet.

    Raises:
        Broken: It is no checkpoint of a register.
    """
    try:
        found = _NOTE.match(data.decode("utf-8"))
    except UnicodeDecodeError:
        found = None
    if found is None:
        raise Broken(f"{where}: is no checkpoint of a register")
    return Checkpoint(found[1], int(found[2]), unbase64(found[3], where), found[4])


@dataclass(slots=True)
class Leaves:
    """What the leaves say, and the tree's root at the sizes that were asked for."""

    count: int = 0
    roots: dict[int, bytes] = field(default_factory=dict)
    mine: list[dict[str, Any]] = field(default_factory=list)
    started: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    revoked: dict[str, int] = field(default_factory=dict)
    origin: str = ""
    strange: list[str] = field(default_factory=list)


def read_leaves(lines: Iterable[tuple[bytes, bool]], where: str, run: str, sizes: Iterable[int]) -> Leaves:
    """Return what a register's leaves say. `mine` are those of `run`.

    Raises:
        Broken: A line is no leaf.
    """
    leaves, tree, wanted = Leaves(), Tree(), set(sizes)
    leaves.roots[0] = tree.root
    for raw, whole in lines:
        at = f"{where}:{tree.size + 1}"
        leaf = parse_canonical(raw, at)
        if not whole or get(leaf, "index", int, at) != tree.size:
            raise Broken(f"{at}: is not leaf {tree.size}")
        _take(leaves, leaf, at, run)
        if not tree.size:
            leaves.origin = f"gameday-register/{hashlib.sha256(bytes(1) + raw).hexdigest()[:16]}"
        tree.add(raw)
        if tree.size > LEAVES_MAX:
            raise Broken(f"{where}: has more than {LEAVES_MAX} leaves")
        if tree.size in wanted:
            leaves.roots[tree.size] = tree.root
    leaves.count = tree.size
    leaves.roots[tree.size] = tree.root
    return leaves


def _take(leaves: Leaves, leaf: dict[str, Any], at: str, run: str) -> None:
    kind, index = get(leaf, "kind", str, at), get(leaf, "index", int, at)
    get(leaf, "at_utc", str, at)
    whose = get(leaf, "run", str, at)
    if kind == "key-revoked":
        leaves.revoked.setdefault(get(leaf, "keyid", str, at), index)
        return
    if whose == run:
        if len(leaves.mine) >= 1000:
            raise Broken(f"{at}: this run has more than 1000 leaves")
        leaves.mine.append(leaf)
    if kind == "started":
        if whose in leaves.started:
            leaves.strange.append(f"{at}: {clean(whose, 80)} was started twice")
        leaves.started[whose] = index
    elif kind in ENDS or kind == "voided":
        if whose not in leaves.started:
            leaves.strange.append(f"{at}: {clean(whose, 80)} ended and was never started")
        leaves.ended[whose] = index
    del leaves.strange[100:]
