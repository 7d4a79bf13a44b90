"""Which software a run was made with."""

from __future__ import annotations

import sys
from importlib import metadata

_NAMES = ("chaostoolkit-lib", "locust", "pydantic", "psycopg")


def software() -> tuple[tuple[str, str], ...]:
    """Return name and version of what a run depends on."""
    found = [("python", sys.version.split()[0])]
    for name in _NAMES:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)
