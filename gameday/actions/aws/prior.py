"""What there was before an AWS change: on disk before the change is sent, so that its undo knows.

    <folder of fault records>/aws-KIND-DIGEST.json   {"what", "state", "prior"}

The key is what is changed (account, region, resource), so two changes of the same thing meet. Unlike
records of local faults these outlive a restart of the machine: the change does too. `state` is
intended, placed or undone. A person who undoes it from another machine gives `prior` as JSON, which
stands in the history with the step.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gameday.actions import faults
from gameday.actions.aws.session import Failed
from gameday.actions.http import ActionError


@dataclass(frozen=True, slots=True)
class Place:
    """One thing that may be changed, and where its record is."""

    kind: str
    what: str

    @property
    def name(self) -> str:
        """Return the record's name."""
        return f"aws-{self.kind}-{hashlib.sha256(self.what.encode()).hexdigest()[:16]}"

    def record(self) -> dict[str, Any]:
        """Return the whole record; empty when nothing was changed from here.

        Raises:
            ActionError: There is one that cannot be read.
        """
        path = faults.folder() / f"{self.name}.json"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ActionError(f"the record {path} cannot be read: {error}") from None
        return found if isinstance(found, dict) else {}

    @contextmanager
    def changing(self, prior: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Write down what there was, let the block change it, and note that it was accepted.

        What the block puts into the dictionary that it gets is noted, too. A change that AWS refused was
        not made, so nothing is owed; of one that was not answered, or ended with an error of the server,
        it is not known, so its undo is.

        Raises:
            ActionError: As `intend`; and what the block raises.
        """
        self.intend(prior)
        sys.stdout.write(f"{self.what}: {as_text(prior)}\n")
        known: dict[str, Any] = {}
        try:
            yield known
        except Failed as error:
            if error.is_refusal:
                self.undone()
            raise
        self.placed(**known)

    def intend(self, prior: Any) -> None:
        """Write down what there was, before it is changed.

        Raises:
            ActionError: It was changed from here already and not put back, or no record can be written.
        """
        if self.is_owed():
            raise ActionError(
                f"{self.what} was changed by an earlier step and is not put back: undo it first"
            )
        self._write("intended", prior)

    def placed(self, **more: Any) -> None:
        """Note that the change was accepted, and what came to be known by it."""
        self._write("placed", {**(self.record().get("prior") or {}), **more})

    def undone(self) -> None:
        """Note that it was put back."""
        if found := self.record():
            self._write("undone", found.get("prior"))

    def is_owed(self) -> bool:
        """Tell whether it was, or may have been, changed and not put back."""
        return self.record().get("state") in ("intended", "placed")

    def owed(self) -> dict[str, Any]:
        """Return what there was before a change that is not put back; empty when there is none."""
        return dict(self.record().get("prior") or {}) if self.is_owed() else {}

    def to_put_back(self, given: str | dict[str, Any] = "") -> dict[str, Any]:
        """Return what an undo puts back: `given` by a person as JSON, else the record. Empty: none owed.

        Raises:
            ActionError: What was given is no JSON object.
        """
        if not given:
            return self.owed()
        try:
            found = given if isinstance(given, dict) else json.loads(given)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise ActionError(f"prior {given!r}: expected a JSON object, as the history has it")
        return found

    def _write(self, state: str, prior: Any) -> None:
        faults.write(self.name, {"name": self.name, "what": self.what, "state": state, "prior": prior})


def place(kind: str, account: str, region: str, *parts: str) -> Place:
    """Return the place of a resource."""
    return Place(kind, "/".join((account, region, kind, *parts)))


def as_text(prior: dict[str, Any]) -> str:
    """Return what there was, short, for the history."""
    return "prior " + json.dumps(prior, sort_keys=True, separators=(",", ":"), default=str)
