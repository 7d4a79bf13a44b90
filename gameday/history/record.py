"""A whole history in memory, as checkers and reports read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from gameday.history.events import Command, LedgerEntry, Report, Sample
from gameday.history.loadevents import LoadBucket

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a history: an event with its place in the order and its times."""

    seq: int
    at_ns: int
    utc: str
    actor: str
    event: Command | Report


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything a run left: its chained records, and what its segment files hold.

    `torn` says how many bytes at the end of a file belonged to no whole line (after a crash).
    `faults` lists what is wrong with the chain or a segment; empty when the history is whole.
    """

    records: tuple[Record, ...]
    samples: tuple[Sample, ...] = ()
    load: tuple[LoadBucket, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()
    torn: int = 0
    faults: tuple[str, ...] = ()

    def first(self, kind: type[E]) -> E | None:
        """Return the first event of a kind, or None when there is none."""
        return next((record.event for record in self.records if isinstance(record.event, kind)), None)
