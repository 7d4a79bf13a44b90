"""The history: one chain of records, and the slices of the segment files that enter it by digest.

    prev of line 1   SHA-256("gameday-history-v2" NUL plan_sha256 NUL register_sha256 NUL start_token_sha256)
    prev of line n   SHA-256(line n - 1, without its newline)
    SegmentSealed    SHA-256 of segments/STREAM.jsonl from start_byte to end_byte

Read once, as streams: when the chain names a slice, that slice is read, digested and taken apart, so
that no more than a block of any file is in memory and what is recomputed is what was sealed. A record
is kept only if something is judged by it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

from .folder import BLOCK, Folder, Stream
from .lines import Broken, Line
from .segments import Ledgers, Level, Loads, Samples
from .strictjson import get, parse_canonical

LINE_MAX = 1 << 20
LINES_MAX = 2_000_000
KEPT_MAX = 32 << 20
HISTORY = "history.jsonl"
KEPT = {
    "RunStarted", "StepStarted", "StepEnded", "UndoStarted", "UndoEnded", "PhaseChanged", "Halted",
    "RunEnded", "RunnerLost", "LedgerRead", "ClockRead", "LoadReported", "TargetsResolved", "ApprovalGiven",
    "TimeStamped", "LoadAsked", "TrialStarted", "TrialEnded", "ExperimentEnded", "ActivityEnded",
    "ManualReported",
}  # fmt: skip
_KEYS = {"actor", "at_ns", "data", "kind", "prev", "seq", "utc"}
_STREAM = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Record:
    """One record that something is judged by. `data` is as it stands in the line."""

    seq: int
    at_ns: int
    utc: str
    kind: str
    data: dict[str, Any]


@dataclass(slots=True)
class History:
    """What the chain and the segments hold."""

    records: list[Record] = field(default_factory=list)
    digests: bytearray = field(default_factory=bytearray)
    samples: Samples = field(default_factory=Samples)
    loads: Loads = field(default_factory=lambda: Loads([]))
    ledger: Ledgers = field(default_factory=Ledgers)
    last_ns: int = 0
    last_utc: str = ""
    last_kind: str = ""
    is_sound: bool = False
    too_much: str = ""

    @property
    def count(self) -> int:
        """How many lines the chain has."""
        return len(self.digests) // 32

    def digest(self, seq: int) -> str:
        """Return the digest of line `seq`, the first being 1; empty where there is none."""
        return self.digests[32 * seq - 32 : 32 * seq].hex() if 0 < seq <= self.count else ""

    @property
    def head(self) -> str:
        """The digest of the last line; empty when there is none."""
        return self.digest(self.count)

    def all(self, *kinds: str) -> list[Record]:
        """Return the records of some kinds, in order."""
        return [record for record in self.records if record.kind in kinds]

    def first(self, kind: str) -> Record | None:
        """Return the first record of a kind."""
        return next((record for record in self.records if record.kind == kind), None)

    @property
    def is_whole(self) -> bool:
        """Tell whether the run ended as runs do: its runner was never lost and wrote the last record."""
        return self.last_kind == "RunEnded" and self.first("RunnerLost") is None


def genesis(started: dict[str, Any], where: str) -> str:
    """Return the `prev` of the first line."""
    parts = ["gameday-history-v2"]
    parts += [
        get(started, key, str, where) for key in ("plan_sha256", "register_sha256", "start_token_sha256")
    ]
    return hashlib.sha256("\0".join(parts).encode("utf-8")).hexdigest()


def read_history(folder: Folder, line: Line, levels: list[Level]) -> History:
    """Read chain and segments. What is wrong goes to `line`; whatever could be read is returned."""
    history = History(loads=Loads(levels))
    reader = _Reader(folder, history, line)
    try:
        with line.guard(HISTORY):
            reader.chain()
            reader.rest()
            history.is_sound = not line.problems
    finally:
        for slices in reader.slices.values():
            slices.stream.close()
    return history


class _Slices:
    """One segment file, read slice by slice."""

    def __init__(self, stream: Stream, into: Samples | Loads | Ledgers | None, history: History) -> None:
        self.stream, self._into, self._history = stream, into, history

    def take(self, count: int | None) -> str:
        """Read `count` bytes (None: to the end), hand whole lines on, and return their SHA-256."""
        sha256, rest, path = hashlib.sha256(), b"", self.stream.path
        whole = count is not None or self._history.is_whole
        while count is None or count > 0:
            block = self.stream.read(BLOCK if count is None else min(count, BLOCK))
            if not block:
                break
            sha256.update(block)
            count = None if count is None else count - len(block)
            cut = block.rfind(b"\n") + 1
            if cut:
                self._hand_on(rest + block[:cut], path)
                rest = block[cut:]
            else:
                rest += block
            if len(rest) > LINE_MAX:
                raise Broken(f"{path}: a line is longer than {LINE_MAX} bytes")
        if rest and whole:
            raise Broken(f"{path}: a slice ends within a line")
        return sha256.hexdigest()

    def _hand_on(self, data: bytes, path: str) -> None:
        if self._into is None or self._history.too_much:
            return
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise Broken(f"{path}: is not UTF-8") from None
        try:
            self._into.take(text, path)
        except Broken as error:
            if "more than" not in str(error):
                raise
            self._history.too_much = str(error)  # Still digested, but not recomputed.


class _Reader:
    """Follows the chain, and reads each slice when its record comes."""

    def __init__(self, folder: Folder, history: History, line: Line) -> None:
        self._folder, self._history, self._line = folder, history, line
        self.slices: dict[str, _Slices] = {}
        self._kept = 0

    def chain(self) -> None:
        prev = ""
        for seq, (raw, whole) in enumerate(self._folder.lines(HISTORY, LINE_MAX), start=1):
            if not whole:
                if self._history.is_whole:
                    self._line.fail(f"{HISTORY}: ends in half a line")
                return
            if seq > LINES_MAX:
                raise Broken(f"{HISTORY}: has more than {LINES_MAX} lines")
            prev = self._record(raw, seq, prev)

    def _record(self, raw: bytes, seq: int, expected: str) -> str:
        where = f"{HISTORY}:{seq}"
        data = parse_canonical(raw, where)
        if not isinstance(data, dict) or set(data) != _KEYS:
            raise Broken(f"{where}: is no record")
        kind, body = get(data, "kind", str, where), get(data, "data", dict, where)
        at_ns, utc = get(data, "at_ns", int, where), get(data, "utc", str, where)
        if seq == 1:
            if kind != "RunStarted":
                raise Broken(f"{where}: the first record is {kind!r}, not RunStarted")
            expected = genesis(body, where)
        elif kind == "RunStarted":
            raise Broken(f"{where}: a second RunStarted")
        if get(data, "prev", str, where) != expected:
            raise Broken(f"{where}: the chain is broken before this record")
        if get(data, "seq", int, where) != seq:
            raise Broken(f"{where}: record {data['seq']} stands in place {seq}")
        history = self._history
        history.digests += (digest := hashlib.sha256(raw)).digest()
        history.last_ns, history.last_utc, history.last_kind = max(history.last_ns, at_ns), utc, kind
        if kind == "SegmentSealed":
            self._slice(body, where)
        elif kind in KEPT:
            self._kept += len(raw)
            if self._kept > KEPT_MAX:
                raise Broken(f"{HISTORY}: holds more records than can be kept")
            history.records.append(Record(seq, at_ns, utc, kind, body))
        return digest.hexdigest()

    def _slices(self, stream: str) -> _Slices:
        if stream not in self.slices:
            history = self._history
            known: dict[str, Samples | Loads | Ledgers] = {
                "samples": history.samples, "load": history.loads, "ledger": history.ledger,
            }  # fmt: skip
            opened = self._folder.open(f"segments/{stream}.jsonl")
            self.slices[stream] = _Slices(opened, known.get(stream), history)
        return self.slices[stream]

    def _slice(self, body: dict[str, Any], where: str) -> None:
        stream = get(body, "stream", str, where)
        if not _STREAM.match(stream) or len(self.slices) > 64:
            raise Broken(f"{where}: {stream!r} is no stream")
        slices = self._slices(stream)
        start, end = get(body, "start_byte", int, where), get(body, "end_byte", int, where)
        if start != slices.stream.at or end < start:
            raise Broken(f"{where}: a slice of {stream} begins at {start}, expected {slices.stream.at}")
        found = slices.take(end - start)
        if slices.stream.at != end or found != get(body, "sha256", str, where):
            raise Broken(
                f"segments/{stream}.jsonl: bytes {start} to {end} are not what record {where} sealed"
            )

    def rest(self) -> None:
        """Read what follows the last slices: nothing after a whole run, unsealed data after a crash."""
        for path in self._folder.files()[0]:
            room, _, name = path.rpartition("/")
            if room != "segments" or not name.endswith(".jsonl"):
                continue
            slices = self._slices(name.removesuffix(".jsonl"))
            sealed = slices.stream.at
            slices.take(None)
            if slices.stream.at != sealed and self._history.is_whole:
                self._line.fail(f"{path}: {slices.stream.at - sealed} bytes at its end were never sealed")
