"""The process that holds the runner's key for as long as one signature takes. Nobody imports it.

One JSON object each way: {"key": path, "texts": [base64, …]} on stdin, and on stdout
{"keyid", "raw", "pem", "signatures": [base64, …]} or {"refused": "why"}.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_MAX = 64 << 10
# RFC 8410: what stands before the 32 bytes of an Ed25519 key in PKCS 8, and in SubjectPublicKeyInfo.
_PRIVATE_DER = bytes.fromhex("302e020100300506032b657004220420")
_PUBLIC_DER = bytes.fromhex("302a300506032b6570032100")
_ARMOUR = "PRIVATE KEY"
_OTHERS = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO  # A mounted secret may be read by its group.


def main() -> int:
    """Answer one request."""
    asked = json.loads(sys.stdin.buffer.read())
    try:
        reply = _answer(Path(asked["key"]), [base64.b64decode(text) for text in asked["texts"]])
    except OSError as error:
        reply = {"refused": error.strerror or str(error)}
    except (ValueError, TypeError, UnsupportedAlgorithm):  # What it holds must not stand in a message.
        reply = {"refused": "holds no Ed25519 key in PEM without a passphrase"}
    sys.stdout.write(json.dumps(reply))
    return 0


def _answer(path: Path, texts: list[bytes]) -> dict[str, Any]:
    key = _load(path)
    public = key.public_key()
    der = _PUBLIC_DER + public.public_bytes_raw()
    pem = _pem("PUBLIC KEY", der)
    beside = path.with_suffix(".pub")
    if not beside.exists():
        with suppress(OSError):
            _put(beside, pem, 0o644)
    return {
        "keyid": f"SHA256:{hashlib.sha256(der).hexdigest()}",
        "raw": base64.b64encode(public.public_bytes_raw()).decode(),
        "pem": pem.decode(),
        "signatures": [base64.b64encode(key.sign(text)).decode() for text in texts],
    }


def _load(path: Path) -> Ed25519PrivateKey:
    if not path.exists():
        _make(path)
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & _OTHERS:
            raise OSError(0, f"others may read or write it: chmod 600 {path}")
        return _parse(file.read(KEY_MAX))


def _parse(pem: bytes) -> Ed25519PrivateKey:
    """Return the key. The usual form is read here: the library's reader costs 20 ms at each start."""
    head, _, rest = pem.strip().partition(b"\n")
    body, _, foot = rest.rpartition(b"\n")
    if head.strip() == f"-----BEGIN {_ARMOUR}-----".encode() and foot == f"-----END {_ARMOUR}-----".encode():
        der = base64.b64decode(b"".join(body.split()))
        if der.startswith(_PRIVATE_DER) and len(der) == len(_PRIVATE_DER) + 32:
            return Ed25519PrivateKey.from_private_bytes(der[-32:])
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(type(key).__name__)
    return key


def _pem(armour: str, der: bytes) -> bytes:
    return f"-----BEGIN {armour}-----\n{base64.b64encode(der).decode()}\n-----END {armour}-----\n".encode()


def _make(path: Path) -> None:
    """Make a key; where two do so at once the first one's stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = _pem(_ARMOUR, _PRIVATE_DER + Ed25519PrivateKey.generate().private_bytes_raw())
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    _put(fresh, pem, 0o600)
    try:
        with suppress(FileExistsError):
            path.hardlink_to(fresh)
    finally:
        fresh.unlink()


def _put(path: Path, data: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    sys.exit(main())
