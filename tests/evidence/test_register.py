"""The register: a Merkle tree as RFC 6962 has it, a signed checkpoint, and nothing that can be dropped."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gameday.errors import RecordError, Refused
from gameday.evidence import keys
from gameday.evidence.keys import Signed
from gameday.evidence.merkle import leaf_hash, root
from gameday.evidence.note import parse
from gameday.evidence.register import Register, population

KEY = Ed25519PrivateKey.generate()
RAW = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
UTC = "2026-11-24T20:15:00Z"


def here(texts):
    """Sign in this process, as the signer does in its own."""
    return Signed("SHA256:0", RAW, "", tuple(KEY.sign(text) for text in texts))


def start(run):
    return {
        "kind": "started",
        "run": run,
        "plan": "p.yaml",
        "service": "s",
        "drill_kind": "dr",
        "plan_sha256": "",
    }


# The reference vectors of the RFC's authors: https://github.com/google/certificate-transparency
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_reference(size):
    assert root(leaf_hash(bytes.fromhex(text)) for text in INPUTS[:size]).hex() == ROOTS[size]


def test_the_root_is_what_the_recursive_definition_says():
    def by_definition(hashes):
        if len(hashes) == 1:
            return hashes[0]
        half = 1
        while half * 2 < len(hashes):
            half *= 2
        return hashlib.sha256(b"\x01" + by_definition(hashes[:half]) + by_definition(hashes[half:])).digest()

    hashes = [leaf_hash(bytes([n])) for n in range(130)]
    for size in range(1, 130):
        assert root(hashes[:size]) == by_definition(hashes[:size])


def test_leaves_stay_in_order_and_the_checkpoint_is_signed(tmp_path):
    register = Register(tmp_path / "register", here)
    first = register.enter(start("r1"), at_utc=UTC)
    register.enter({"kind": "finished", "run": "r1", "head": "h", "events": 3, "verdict": "pass"}, at_utc=UTC)
    last = register.enter(start("r2"), at_utc=UTC)
    assert [leaf["index"] for leaf in register.leaves()] == [0, 1, 2]
    assert (first.index, last.index) == (0, 2)
    assert last.leaves.startswith(first.leaves)
    note = (tmp_path / "register" / "checkpoint").read_bytes()
    assert note == last.checkpoint
    said = parse(note)
    lines = last.leaves.split(b"\n")[:-1]
    assert said.size == 3 and said.root == root(map(leaf_hash, lines))
    assert said.origin == "gameday-register/" + hashlib.sha256(b"\0" + lines[0]).hexdigest()[:16]
    body, _, line = note.partition(b"\n\n")
    dash, name, blob = line.decode().split()
    blob = base64.b64decode(blob)
    assert (dash, name) == ("—", said.origin)
    assert blob[:4] == hashlib.sha256(said.origin.encode() + b"\n\x01" + RAW).digest()[:4]
    Ed25519PublicKey.from_public_bytes(RAW).verify(blob[4:], body + b"\n")


@pytest.mark.parametrize("what", ["edit", "drop", "swap", "no-checkpoint", "bad-checkpoint", "cut"])
def test_nothing_is_entered_in_a_register_that_was_tampered_with(tmp_path, what):
    register = Register(tmp_path, here)
    for run in ("r1", "r2", "r3"):
        register.enter(start(run), at_utc=UTC)
    path, note = tmp_path / "leaves.jsonl", tmp_path / "checkpoint"
    lines = path.read_bytes().splitlines(keepends=True)
    match what:
        case "edit":
            path.write_bytes(path.read_bytes().replace(b'"r2"', b'"rX"'))
        case "drop":
            path.write_bytes(lines[0] + lines[2])
        case "swap":
            path.write_bytes(lines[1] + lines[0] + lines[2])
        case "no-checkpoint":
            note.unlink()
        case "bad-checkpoint":
            note.write_text("nothing")
        case "cut":
            path.write_bytes(b"")
    with pytest.raises(Refused) as refused:
        register.enter(start("r4"), at_utc=UTC)
    assert refused.value.exit_code == 3 and refused.value.todo
    assert b"r4" not in path.read_bytes()


def test_half_a_line_is_cut_off_and_a_late_checkpoint_catches_up(tmp_path):
    register = Register(tmp_path, here)
    register.enter(start("r1"), at_utc=UTC)
    whole = (tmp_path / "leaves.jsonl").read_bytes()
    (tmp_path / "leaves.jsonl").write_bytes(whole + b'{"at_utc":"2026')

    def dead(_texts):
        raise Refused("no key")

    end = {"kind": "crashed", "run": "r1", "head": "", "events": 1, "verdict": "unknown"}
    with pytest.raises(Refused, match="no key"):
        Register(tmp_path, dead).enter(end, at_utc=UTC)
    assert len(register.leaves()) == 1
    assert Register(tmp_path, dead).enter(end, at_utc=UTC, must_sign=False).checkpoint == b""
    assert parse((tmp_path / "checkpoint").read_bytes()).size == 1
    assert register.enter(start("r2"), at_utc=UTC).index == 2
    assert parse((tmp_path / "checkpoint").read_bytes()).size == 3


def test_a_start_without_an_end_can_be_seen(tmp_path):
    register = Register(tmp_path, here)
    for leaf in (
        start("r1"),
        start("r2"),
        {"kind": "halted", "run": "r2", "head": "", "events": 1, "verdict": "unknown"},
        start("r3"),
        {"kind": "voided", "run": "r3", "reason": "wrong target", "by": "me"},
        {"kind": "sealed", "run": "r2", "manifest_sha256": "", "attestations": []},
    ):
        register.enter(leaf, at_utc=UTC)
    rows = {row["run"]: row for row in population(register.leaves())}
    assert [rows[r]["end"] for r in ("r1", "r2", "r3")] == ["", "halted", "voided"]
    assert rows["r2"]["sealed"] and not rows["r1"]["sealed"] and rows["r3"]["reason"] == "wrong target"


def test_what_cannot_be_written_refuses(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be written"):
        Register(tmp_path / "file", here).enter(start("r1"), at_utc=UTC)
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "leaves.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="cannot be written"):
        Register(tmp_path / "r", here).enter(start("r1"), at_utc=UTC)
    assert not (tmp_path / "elsewhere").exists()
    (tmp_path / "file").write_text("{}\n")
    (tmp_path / "file").rename(tmp_path / "leaves.jsonl")
    with pytest.raises(RecordError, match="leaves.jsonl:1"):
        Register(tmp_path, here).leaves()


def test_the_runners_key_is_made_at_first_need_and_openssl_reads_it(tmp_path, monkeypatch):
    monkeypatch.delenv("GAMEDAY_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    signed = keys.sign((b"one",))
    path = tmp_path / "gameday" / "runner.key"
    assert path.stat().st_mode & 0o777 == 0o600
    der = subprocess.run(
        ["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], capture_output=True, check=True
    )
    assert signed.keyid == f"SHA256:{hashlib.sha256(der.stdout).hexdigest()}"
    assert path.with_suffix(".pub").read_text() == signed.public_pem
    Ed25519PublicKey.from_public_bytes(signed.public_raw).verify(signed.signatures[0], b"one")
    words = ["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", path]
    assert subprocess.run(words, capture_output=True, check=True).stdout == path.read_bytes()
    os.chmod(path, 0o644)
    with pytest.raises(Refused, match="chmod 600"):
        keys.sign((b"two",))
    path.write_text("-----BEGIN NONSENSE-----")
    os.chmod(path, 0o600)
    with pytest.raises(Refused, match="no Ed25519 key") as refused:
        keys.sign((b"two",))
    assert "NONSENSE" not in str(refused.value) and "GAMEDAY_KEY" in refused.value.todo


def test_where_the_key_lies():
    assert str(keys.key_file({"GAMEDAY_KEY": "/k"})) == "/k"
    assert str(keys.key_file({"XDG_CONFIG_HOME": "/c"})) == "/c/gameday/runner.key"
    assert (
        str(keys.key_file({"HOME": "/h", "XDG_CONFIG_HOME": "relative"})) == "/h/.config/gameday/runner.key"
    )
