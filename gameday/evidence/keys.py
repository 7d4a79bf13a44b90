"""The runner's key: who seals. It is read only in a short process of its own, `gameday.evidence.signer`.

    GAMEDAY_KEY, else $XDG_CONFIG_HOME/gameday/runner.key     Ed25519, PEM (PKCS 8), mode 0600
    beside it, ….pub                                          what an auditor gets from you

It is made when it is first needed. It proves which runner sealed a record, and never that anybody
approved of anything.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gameday.errors import Refused

KEY_VARIABLE = "GAMEDAY_KEY"
SIGN_DEADLINE_S = 20.0


@dataclass(frozen=True, slots=True)
class Signed:
    """Signatures, one for each text, and whose they are. `keyid` is `SHA256:` and hex."""

    keyid: str
    public_raw: bytes
    public_pem: str
    signatures: tuple[bytes, ...]


Sign = Callable[[tuple[bytes, ...]], Signed]


def key_file(environment: Mapping[str, str] | None = None) -> Path:
    """Return where the runner's key lies, or will lie."""
    variables = os.environ if environment is None else environment
    named = variables.get(KEY_VARIABLE)
    if named:
        return Path(named)
    base = Path(variables.get("XDG_CONFIG_HOME") or "")
    if not base.is_absolute():
        base = Path(variables.get("HOME") or "~").expanduser() / ".config"
    return base / "gameday" / "runner.key"


def sign(texts: tuple[bytes, ...]) -> Signed:
    """Return the signatures of the runner's key over `texts`. Makes the key when there is none.

    Raises:
        Refused: There is no key that can be used, and none can be made.
    """
    path = key_file()
    asked = {"key": str(path), "texts": [base64.b64encode(text).decode() for text in texts]}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "gameday.evidence.signer"],
            input=json.dumps(asked).encode(), capture_output=True, timeout=SIGN_DEADLINE_S, check=False,
        )  # fmt: skip
        said = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise Refused(f"the runner's key {path} does not sign: {type(error).__name__}") from error
    if "refused" in said:
        raise Refused(
            f"the runner's key {path}: {said['refused']}",
            todo=f"Mend it, or name another one in {KEY_VARIABLE}; without it nothing can be sealed.",
        )
    decoded = tuple(base64.b64decode(text) for text in said["signatures"])
    return Signed(said["keyid"], base64.b64decode(said["raw"]), said["pem"], decoded)
