"""SSH signatures made by ssh-keygen, and what allowed_signers says of their keys."""

from __future__ import annotations

import base64
import re
import subprocess
from datetime import datetime

import pytest

from gameday.verify.lines import Broken
from gameday.verify.sshsig import fingerprint, matches, names_of, read_signers, refusal, signing_key
from tests.verify.made import Person

DATA = b"what was signed\n"


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    return {kind: Person(folder, f"p-{kind}", kind) for kind in ("ed25519", "ecdsa", "rsa")}


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_signature_of_each_kind_holds_and_only_for_its_bytes(people, kind):
    person = people[kind]
    signature = person.sign(DATA, "gameday-approval")
    key = signing_key(signature, DATA, "gameday-approval", "a.sig")
    assert base64.b64encode(key).decode() == person.public.split()[1]
    shown = subprocess.run(["ssh-keygen", "-lf", f"{person.key}.pub"], capture_output=True, text=True).stdout
    assert fingerprint(key) in shown
    with pytest.raises(Broken, match="does not fit"):
        signing_key(signature, DATA + b"x", "gameday-approval", "a.sig")
    with pytest.raises(Broken, match="not gameday-signoff"):
        signing_key(signature, DATA, "gameday-signoff", "a.sig")


def test_every_byte_of_a_signature_counts(people):
    """Changed anywhere inside the armour it does not hold, and is refused in words."""
    signature = people["ed25519"].sign(DATA, "n")
    blob = base64.b64decode("".join(signature.decode().splitlines()[1:-1]))
    for at in range(len(blob)):
        changed = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
        text = base64.b64encode(changed).decode()
        armour = f"-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n".encode()
        with pytest.raises(Broken):
            signing_key(armour, DATA, "n", "a.sig")


@pytest.mark.parametrize(
    "text", [b"", b"x", b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"]
)
def test_what_is_no_signature(text):
    with pytest.raises(Broken):
        signing_key(text, DATA, "n", "a.sig")


def test_a_hardware_key_is_refused_by_name(people):
    kind = b"sk-ssh-ed25519@openssh.com"
    pack = lambda data: len(data).to_bytes(4, "big") + data  # noqa: E731
    key = pack(kind) + pack(bytes(32)) + pack(b"ssh:")
    blob = b"SSHSIG\0\0\0\1" + b"".join(map(pack, (key, b"n", b"", b"sha512", pack(kind) + pack(bytes(64)))))
    armour = (
        f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(blob).decode()}\n-----END SSH SIGNATURE-----\n"
    )
    with pytest.raises(Broken, match="sk-ssh-ed25519@openssh.com are not verified here"):
        signing_key(armour.encode(), DATA, "n", "a.sig")


def ns(text):
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


NOW = ns("2026-11-24T20:00:00+00:00")


def refused(options, person, principal="p-ed25519", space="gameday-approval", at_ns=NOW, names="p-ed25519"):
    signers = read_signers(f"# people\n\n{names} {options} {person.public} a comment\n", "allowed_signers")
    return refusal(signers, base64.b64decode(person.public.split()[1]), principal, space, at_ns)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("", ""),
        ('namespaces="gameday-approval"', ""),
        ('namespaces="git,gameday-*"', ""),
        ('namespaces="file"', "may not sign in the namespace"),
        ('namespaces="*,!gameday-approval"', "may not sign in the namespace"),
        ('valid-after="20261124195959Z"', ""),
        ('valid-after="20261124200001Z"', "was not valid then"),
        ('valid-before="20261124195959Z"', "was not valid then"),
        ('valid-before="20261124200000Z"', ""),
        ('valid-before="20261125Z",namespaces="gameday-approval"', ""),
        ("valid-before=20261124Z", "was not valid then"),
    ],
)
def test_options_of_allowed_signers(people, options, why):
    assert why in refused(options, people["ed25519"]) and bool(why) == bool(
        refused(options, people["ed25519"])
    )


def test_options_are_read_as_ssh_keygen_reads_them(people, tmp_path):
    """The same file, signature and time, asked of both."""
    person = people["ed25519"]
    signature = tmp_path / "s"
    signature.write_bytes(person.sign(DATA, "gameday-approval"))
    for names, options in (
        ("p-ed25519", ""), ("p-*", ""), ("*,!p-ed25519", ""), ("other", ""), ("x,p-ed2551?", 'namespaces="file"'),
        ("p-ed25519", 'namespaces="gameday-*",valid-before="20261124200001Z"'),
        ("p-ed25519", 'valid-before="20261124200000Z"'), ("p-ed25519", 'valid-after="20261124200000Z"'),
    ):  # fmt: skip
        (tmp_path / "allowed").write_text(f"{names} {options} {person.public}\n")
        theirs = subprocess.run(
            ["ssh-keygen", "-Y", "verify", "-f", tmp_path / "allowed", "-I", "p-ed25519", "-n", "gameday-approval",
             "-s", signature, "-O", "verify-time=20261124200000Z"], input=DATA, capture_output=True,
        ).returncode  # fmt: skip
        ours = refused(options, person, names=names)
        assert bool(theirs) == bool(ours), (names, options, ours)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a cert-authority ssh-ed25519 AAAA", "cert-authority"),
        ("a no-touch-required ssh-ed25519 AAAA", "no-touch-required is not supported"),
        ("a ssh-dss AAAA", "expected NAME"),
        ("a", "expected NAME"),
        ("a ssh-ed25519 !!!", "no base64"),
        ("a valid-after=tomorrow ssh-ed25519 AAAA", "is no time"),
    ],
)
def test_lines_that_are_refused(text, why):
    with pytest.raises(Broken, match=re.escape(why)):
        read_signers(text, "allowed_signers")


def test_one_key_is_one_person(people):
    person = people["ed25519"]
    key = base64.b64decode(person.public.split()[1])
    signers = read_signers(f"a.bell,r.ito {person.public}\nother {people['rsa'].public}\n", "allowed_signers")
    assert names_of(signers, key, ["r.ito", "other", "a.bell", ""]) == ["r.ito", "a.bell"]
    assert "is not that of other" in refusal(signers, key, "other", "n", NOW)
    assert "not in your allowed_signers" in refusal(signers[1:], key, "a.bell", "n", NOW)


def test_patterns():
    assert matches("a.bell", "*.bell") and not matches("axbell", "a.bell") and matches("ab", "a?")
    assert not matches("a.bell", "*,!a.bell") and not matches("a", "") and matches("a\nb", "a*b")
