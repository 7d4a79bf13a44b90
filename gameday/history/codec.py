"""Events as lines, and lines as events.

    history.jsonl   {"actor","at_ns","data":{…},"kind":"StepStarted","prev":hex,"seq":n,"utc":text}
    segments/*      one sample, load bucket or ledger entry a line, canonical JSON

`prev` of a line is the SHA-256 of the line before it (without its newline); that of the first line
is made from the digests of the plan, of the register's checkpoint as it was seen at the start and of
the start's time stamp, so a history belongs to one plan and was not prepared beforehand.
"""

from __future__ import annotations

import hashlib
import re
import typing
from dataclasses import astuple, dataclass

from gameday.canonical import canonical, from_json, to_json
from gameday.errors import RecordError
from gameday.history.events import Command, LedgerEntry, Report, Sample
from gameday.history.loadevents import LoadBucket
from gameday.history.record import Record

STREAMS: dict[str, type[Sample | LoadBucket | LedgerEntry]] = {
    "samples": Sample,
    "load": LoadBucket,
    "ledger": LedgerEntry,
}
_PLAIN = re.compile(r"[ !#-\[\]-~]*").fullmatch  # What JSON spells as it is.
_KINDS: dict[str, type] = {cls.__name__: cls for cls in typing.get_args(Command | Report)}


@dataclass(frozen=True, slots=True)
class Roots:
    """What a history grows from, as hex digests; empty where there is none."""

    plan_sha256: str
    register_sha256: str = ""
    start_token_sha256: str = ""


def genesis(roots: Roots) -> str:
    """Return the `prev` of the first line of a history that grows from `roots`."""
    parts = (b"gameday-history-v2", *(part.encode("ascii") for part in astuple(roots)))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def line_digest(line: bytes) -> str:
    """Return the digest by which the next line names this one."""
    return hashlib.sha256(line).hexdigest()


def encode_record(record: Record, prev: str) -> bytes:
    """Return the line of a record, without its newline."""
    return canonical(
        {
            "actor": record.actor,
            "at_ns": record.at_ns,
            "data": to_json(record.event),
            "kind": type(record.event).__name__,
            "prev": prev,
            "seq": record.seq,
            "utc": record.utc,
        }
    )


def decode_record(data: object) -> tuple[Record, str]:
    """Return the record of a parsed line, and the `prev` it names.

    Raises:
        RecordError: The line is not a record of a known kind.
    """
    if not isinstance(data, dict) or set(data) != {"actor", "at_ns", "data", "kind", "prev", "seq", "utc"}:
        raise RecordError(f"not a history record: {str(data)[:80]}")
    cls = _KINDS.get(str(data["kind"]))
    if cls is None:
        raise RecordError(f"unknown kind of event {data['kind']!r}")
    for key, kind in (("actor", str), ("at_ns", int), ("prev", str), ("seq", int), ("utc", str)):
        if type(data[key]) is not kind:
            raise RecordError(f"{key} is {data[key]!r}, expected {kind.__name__}")
    event: Command | Report = from_json(cls, data["data"], f"record {data['seq']}")
    record = Record(data["seq"], data["at_ns"], data["utc"], data["actor"], event)
    return record, data["prev"]


def encode_item(item: Sample | LoadBucket | LedgerEntry) -> bytes:
    """Return the line of a segment item, newline included."""
    if isinstance(item, Sample) and _PLAIN(item.probe) and _PLAIN(item.detail):
        # A thousand of these a second must cost next to nothing; the form is the same.
        return (
            f'{{"detail":"{item.detail}","ended_ns":{item.ended_ns:d},"probe":"{item.probe}",'
            f'"reading":"{item.reading}","sent_ns":{item.sent_ns:d}}}\n'
        ).encode("ascii")
    return canonical(to_json(item)) + b"\n"
