"""The process that plays one rollback: {"activity":…,"configuration":…,"secrets":…} in, {"error":""} out."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from gameday.hosts.words import error_line, one_line


def main() -> None:
    """Play it, as Chaos Toolkit would, and say why it did no work."""
    out = os.dup(1)
    os.dup2(2, 1)  # What user code prints must not stand in the answer.
    import chaoslib.activity  # noqa: F401, PLC0415 - paid before there is anything to undo

    text = sys.stdin.read()
    if not text:
        return  # There was nothing to undo.
    given = json.loads(text)
    os.write(out, json.dumps({"error": played(given)}).encode())
    os._exit(0)


def played(given: dict[str, Any]) -> str:
    """Return why a rollback failed; nothing when it did not."""
    from chaoslib.activity import run_activity  # noqa: PLC0415 - importing it takes a moment

    try:
        activity = given["activity"]
        value = run_activity(activity, given["configuration"], given["secrets"])
    except BaseException as error:  # noqa: BLE001 - user code raises anything, SystemExit too
        return one_line(error_line(error))
    return why_not(activity.get("provider") or {}, value)


def why_not(provider: dict[str, Any], value: object) -> str:
    """Return why a value means that nothing was done: a program's exit code, an HTTP status."""
    status = value.get("status") if isinstance(value, dict) else None
    if provider.get("type") == "process" and status != 0:
        return f"exit {status}"
    if provider.get("type") == "http" and isinstance(status, int) and status >= 400:
        return f"HTTP {status}"
    return ""


if __name__ == "__main__":
    main()
