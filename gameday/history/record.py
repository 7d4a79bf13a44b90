"""A whole history in memory, as checkers and reports read it."""

from __future__ import annotations

from dataclasses import dataclass

from gameday.history.events import Command, LedgerEntry, LoadBucket, Report, Sample


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
