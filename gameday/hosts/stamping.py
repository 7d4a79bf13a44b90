"""Ask a time stamp authority, through a short process of its own, within a deadline that holds."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from dataclasses import dataclass

from gameday.hosts.words import one_line

STAMP_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Stamp:
    """A token (a whole RFC 3161 response) and its time; or no token, and why."""

    token: bytes
    utc: str
    missing: str = ""


def stamp(data: bytes, url: str, deadline_s: float = STAMP_DEADLINE_S) -> Stamp:
    """Return the authority's stamp over the SHA-256 of `data`. Never raises: a missing stamp says why."""
    asked = {"url": url, "data": base64.b64encode(data).decode(), "timeout_s": deadline_s}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "gameday.hosts.timestamp"],
            input=json.dumps(asked).encode(), capture_output=True, timeout=deadline_s, check=False,
        )  # fmt: skip
        said = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return Stamp(b"", "", f"{url} gave no answer within {deadline_s:g} s")
    except (OSError, ValueError) as error:
        return Stamp(b"", "", f"{url} could not be asked: {type(error).__name__}")
    if "tsr" not in said:
        return Stamp(b"", "", one_line(f"{url}: {said.get('missing', 'no answer')}"))
    return Stamp(base64.b64decode(said["tsr"]), str(said["utc"]))
