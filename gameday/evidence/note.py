"""A checkpoint: size and root of the register as a signed note, which other tools read too.

    gameday-register/3f1c…           origin
    42                               how many leaves
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
                                     (an empty line)
    — gameday-register/3f1c… ZmFrZQ…  4 bytes of key hash and the Ed25519 signature over the text above

Source: C2SP signed-note and tlog-checkpoint.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from gameday.errors import RecordError

_ED25519 = b"\x01"
SIZE_MAX = 4096


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint says; whether its signature holds is for those who know the key."""

    origin: str
    size: int
    root: bytes

    def body(self) -> bytes:
        """Return the text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()


def key_hash(origin: str, public_raw: bytes) -> bytes:
    """Return the four bytes by which a signature line names its key."""
    return hashlib.sha256(origin.encode() + b"\n" + _ED25519 + public_raw).digest()[:4]


def signed(checkpoint: Checkpoint, public_raw: bytes, signature: bytes) -> bytes:
    """Return the whole note."""
    blob = base64.b64encode(key_hash(checkpoint.origin, public_raw) + signature).decode()
    return checkpoint.body() + f"\n— {checkpoint.origin} {blob}\n".encode()


def parse(data: bytes) -> Checkpoint:
    """Return what a checkpoint says.

    Raises:
        RecordError: It is none.
    """
    try:
        origin, size, root, empty, *signatures = data.decode().split("\n")
        digest = base64.b64decode(root, validate=True)
    except ValueError as error:
        raise RecordError("is no signed note of size and root") from error
    if len(data) > SIZE_MAX or empty or len(digest) != 32 or not size.isdecimal() or not any(signatures):
        raise RecordError("is no signed note of size and root")
    return Checkpoint(origin, int(size), digest)
