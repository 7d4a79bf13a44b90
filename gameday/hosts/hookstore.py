"""A ledger in anything else: a Python module of the project that writes, reads back and removes.

    def write(number, sha256, payload, *, run, timeout_s, **arguments):
        return None or True: acknowledged; False: certainly not written; raise: nobody knows
    def read_all(*, run, **arguments):            return [(number, sha256), …]
    def purge(*, run, **arguments):               return how many were removed
    def prepare(*, run, **arguments):             (may be left out) raise to refuse the run

It is foreign code, so it runs in the ledger's own process and nowhere else.
"""

from __future__ import annotations

import importlib
from typing import Any

from gameday.hosts.stores import ACKED, Absent, Outcome, failed, unknown
from gameday.hosts.words import error_line

_NEEDED = ("write", "read_all", "purge")


class HookStore:
    """Calls the module's functions."""

    def __init__(self, spec: dict[str, Any], run: str, timeout_s: float) -> None:
        self._module = importlib.import_module(spec["module"])
        for name in _NEEDED:
            if not callable(getattr(self._module, name, None)):
                raise Absent(f"module {spec['module']} has no function `{name}`")
        self._arguments = {"run": run, **spec.get("arguments", {})}
        self._timeout_s = timeout_s

    def prepare(self) -> None:
        """Call `prepare`, where there is one."""
        prepare = getattr(self._module, "prepare", None)
        if prepare is not None:
            prepare(**self._arguments)

    def write(self, number: int, sha256: str, payload: str) -> Outcome:
        """Call `write`."""
        said, problem = self._call("write", number, sha256, payload, timeout_s=self._timeout_s)
        if problem:
            return unknown(problem)
        if said is None or said is True:
            return ACKED
        return failed("it says that it was not written") if said is False else unknown(f"it says {said!r}")

    def read_all(self) -> list[tuple[int, str]]:
        """Call `read_all`."""
        found, problem = self._call("read_all")
        if problem:
            raise OSError(problem)
        try:
            return [(int(number), str(sha256)) for number, sha256 in found]
        except (TypeError, ValueError) as error:
            raise OSError(f"`read_all` gave no list of pairs of number and sha256: {error}") from error

    def purge(self) -> int:
        """Call `purge`."""
        found, problem = self._call("purge")
        if problem or not isinstance(found, int):
            raise OSError(problem or f"`purge` gave {found!r}, expected how many were removed")
        return found

    def _call(self, name: str, *args: Any, **more: Any) -> tuple[Any, str]:
        """Return what a function of the module gave, or what it raised."""
        try:
            return getattr(self._module, name)(*args, **more, **self._arguments), ""
        except Exception as error:  # noqa: BLE001 - foreign code, in its own process
            return None, error_line(error)
