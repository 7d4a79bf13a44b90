"""What a ledger asks of any store, and which store each writer is.

A store does three things with numbered writes: write one, read all, remove all. Whatever goes wrong is
said in one of two ways, because everything that is proved later rests on it:

    failed    the write has certainly had no effect: no connection, or the store refused it
    unknown   nobody can tell: it was on its way when the answer, the connection or the time was lost

A heavy client is imported by its own store alone, in the process of that ledger alone.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping
from typing import Any, Protocol

from gameday.history.events import LedgerMark

Outcome = tuple[LedgerMark, str]
ACKED: Outcome = (LedgerMark.ACKED, "")
_ENV = re.compile(r"\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}")
_STORES = {
    "sql": ("gameday.hosts.sqlstore", "SqlStore"),
    "redis": ("gameday.hosts.redisstore", "RedisStore"),
    "s3": ("gameday.hosts.s3store", "S3Store"),
    "python": ("gameday.hosts.hookstore", "HookStore"),
}


class Store(Protocol):
    """Where numbered writes go. Called by several threads at once."""

    def prepare(self) -> None:
        """Make ready what the writes need; whatever is raised refuses the run."""

    def write(self, number: int, sha256: str, payload: str) -> Outcome:
        """Write one, and say what is known of it."""

    def read_all(self) -> list[tuple[int, str]]:
        """Return number and digest of every write found, one that is there twice twice.

        Raises:
            OSError: They cannot be read now.
        """

    def purge(self) -> int:
        """Remove every write of this run and return how many were there.

        Raises:
            OSError: They cannot be removed now.
        """


class Absent(Exception):
    """What the store needs is not there: a variable of the environment, or a library."""


def failed(detail: str) -> Outcome:
    """Say that a write certainly had no effect."""
    return LedgerMark.FAILED, detail


def unknown(detail: str) -> Outcome:
    """Say that nobody knows whether a write had an effect."""
    return LedgerMark.UNKNOWN, detail


def secrets_in(spec: Any, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of the environment that a specification names, with their values.

    Raises:
        Absent: One of them is not set.
    """
    known = os.environ if environment is None else environment
    names = sorted(set(_ENV.findall(repr(spec))))
    for name in names:
        if not known.get(name):
            raise Absent(f"the environment has no {name}")
    return {name: known[name] for name in names}


def filled(spec: Any, values: Mapping[str, str]) -> Any:
    """Return a specification with the variables of the environment filled in."""
    if isinstance(spec, str):
        return _ENV.sub(lambda match: values[match[1]], spec)
    if isinstance(spec, dict):
        return {key: filled(item, values) for key, item in spec.items()}
    if isinstance(spec, list):
        return [filled(item, values) for item in spec]
    return spec


def store_of(writer: str, spec: dict[str, Any], run: str, timeout_s: float) -> Store:
    """Return the store of a writer.

    Args:
        writer: sql, redis, s3 or python.
        spec: Its keys, secrets filled in.
        run: The run, by whose name its writes are marked.
        timeout_s: The longest that one write may take.

    Raises:
        Absent: A library that it needs is not installed.
    """
    module, name = _STORES[writer]
    try:
        made = getattr(importlib.import_module(module), name)
        store: Store = made(spec, run, timeout_s)
    except ModuleNotFoundError as error:
        wanted = f"pip install 'gameday[ledgers]' brings what writer `{writer}` needs"
        raise Absent(f"no module {error.name!r} here: {wanted}") from error
    return store
