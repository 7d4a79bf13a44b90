"""Read a history back, after anything: a crash, a full disk, a person with an editor.

Reading never raises for what stands in the files of a run; it reports. Whatever belongs to no whole
line is counted as torn, and every break of the chain or of a segment's digest is named.
"""

from __future__ import annotations

import gc
import hashlib
import io
import json
import os
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from gameday.errors import HistoryError, RecordError
from gameday.history.codec import STREAMS, Roots, decode_record, genesis, line_digest
from gameday.history.events import LedgerEntry, RunStarted, Sample, SegmentSealed
from gameday.history.fastread import CHUNK_BYTES, read_items
from gameday.history.loadevents import LoadBucket
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
    with _no_collection():
        for stream, cls in STREAMS.items():
            path = run_dir / SEGMENTS / f"{stream}.jsonl"
            mine = [seal for seal in seals if seal.stream == stream]
            loaded[stream], size, whole = _segment(cls, path, stream, mine, faults)
            torn += size - whole
    return Trace(
        records=bare.records,
        samples=typing.cast("tuple[Sample, ...]", loaded["samples"]),
        load=typing.cast("tuple[LoadBucket, ...]", loaded["load"]),
        ledger=typing.cast("tuple[LedgerEntry, ...]", loaded["ledger"]),
        torn=torn,
        faults=tuple(faults),
    )


def roots_of(first: RunStarted) -> Roots:
    """Return what a history grows from, as its first record says."""
    return Roots(first.plan_sha256, first.register_sha256, first.start_token_sha256)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Look for no garbage while a million records are made, none of which is any."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _segment(
    cls: type[Item], path: Path, stream: str, seals: list[SegmentSealed], faults: list[str]
) -> tuple[tuple[Item, ...], int, int]:
    """Return what a segment holds, its size and its last whole line's end; add what is wrong to `faults`.

    It is read piece by piece: of a large file only its records stay in memory.
    """
    if not path.exists():
        faults += _segment_faults(stream, io.BytesIO(), 0, seals)
        return (), 0, 0
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        faults += _segment_faults(stream, file, size, seals)
        whole = _whole_end(file, size)
        file.seek(0)
        items: list[Item] = []
        for number, item in read_items(cls, file, whole):
            if isinstance(item, str):
                faults.append(f"segments/{stream}.jsonl:{number}: {item}")
            else:
                items.append(item)
        return tuple(items), size, whole


def _whole_end(file: BinaryIO, size: int) -> int:
    """Return where the last whole line of a file ends."""
    end = size
    while end > 0:
        start = max(end - CHUNK_BYTES, 0)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


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


def _segment_faults(stream: str, file: BinaryIO, size: int, seals: list[SegmentSealed]) -> list[str]:
    faults = []
    at = 0
    for seal in seals:
        if seal.start_byte != at:
            faults.append(f"segments/{stream}.jsonl: a slice begins at {seal.start_byte}, expected {at}")
        if not 0 <= seal.start_byte <= seal.end_byte <= size or _digest(file, seal) != seal.sha256:
            faults.append(f"segments/{stream}.jsonl: bytes {at} to {seal.end_byte} are not what was sealed")
        at = seal.end_byte
    return faults


def _digest(file: BinaryIO, seal: SegmentSealed) -> str:
    """Return the digest of a slice, read in pieces."""
    file.seek(seal.start_byte)
    found, left = hashlib.sha256(), seal.end_byte - seal.start_byte
    while left > 0:
        piece = file.read(min(left, CHUNK_BYTES))
        if not piece:
            break
        found.update(piece)
        left -= len(piece)
    return found.hexdigest()
