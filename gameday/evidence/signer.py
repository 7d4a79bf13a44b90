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
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

KEY_MAX = 64 << 10
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
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    beside = path.with_suffix(".pub")
    if not beside.exists():
        with suppress(OSError):
            _put(beside, pem, 0o644)
    return {
        "keyid": f"SHA256:{hashlib.sha256(der).hexdigest()}",
        "raw": base64.b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode(),
        "pem": pem.decode(),
        "signatures": [base64.b64encode(key.sign(text)).decode() for text in texts],
    }


def _load(path: Path) -> Ed25519PrivateKey:
    if not path.exists():
        _make(path)
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & _OTHERS:
            raise OSError(0, f"others may read or write it: chmod 600 {path}")
        key = load_pem_private_key(file.read(KEY_MAX), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(path)
    return key


def _make(path: Path) -> None:
    """Make a key; where two do so at once the first one's stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
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
