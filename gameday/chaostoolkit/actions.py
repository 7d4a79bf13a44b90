"""Actions for the method of an experiment: numbered writes, by which lost data is measured.

They need one of gameday's controls (guard or evidence), whose companion does the writing, so that no
action of the experiment can hold it up. The RPA stands in the findings at the end; a fault whose
read-back nobody gives stays `unknown`, with the interval beside it.
"""

from __future__ import annotations

from typing import Any

from gameday.chaostoolkit import link
from gameday.errors import UsageError

__all__ = ["note", "read_ledger", "start_ledger", "stop_ledger"]
READ_S = 60.0


def start_ledger(
    writer: str,
    every: str,
    timeout: str = "400ms",
    url: str | None = None,
    read_url: str | None = None,
    headers: dict[str, str] | None = None,
    rows: str | None = None,
    sentinels: list[str] | None = None,
    master: str | None = None,
    password: str | None = None,
    bucket: str | None = None,
    prefix: str | None = None,
    endpoint: str | None = None,
    region: str | None = None,
    module: str | None = None,
) -> dict[str, Any]:
    """Begin numbered writes on the users' path; intent is on disk before each is sent.

    The arguments are those of a plan's `ledger:`; the companion read them at the start.
    """
    del writer, every, timeout, url, read_url, headers, rows, sentinels, master, password
    del bucket, prefix, endpoint, region, module
    return _ask("ledger", ask="start")


def read_ledger(occasion: str = "after-failover") -> dict[str, Any]:
    """Read all numbered writes back from the recovered authority, count what is lost, and go on writing."""
    return _ask("ledger", ask="read", occasion=occasion)


def stop_ledger() -> dict[str, Any]:
    """Stop writing, read everything back, count what is lost, and remove what was written."""
    return _ask("ledger", ask="stop", occasion="end")


def note(text: str) -> dict[str, Any]:
    """Put a note into the record."""
    return _ask("note", by="chaos: note", text=text)


def _ask(do: str, **more: Any) -> dict[str, Any]:
    found = link.current()
    if found is None:
        raise UsageError(
            "gameday.chaostoolkit.actions need the control gameday.chaostoolkit.evidence, or the guard",
            todo="Add it to the `controls:` of the experiment.",
        )
    answer = found.ask(do, patience_s=READ_S, **more)
    return {key: value for key, value in answer.items() if key not in ("id", "ok")}
