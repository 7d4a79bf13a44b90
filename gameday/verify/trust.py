"""trust.yaml: the only thing the verifier believes. What a bundle says of its own keys counts for nothing.

A strict subset of YAML is read, so that no parser of a large language stands between the auditor and
their own keys:

    # a comment
    key: word            or  key: "word"
    key: [word, word]
    key:
      - word

Paths are relative to the file. Whatever else stands in it is refused with its line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import Certificate, load_pem_x509_certificates

from .dsse import keyid_of
from .lines import Broken
from .register import Checkpoint, read_checkpoint
from .sshsig import Signer, read_signers

FILE_MAX = 1 << 20
REGISTER_MAX = 256 << 20
LISTS = ("runners", "timestamp_roots", "approvals", "signoffs")
WORDS = ("allowed_signers", "checkpoint", "register")
_WORD = re.compile(r"""(?:"([^"\\]*)"|'([^']*)'|([^\s"'\[\]{},#&*!|>%@`-][^"'\[\]{},#]*?))\s*\Z""")


class Unusable(Exception):
    """What the auditor brought cannot be used; the message says where and why."""


@dataclass(slots=True)
class Trust:
    """Keys by keyid, people, roots of time, the checkpoint that was kept, and what roles are asked for."""

    runners: dict[str, Ed25519PublicKey] = field(default_factory=dict)
    signers: list[Signer] = field(default_factory=list)
    roots: list[Certificate] = field(default_factory=list)
    checkpoint: Checkpoint | None = None
    register: bytes | None = None
    approvals: list[str] = field(default_factory=list)
    signoffs: list[str] = field(default_factory=list)


def read_yaml(text: str, where: str) -> dict[str, str | list[str]]:
    """Return the keys of a trust file.

    Raises:
        Unusable: A line is not in the subset above, or a key is unknown or stands twice.
    """
    found: dict[str, str | list[str]] = {}
    open_list: list[str] | None = None
    for number, raw in enumerate(text.split("\n"), start=1):
        line = re.sub(r"(^|\s)#.*", "", raw).rstrip()
        at = f"{where}:{number}"
        if not line or line == "---":
            continue
        if (item := re.match(r"\s*- +(.*)", line)) and open_list is not None:
            open_list.append(_word(item[1], at))
            continue
        open_list = None
        pair = re.match(r"([a-z_]+):(?:\s+(.*))?\Z", line)
        if pair is None:
            raise Unusable(f"{at}: {line.strip()[:60]!r}: expected `key: value`, `key: [a, b]` or `- item`")
        key, value = pair[1], pair[2] or ""
        if key not in (*LISTS, *WORDS) or key in found:
            raise Unusable(f"{at}: key {key!r} is {'there twice' if key in found else 'unknown'}")
        if key in WORDS:
            found[key] = _word(value, at)
        elif not value:
            found[key] = open_list = []
        elif (inner := re.match(r"\[(.*)\]\Z", value)) is not None:
            found[key] = [_word(part.strip(), at) for part in inner[1].split(",") if part.strip()]
        else:
            raise Unusable(f"{at}: {key} is a list: write `[{value[:40]}]`")
    return found


def _word(text: str, at: str) -> str:
    found = _WORD.match(text)
    if found is None:
        raise Unusable(f"{at}: {text[:60]!r} is no plain word; put it in double quotes")
    return next(part for part in found.groups() if part is not None)


def read_trust(path: Path) -> Trust:
    """Return what an auditor trusts.

    Raises:
        Unusable: The file, or one that it names, is missing or not what it must be.
    """
    asked = read_yaml(_read(path).decode("utf-8", "replace"), path.name)
    here = path.parent
    trust = Trust(approvals=list(asked.get("approvals", [])), signoffs=list(asked.get("signoffs", [])))
    for name in asked.get("runners", []):
        key = _key(_read(here / name), name)
        trust.runners[keyid_of(key)] = key
    if not trust.runners:
        raise Unusable(f"{path.name}: runners: name the public key of at least one runner")
    for name in asked.get("timestamp_roots", []):
        try:
            trust.roots += load_pem_x509_certificates(_read(here / name))
        except ValueError as error:
            raise Unusable(f"{name}: no certificates in PEM: {error}") from None
    try:
        if name := str(asked.get("allowed_signers", "")):
            trust.signers = read_signers(_read(here / name).decode("utf-8", "replace"), name)
        if name := str(asked.get("checkpoint", "")):
            trust.checkpoint = read_checkpoint(_read(here / name), name)
    except Broken as error:
        raise Unusable(str(error)) from None
    if name := str(asked.get("register", "")):
        trust.register = _read(here / name, REGISTER_MAX)
    if (trust.approvals or trust.signoffs) and not trust.signers:
        raise Unusable(f"{path.name}: approvals and signoffs need allowed_signers: whose keys are they?")
    return trust


def _key(data: bytes, name: str) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Unusable(f"{name}: no public key in PEM: {error}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise Unusable(f"{name}: is no Ed25519 key")
    return key


def _read(path: Path, most: int = FILE_MAX) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None
    if len(data) > most:
        raise Unusable(f"{path}: is larger than {most} bytes")
    return data
