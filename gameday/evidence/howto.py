"""VERIFY.md: how to check a bundle with nothing but `sha256sum`, `ssh-keygen`, `openssl` and a shell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

HOWTO = "VERIFY.md"

TEMPLATE = "verify.md"
_APPROVALS, _STAMPS = "<!-- approvals -->\n", "<!-- stamps -->\n"
_PEOPLE = """## 5. Who approved

Signed statements name plan, policy and blast radius by digest; see that `plan_sha256` is the one above.

```sh
{commands}
```
"""

_NOBODY = """## 5. Who approved

No signed approval is part of this run.
"""

_TIME = """## 6. When

```sh
{commands}
```

`openssl ts -reply -in FILE.tsr -token_in -text` or `-in FILE.tsr -text` shows the time in a token.
"""

_NO_TIME = """## 6. When

No time stamp authority was asked or answered: the times in here are those of the machine that ran the drill.
"""


@dataclass(frozen=True, slots=True)
class Signer:
    """A signed statement in the bundle, and whose it is said to be."""

    path: str
    principal: str


def howto(signers: Iterable[Signer], stamped: Iterable[tuple[str, str]]) -> bytes:
    """Return VERIFY.md.

    Args:
        signers: The approvals that are signed.
        stamped: Each stamped file and its token.
    """
    approve = 'ssh-keygen -Y verify -f "$SIGNERS" -n gameday-approval'
    people = [f"{approve} -I {quote(s.principal)} -s {quote(s.path)}.sig < {quote(s.path)}" for s in signers]
    times = [f'openssl ts -verify -data {data} -in {token} -CAfile "$ROOTS"' for data, token in stamped]
    text = Path(__file__).with_name(TEMPLATE).read_text(encoding="utf-8")
    text = text.replace(_APPROVALS, _PEOPLE.format(commands="\n".join(people)) if people else _NOBODY)
    return text.replace(_STAMPS, _TIME.format(commands="\n".join(times)) if times else _NO_TIME).encode()
