"""Envelopes: a DSSE signature over an in-toto Statement v1 about one manifest.

    PAE = "DSSEv1" SP len(type) SP type SP len(payload) SP payload          (DSSE v1, protocol.md)

The envelope's bytes must be its canonical re-encoding, and the keyid must be the fingerprint of the
key, because base64 and JSON allow many spellings of one signature and one spelling only is sealed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .lines import Broken
from .strictjson import get, parse_canonical, rows

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"


def keyid_of(key: Ed25519PublicKey) -> str:
    """Return a key's fingerprint: SHA-256 of its DER SubjectPublicKeyInfo."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "SHA256:" + hashlib.sha256(der).hexdigest()


def unbase64(text: str, where: str) -> bytes:
    """Return what base64 text holds; refuses every spelling but the one.

    Raises:
        Broken: It is not that.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Broken(f"{where}: is no base64") from None
    if base64.b64encode(data).decode("ascii") != text:
        raise Broken(f"{where}: is no canonical base64")
    return data


def open_envelope(data: bytes, where: str, keys: dict[str, Ed25519PublicKey]) -> tuple[dict[str, Any], str]:
    """Return the statement in an envelope, and the keyid that signed it.

    Args:
        data: The envelope's bytes.
        where: Its path, for messages.
        keys: The keys that count, by keyid.

    Raises:
        Broken: It is not canonical, not signed by one of `keys`, or holds no statement.
    """
    if not data.endswith(b"\n"):
        raise Broken(f"{where}: does not end with a newline")
    envelope = parse_canonical(data[:-1], where)
    if not isinstance(envelope, dict) or set(envelope) != {"payload", "payloadType", "signatures"}:
        raise Broken(f"{where}: is no DSSE envelope")
    if envelope["payloadType"] != PAYLOAD_TYPE:
        raise Broken(f"{where}: payloadType is not {PAYLOAD_TYPE}")
    payload = unbase64(get(envelope, "payload", str, where), where)
    signed_by = ""
    for row in rows(envelope, "signatures", where):
        keyid, signature = get(row, "keyid", str, where), unbase64(get(row, "sig", str, where), where)
        if keyid not in keys:
            raise Broken(f"{where}: signed by {keyid}, which is no runner you trust")
        pae = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
        try:
            keys[keyid].verify(signature, pae)
        except InvalidSignature:
            raise Broken(f"{where}: the signature by {keyid} does not hold") from None
        signed_by = keyid
    if not signed_by:
        raise Broken(f"{where}: nobody signed it")
    return parse_canonical(payload, f"{where}: payload"), signed_by


def predicate_of(statement: dict[str, Any], where: str, predicate_type: str, manifest_sha256: str) -> Any:
    """Return the predicate of a statement about a manifest.

    Raises:
        Broken: It is about something else.
    """
    if get(statement, "_type", str, where) != STATEMENT_TYPE:
        raise Broken(f"{where}: is no in-toto Statement v1")
    if statement.get("subject") != [{"digest": {"sha256": manifest_sha256}, "name": "manifest.json"}]:
        raise Broken(f"{where}: is about another manifest")
    if get(statement, "predicateType", str, where) != predicate_type:
        raise Broken(f"{where}: predicateType is not {predicate_type}")
    return get(statement, "predicate", dict, where)
