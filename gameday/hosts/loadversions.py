"""What a generator is: the versions of Locust and of all that came with it, and the options it took."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from typing import Any

_ALSO = ("gevent", "geventhttpclient", "requests", "urllib3")
_HIDDEN = re.compile(r"password|passwd|secret|token|key|credential|auth", re.IGNORECASE)
_CHARS_MAX = 200
_COUNT_MAX = 200


def versions() -> list[tuple[str, str]]:
    """Return name and version of Python, Locust, its plugins and its HTTP clients."""
    found = {"python": sys.version.split()[0]}
    for package in importlib.metadata.distributions():
        name = (package.metadata["Name"] or "").lower()
        if name in _ALSO or name.startswith("locust"):
            found[name] = package.version
    return sorted(found.items())


def effective_options(parsed: Any, parser: Any) -> list[tuple[str, str]]:
    """Return the options that Locust runs with, where they are set at all; what may be secret is hidden."""
    secret = getattr(parser, "secret_args_included_in_web_ui", {})
    found = []
    for name, value in sorted(vars(parsed).items()):
        if value in (None, False, "", [], ()):
            continue
        hidden = name in secret or _HIDDEN.search(name) is not None
        found.append((name, "(hidden)" if hidden else str(value)[:_CHARS_MAX]))
    return found[:_COUNT_MAX]
