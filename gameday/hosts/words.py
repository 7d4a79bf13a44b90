"""Foreign text, made fit for a record: one line, bounded, valid Unicode, no password in it.

What user code raises ends up in a sealed history, where it can never be taken back.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

DETAIL_MAX = 300
_SECRET_NAME = re.compile(r"PASSW|TOKEN|SECRET|CREDENTIAL|_KEY$|APIKEY", re.IGNORECASE)
_SECRET_LENGTH_MIN = 6
_USERINFO = re.compile(r"(\w+://)[^/@\s:]*:[^/@\s]+@")
_ASSIGNED = re.compile(r"(?i)\b(password|passwd|token|secret|api_?key)(\s*[=:]\s*|\s+is\s+)\S+")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{6,}")


def one_line(text: str, limit: int = DETAIL_MAX, *, environment: Mapping[str, str] | None = None) -> str:
    """Return the text on one line of at most `limit` characters, without what looks like a secret.

    Args:
        text: Anything, half surrogates and control characters included.
        limit: The most characters to keep.
        environment: Where secret values are looked for by the names of variables; None for our own.
    """
    sound = text[: limit * 8].encode("utf-8", "replace").decode("utf-8")
    line = " ".join("".join(c if c.isprintable() else " " for c in sound).split())
    line = _USERINFO.sub(r"\1***@", line)
    line = _ASSIGNED.sub(r"\1\2***", line)
    line = _BEARER.sub(r"\1 ***", line)
    for name, value in (os.environ if environment is None else environment).items():
        if len(value) >= _SECRET_LENGTH_MIN and value in line and _SECRET_NAME.search(name):
            line = line.replace(value, "***")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def error_line(raised: BaseException, limit: int = DETAIL_MAX) -> str:
    """Return what was raised on one line; its type where it has no words of its own."""
    try:
        text = str(raised)
    except Exception:  # noqa: BLE001 - a foreign exception may fail even here; its type must do
        text = ""
    return one_line(text, limit) or type(raised).__name__
