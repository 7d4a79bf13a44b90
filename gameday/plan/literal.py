"""Secrets that stand in a plan in so many letters: refused, because a plan stands in every record.

`${env.NAME}` takes a value from the environment of the runner instead. The complaint names the place
and never the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from gameday.plan.source import Source, Where

_USERINFO = re.compile(r"\w://[^/\s:@]*:([^@\s/]+)@")
_QUERY = re.compile(
    r"(?i)[?&;](?:password|passwd|token|access_token|secret|api_?key|sig|signature)=([^&#\s]+)"
)
_DSN = re.compile(r"(?i)\bpassword\s*=\s*(\S+)")
_BEARER = re.compile(r"(?i)\bauthorization\s*:\s*(?:bearer|basic)?\s*(\S{6,})")
_WRITTEN = (_USERINFO, _QUERY, _DSN, _BEARER)
_KEY = re.compile(
    r"(?i)passw|passphrase|secret|token|api_?key|credential|private_?key|^(proxy-)?authorization$|^cookie$"
)
_NO_SECRET = re.compile(r"(?i)_(env|file|path|name)$")
INSTEAD = "set it in the environment and write ${env.NAME} instead: the plan stands in every record"


def refuse_literals(source: Source) -> None:
    """Complain about each secret that stands in a plan or runbook itself."""
    for where, key, text in _texts(source.data, (), ""):
        found = [match for pattern in _WRITTEN for match in pattern.findall(text)]
        is_key = bool(_KEY.search(key)) and not _NO_SECRET.search(key) and bool(text)
        if any("${" not in item for item in found) or (is_key and "${" not in text):
            source.complain(
                where, f"{key}: holds a secret; {INSTEAD}" if key else f"holds a secret; {INSTEAD}"
            )


def _texts(data: Any, where: Where, key: str) -> Iterator[tuple[Where, str, str]]:
    if isinstance(data, str):
        yield where, key, data
    elif isinstance(data, dict):
        for name, item in data.items():
            yield from _texts(item, (*where, name), str(name))
    elif isinstance(data, list):
        for number, item in enumerate(data):
            yield from _texts(item, (*where, number), key)
