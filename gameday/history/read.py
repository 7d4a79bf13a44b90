"""Read a history back, after anything: a crash, a full disk, a person with an editor.

Reading never raises for what stands in the files of a run; it reports. Whatever belongs to no whole
line is counted as torn, and every break of the chain or of a segment's digest is named.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from gameday.canonical import from_json
from gameday.errors import HistoryError, RecordError
from gameday.history.codec import STREAMS, Roots, decode_record, genesis, line_digest
from gameday.history.events import LedgerEntry, LoadBucket, RunStarted, Sample, SegmentSealed
from gameday.history.record import Record, Trace
from gameday.history.store import HISTORY, SEGMENTS

Item = Sample | LoadBucket | LedgerEntry


def read_records(run_dir: Path) -> Trace:
    """Return the chained records of a run, without what its segments hold."""
    path = run_dir / HISTORY
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HistoryError(
            f"{path}: {error.strerror}", todo="`gameday runs` lists the runs of this project."
        ) from error
    whole = data.rfind(b"\n") + 1
    records, faults = _chain(data[:whole])
    return Trace(records=tuple(records), torn=len(data) - whole, faults=tuple(faults))


def read_trace(run_dir: Path) -> Trace:
    """Return everything a run left.

    Raises:
        HistoryError: There is no history in `run_dir`.
    """
    bare = read_records(run_dir)
    seals = [record.event for record in bare.records if isinstance(record.event, SegmentSealed)]
    faults, torn = list(bare.faults), bare.torn
    loaded: dict[str, tuple[Item, ...]] = {}
    for stream, cls in STREAMS.items():
        path = run_dir / SEGMENTS / f"{stream}.jsonl"
        data = path.read_bytes() if path.exists() else b""
        faults += _segment_faults(stream, data, [seal for seal in seals if seal.stream == stream])
        whole = data.rfind(b"\n") + 1
        torn += len(data) - whole
        loaded[stream] = _items(cls, stream, data[:whole], faults)
    return Trace(
        records=bare.records,
        samples=tuple(item for item in loaded["samples"] if isinstance(item, Sample)),
        load=tuple(item for item in loaded["load"] if isinstance(item, LoadBucket)),
        ledger=tuple(item for item in loaded["ledger"] if isinstance(item, LedgerEntry)),
        torn=torn,
        faults=tuple(faults),
    )


def roots_of(first: RunStarted) -> Roots:
    """Return what a history grows from, as its first record says."""
    return Roots(first.plan_sha256, first.register_sha256, first.start_token_sha256)


def _chain(data: bytes) -> tuple[list[Record], list[str]]:
    records: list[Record] = []
    faults: list[str] = []
    expected = ""
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            record, prev = decode_record(json.loads(line))
        except (ValueError, RecordError) as error:
            faults.append(f"{HISTORY}:{number}: not a record: {error}")
            expected = line_digest(line)
            continue
        if number == 1 and isinstance(record.event, RunStarted):
            expected = genesis(roots_of(record.event))
        if prev != expected:
            faults.append(f"{HISTORY}:{number}: the chain is broken before record {record.seq}")
        if record.seq != number:
            faults.append(f"{HISTORY}:{number}: record {record.seq} stands in place {number}")
        records.append(record)
        expected = line_digest(line)
    return records, faults


def _segment_faults(stream: str, data: bytes, seals: list[SegmentSealed]) -> list[str]:
    faults = []
    at = 0
    for seal in seals:
        if seal.start_byte != at:
            faults.append(f"segments/{stream}.jsonl: a slice begins at {seal.start_byte}, expected {at}")
        found = hashlib.sha256(data[seal.start_byte : seal.end_byte]).hexdigest()
        if found != seal.sha256 or seal.end_byte > len(data):
            faults.append(f"segments/{stream}.jsonl: bytes {at} to {seal.end_byte} are not what was sealed")
        at = seal.end_byte
    return faults


def _items(cls: type[Item], stream: str, data: bytes, faults: list[str]) -> tuple[Item, ...]:
    items: list[Item] = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            items.append(from_json(cls, json.loads(line)))
        except (ValueError, RecordError) as error:
            faults.append(f"segments/{stream}.jsonl:{number}: {error}")
    return tuple(items)
