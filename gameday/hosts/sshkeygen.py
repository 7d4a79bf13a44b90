"""Sign and verify with the SSH keys people already have, by ssh-keygen as a process with a deadline.

Two questions are asked of a signature, because they go wrong for different reasons: does it fit these
bytes in this namespace, and does its key belong to that person? The second is answered by an
allowed_signers file, as git does it. All names under which the key stands there are returned: one
key is one person, however many names it is given.

Source: ssh-keygen(1), "ALLOWED SIGNERS" and -Y sign, verify, check-novalidate, find-principals.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gameday.errors import NotAuthorised, Refused

VERIFY_DEADLINE_S = 5.0
SIGN_DEADLINE_S = 120.0  # A person may have to type a passphrase or touch a token.
SIGNATURE_MAX = 16 << 10
SIGNERS_MAX = 1 << 20
_FINGERPRINT = re.compile(r"\b(SHA256:[A-Za-z0-9+/]{43})")


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that holds: the key's fingerprint, and every name it has in allowed_signers."""

    fingerprint: str
    names: tuple[str, ...]


def sign(data: bytes, key: Path, namespace: str) -> bytes:
    """Return the signature of `data` by the key in `key` (a private key, or a public one in an agent).

    Raises:
        NotAuthorised: There is no such key, or it does not sign.
        Refused: ssh-keygen is missing.
    """
    if not key.is_file():
        raise NotAuthorised(
            f"there is no SSH key {key}", todo="Name one with --key, or make one: `ssh-keygen -t ed25519`."
        )
    with tempfile.TemporaryDirectory(prefix="gameday-sign-") as folder:
        path = Path(folder) / "statement"
        path.write_bytes(data)
        # ssh-keygen asks for a passphrase on the terminal itself, never on our pipes.
        done = _run(["-Y", "sign", "-q", "-n", namespace, "-f", str(key), str(path)], b"", SIGN_DEADLINE_S)
        made = path.with_name("statement.sig")
        if done.returncode or not made.is_file():
            raise NotAuthorised(f"the key {key} does not sign: {_said(done)}")
        return made.read_bytes()


def verify(data: bytes, signature: bytes, signers: bytes, principal: str, namespace: str) -> Signature:
    """Return what is known of a signature that holds.

    Raises:
        NotAuthorised: It does not fit, or its key is not that of `principal`.
        Refused: ssh-keygen is missing or does not answer.
    """
    if len(signature) > SIGNATURE_MAX:
        raise NotAuthorised(f"the signature is larger than {SIGNATURE_MAX} bytes")
    with tempfile.TemporaryDirectory(prefix="gameday-verify-") as folder:
        file, allowed = Path(folder) / "signature", Path(folder) / "allowed_signers"
        file.write_bytes(signature)
        allowed.write_bytes(signers)
        common = ["-n", namespace, "-s", str(file)]
        fits = _run(["-Y", "check-novalidate", *common], data, VERIFY_DEADLINE_S)
        found = _FINGERPRINT.search(fits.stdout)
        if fits.returncode or found is None:
            raise NotAuthorised(_misfit(_said(fits), namespace))
        who = ["-f", str(allowed), "-I", principal]
        held = _run(["-Y", "verify", *who, *common], data, VERIFY_DEADLINE_S)
        if held.returncode:
            raise NotAuthorised(_stranger(_said(held), found[1], principal))
        names = _run(["-Y", "find-principals", "-f", str(allowed), "-s", str(file)], b"", VERIFY_DEADLINE_S)
    others = [name.strip() for line in names.stdout.splitlines() for name in line.split(",")]
    return Signature(found[1], tuple(dict.fromkeys((principal, *(name for name in others if name)))))


def _misfit(said: str, namespace: str) -> str:
    if "namespace" in said:
        return f"the signature is for another purpose than {namespace!r}"
    if "incorrect signature" in said:
        return "the signature does not fit the statement: it was edited after it was signed"
    return f"the signature cannot be read: {said}"


def _stranger(said: str, fingerprint: str, principal: str) -> str:
    if "namespace" in said or "expired" in said or "not yet valid" in said or "revoked" in said:
        reason = re.sub(r"\A\S*:(\d+: )", r"line \1", said)
        return f"the key {fingerprint} may not approve: allowed_signers: {reason}"
    return f"the key {fingerprint} is not that of {principal!r} in allowed_signers"


def _said(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return lines[-1][:200] if lines else f"ssh-keygen ended with {done.returncode}"


def _run(words: list[str], data: bytes, deadline_s: float) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(
            ["ssh-keygen", *words], input=data, capture_output=True, timeout=deadline_s, check=False
        )
    except FileNotFoundError:
        raise Refused(
            "ssh-keygen is missing, so no approval can be signed or verified here",
            todo="Install the OpenSSH client; an approval is an SSH signature.",
        ) from None
    except subprocess.TimeoutExpired:
        raise Refused(f"ssh-keygen gave no answer within {deadline_s:g} s") from None
    text = (done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    return subprocess.CompletedProcess(done.args, done.returncode, *text)
