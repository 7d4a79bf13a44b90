"""SSH signatures, and the allowed_signers file that says whose key is whose.

    blob     "SSHSIG" uint32 1, string publickey, string namespace, string reserved,
             string hash, string signature
    signed   "SSHSIG" string namespace, string reserved, string hash, string H(message)

Sources: PROTOCOL.sshsig of OpenSSH; RFC 8709 (ed25519), RFC 5656 (ECDSA), RFC 8332 (RSA with SHA-2);
ssh-keygen(1), "ALLOWED SIGNERS". Certificates and hardware keys are refused, and the message says so.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from .lines import Broken, clean

MAGIC = b"SSHSIG"
_ECDSA: dict[str, hashes.HashAlgorithm] = {
    "ecdsa-sha2-nistp256": hashes.SHA256(),
    "ecdsa-sha2-nistp384": hashes.SHA384(),
    "ecdsa-sha2-nistp521": hashes.SHA512(),
}
_RSA: dict[str, hashes.HashAlgorithm] = {"rsa-sha2-256": hashes.SHA256(), "rsa-sha2-512": hashes.SHA512()}
KEY_TYPES = ("ssh-ed25519", *_ECDSA, "ssh-rsa")
RSA_BITS_MIN = 2048
_ARMOUR = re.compile(r"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)\n-----END SSH SIGNATURE-----\n?\Z")


class _Reader:
    def __init__(self, data: bytes, where: str) -> None:
        self._data, self._at, self._where = data, 0, where

    def take(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise Broken(f"{self._where}: ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def string(self) -> bytes:
        return self.take(struct.unpack(">I", self.take(4))[0])

    def end(self) -> None:
        if self._at != len(self._data):
            raise Broken(f"{self._where}: goes on after its end")


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def fingerprint(key: bytes) -> str:
    """Return a public key's fingerprint as ssh-keygen -l writes it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode("ascii").rstrip("=")


def signing_key(armour: bytes, message: bytes, namespace: str, where: str) -> bytes:
    """Return the public key (as a blob) whose signature of `message` in `namespace` holds.

    Raises:
        Broken: It does not hold, or is of a kind that does not count.
    """
    found = _ARMOUR.match(armour.decode("ascii", "replace"))
    if found is None:
        raise Broken(f"{where}: is no SSH signature")
    try:
        blob = base64.b64decode(found[1].replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        raise Broken(f"{where}: is no base64") from None
    reader = _Reader(blob, where)
    if reader.take(6) != MAGIC or reader.take(4) != b"\0\0\0\1":
        raise Broken(f"{where}: is no SSHSIG of version 1")
    key, signed_for, reserved, algorithm, signature = (reader.string() for _ in range(5))
    reader.end()
    if signed_for != namespace.encode():
        raise Broken(
            f"{where}: was signed for {clean(signed_for.decode('utf-8', 'replace'), 60)}, not {namespace}"
        )
    if algorithm not in (b"sha256", b"sha512"):
        raise Broken(f"{where}: the hash is neither sha256 nor sha512")
    hashed = hashlib.new(algorithm.decode(), message).digest()
    _verify(key, signature, MAGIC + b"".join(map(_string, (signed_for, reserved, algorithm, hashed))), where)
    return key


def _verify(key: bytes, signature: bytes, data: bytes, where: str) -> None:
    kind = _Reader(key, where).string().decode("ascii", "replace")
    if kind not in KEY_TYPES:
        raise Broken(
            f"{where}: keys of type {clean(kind, 60)} are not verified here; use {', '.join(KEY_TYPES)}"
        )
    try:
        public = load_ssh_public_key(kind.encode() + b" " + base64.b64encode(key))
    except (ValueError, UnsupportedAlgorithm):
        raise Broken(f"{where}: its public key cannot be read") from None
    reader = _Reader(signature, where)
    how, value = reader.string().decode("ascii", "replace"), reader.string()
    reader.end()
    try:
        if isinstance(public, Ed25519PublicKey) and how == "ssh-ed25519":
            public.verify(value, data)
        elif isinstance(public, ec.EllipticCurvePublicKey) and how == kind:
            pair = _Reader(value, where)
            r, s = (int.from_bytes(pair.string(), "big", signed=True) for _ in range(2))
            pair.end()
            public.verify(encode_dss_signature(r, s), data, ec.ECDSA(_ECDSA[kind]))
        elif isinstance(public, rsa.RSAPublicKey) and how in _RSA and public.key_size >= RSA_BITS_MIN:
            public.verify(value, data, padding.PKCS1v15(), _RSA[how])
        else:
            raise Broken(
                f"{where}: signed by {clean(how, 60)}, which does not count for a key of type {kind}"
            )
    except (InvalidSignature, ValueError):
        raise Broken(f"{where}: the signature does not fit the file") from None


@dataclass(frozen=True, slots=True)
class Signer:
    """One line of allowed_signers. Times in nanoseconds since 1970, None: no bound."""

    principals: str
    key: bytes
    namespaces: str | None
    after_ns: int | None
    before_ns: int | None


def read_signers(text: str, where: str) -> list[Signer]:
    """Return the signers of an allowed_signers file.

    Raises:
        Broken: A line is none, or asks for what is not supported.
    """
    signers = []
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        if line and not line.startswith("#"):
            signers.append(_signer(line, f"{where}:{number}"))
    return signers


def _signer(line: str, where: str) -> Signer:
    words = re.findall(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+', line)
    options: dict[str, str] = {}
    if len(words) > 3 and words[1] not in KEY_TYPES:
        for part in re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+', words.pop(1)):
            name, _, value = part.partition("=")
            options[name.lower()] = value.strip('"')
    if "cert-authority" in options:
        raise Broken(f"{where}: cert-authority: certificates are not supported, list the people's own keys")
    strange = set(options) - {"namespaces", "valid-after", "valid-before"}
    if strange:
        raise Broken(f"{where}: option {clean(min(strange), 40)} is not supported")
    if len(words) < 3 or words[1] not in KEY_TYPES:
        raise Broken(f"{where}: expected NAME [options] KEYTYPE KEY, with one of {', '.join(KEY_TYPES)}")
    try:
        key = base64.b64decode(words[2], validate=True)
    except (binascii.Error, ValueError):
        raise Broken(f"{where}: the key is no base64") from None
    after, before = (
        _when(options[n], where) if n in options else None for n in ("valid-after", "valid-before")
    )
    return Signer(words[0].strip('"'), key, options.get("namespaces"), after, before)


def _when(text: str, where: str) -> int:
    """Return an instant written YYYYMMDD[HHMM[SS]][Z]; without Z it is local time, as ssh-keygen has it."""
    digits = text.removesuffix("Z")
    form = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}.get(len(digits))
    try:
        found = datetime.strptime(digits, form or "")  # noqa: DTZ007 - the zone is set in the next line
    except ValueError:
        raise Broken(f"{where}: {clean(text, 40)} is no time like 20261231 or 202612312359Z") from None
    zoned = found.replace(tzinfo=UTC) if text.endswith("Z") else found.astimezone()
    return int(zoned.timestamp()) * 1_000_000_000


def matches(text: str, patterns: str) -> bool:
    """Tell whether a text fits a list of patterns with * and ?; one that begins with ! forbids.

    Source: ssh_config(5), PATTERNS.
    """
    found = False
    for pattern in patterns.split(","):
        plain = pattern.removeprefix("!")
        regex = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in re.sub(r"\*+", "*", plain))
        if re.fullmatch(regex, text, re.DOTALL):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def refusal(signers: list[Signer], key: bytes, principal: str, namespace: str, at_ns: int) -> str:
    """Return why a key may not sign as `principal` in `namespace` at an instant; empty when it may."""
    mine = [s for s in signers if s.key == key]
    if not mine:
        return f"the key {fingerprint(key)} is not in your allowed_signers"
    named = [s for s in mine if matches(principal, s.principals)]
    if not named:
        return f"the key {fingerprint(key)} is not that of {principal}"
    spaced = [s for s in named if s.namespaces is None or matches(namespace, s.namespaces)]
    if not spaced:
        return f"the key of {principal} may not sign in the namespace {namespace}"
    if not any(
        (s.after_ns or 0) <= at_ns and (s.before_ns is None or at_ns < s.before_ns + 10**9) for s in spaced
    ):
        return f"the key of {principal} was not valid then"
    return ""


def names_of(signers: list[Signer], key: bytes, people: list[str]) -> list[str]:
    """Return which of some people a key stands for: one key is one person, whatever its names."""
    return [
        name for name in people if name and any(s.key == key and matches(name, s.principals) for s in signers)
    ]
