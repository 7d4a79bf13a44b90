"""What segment files hold, as columns: a million samples must fit, and be judged in seconds.

    samples  {"detail","ended_ns","probe","reading","sent_ns"}
    load     {"load","start_ns","intended",…,"good","bad","dropped","latency":[[bucket, count], …]}
    ledger   {"number","mark","at_ns","sha256","occasion","count","detail"}

A sample's canonical form is one pattern, so a pattern reads it; any other line is no sample. Latency
buckets are kept as counts below the limits that the plan sets, never one by one. There is a limit on
everything that is kept; where it is reached, nothing is recomputed, and the line says so.
"""

from __future__ import annotations

import re
import sys
from array import array
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from .lines import Broken
from .strictjson import INT_MAX, canonical, get, maybe, parse_canonical

SAMPLES_MAX = 20_000_000
BUCKETS_MAX = 2_000_000
ENTRIES_MAX = 1_500_000
NAMES_MAX = 4096
BUCKET_NS = 100_000_000
GOOD, BAD, UNREADABLE = 0, 1, 2
NUMBERS = ("intended", "started", "late", "dropped", "good", "bad", "busy_ppm", "start_ns")
READINGS = {"good": GOOD, "bad": BAD, "unreadable": UNREADABLE}
PPM = 1_000_000
PERCENTILES_PPM = {"p50": 500_000, "p90": 900_000, "p95": 950_000, "p99": 990_000, "p999": 999_000}

_TEXT = r'"((?:[^"\\\x00-\x1f]|\\(?:["\\bfnrt]|u00[01][0-9a-f]))*)"'
_INT = r"(0|-?[1-9][0-9]{0,15})"
_SAMPLE = re.compile(
    rf'^\{{"detail":{_TEXT},"ended_ns":{_INT},"probe":{_TEXT},'
    rf'"reading":"(good|bad|unreadable)","sent_ns":{_INT}\}}\n',
    re.MULTILINE,
)


@dataclass(slots=True)
class Column:
    """The samples of one probe."""

    sent: array[int] = field(default_factory=lambda: array("q"))
    ended: array[int] = field(default_factory=lambda: array("q"))
    reading: bytearray = field(default_factory=bytearray)

    def by_sending(self) -> tuple[list[int], list[int], list[int]]:
        """Return sent, ended and reading in the order in which they were sent."""
        sent, ended, reading = self.sent.tolist(), self.ended.tolist(), list(self.reading)
        if all(a <= b for a, b in pairwise(sent)):
            return sent, ended, reading
        order = sorted(range(len(sent)), key=sent.__getitem__)
        return [sent[n] for n in order], [ended[n] for n in order], [reading[n] for n in order]


class Samples:
    """All samples, by probe."""

    def __init__(self) -> None:
        self.probes: dict[str, Column] = {}
        self.count = 0

    def take(self, text: str, where: str) -> None:
        """Take whole lines."""
        found = _SAMPLE.findall(text)
        if len(found) != text.count("\n"):
            raise Broken(f"{where}: a line is no sample in canonical form")
        self.count += len(found)
        if self.count > SAMPLES_MAX:
            raise Broken(f"{where}: more than {SAMPLES_MAX} samples")
        probes, readings = self.probes, READINGS
        for _, ended, probe, reading, sent in found:
            column = probes.get(probe)
            if column is None:
                column = self._new(probe, where)
            column.sent.append(int(sent))
            column.ended.append(int(ended))
            column.reading.append(readings[reading])

    def _new(self, name: str, where: str) -> Column:
        if len(self.probes) >= NAMES_MAX:
            raise Broken(f"{where}: more than {NAMES_MAX} probes")
        # The name as it stands in JSON; a name with escapes is written as it is there.
        return self.probes.setdefault(name, Column())

    def of(self, name: str) -> Column:
        """Return the samples of a probe; empty when there are none."""
        return self.probes.get(canonical(name).decode("utf-8")[1:-1], Column())


@dataclass(frozen=True, slots=True)
class Level:
    """A service level over the load: its percentile's share, and the latency it must stay below."""

    name: str
    share_ppm: int | None
    below_ns: int


@dataclass(slots=True)
class Total:
    """What one load did in all."""

    intended: int = 0
    started: int = 0
    late: int = 0
    dropped: int = 0
    good: int = 0
    bad: int = 0
    busy_ppm: int = 0
    last_ns: int = 0

    def add(self, bucket: dict[str, int]) -> None:
        """Add a bucket of the same load."""
        self.intended += bucket["intended"]
        self.started += bucket["started"]
        self.late += bucket["late"]
        self.dropped += bucket["dropped"]
        self.good += bucket["good"]
        self.bad += bucket["bad"]
        self.busy_ppm = max(self.busy_ppm, bucket["busy_ppm"])
        self.last_ns = max(self.last_ns, bucket["start_ns"] + BUCKET_NS)


@dataclass(slots=True)
class Answers:
    """What one load's requests came to, bucket by bucket; and whether any of them had a name."""

    start: array[int] = field(default_factory=lambda: array("q"))
    good: array[int] = field(default_factory=lambda: array("q"))
    failed: array[int] = field(default_factory=lambda: array("q"))
    is_named: bool = False


class Loads:
    """Load buckets of 100 ms: totals by load, and columns over all of them for windows of time."""

    def __init__(self, levels: list[Level]) -> None:
        self.levels = levels
        self.totals: dict[str, Total] = {}
        self.answers: dict[str, Answers] = {}
        self.load: list[str] = []
        self.start, self.good, self.valid, self.counted = array("q"), array("q"), array("q"), array("q")
        self.source = array("q")  # Which load and generator each bucket is of.
        self._sources: dict[tuple[str, int], int] = {}
        self.below = {level.name: array("q") for level in levels}
        self._edges: dict[int, float] = {}

    def take(self, text: str, where: str) -> None:
        """Take whole lines."""
        for line in text.split("\n")[:-1]:
            data = parse_canonical(line.encode("utf-8"), where)
            if len(self.start) >= BUCKETS_MAX or len(self.totals) > NAMES_MAX:
                raise Broken(f"{where}: more than {BUCKETS_MAX} buckets or {NAMES_MAX} loads")
            number = {key: get(data, key, int, where) for key in NUMBERS}
            load = sys.intern(get(data, "load", str, where))
            self.load.append(load)
            self.totals.setdefault(load, Total()).add(number)
            self._note_source(load, maybe(data, "generator", int, where) or 0, where)
            answers = self.answers.setdefault(load, Answers())
            answers.start.append(number["start_ns"])
            answers.good.append(number["good"])
            answers.failed.append(number["bad"] + number["dropped"])
            answers.is_named |= bool(maybe(data, "endpoints", list, where))
            self.start.append(number["start_ns"])
            self.good.append(number["good"])
            self.valid.append(number["good"] + number["bad"] + number["dropped"])
            self._latency(get(data, "latency", list, where), where)

    def _note_source(self, load: str, generator: int, where: str) -> None:
        if (load, generator) not in self._sources and len(self._sources) >= NAMES_MAX:
            raise Broken(f"{where}: more than {NAMES_MAX} generators")
        self.source.append(self._sources.setdefault((load, generator), len(self._sources)))

    def _latency(self, pairs: list[Any], where: str) -> None:
        counted = 0
        below = dict.fromkeys(self.below, 0)
        for pair in pairs:
            if (
                type(pair) is not list
                or len(pair) != 2
                or type(pair[0]) is not int
                or type(pair[1]) is not int
            ):
                raise Broken(f"{where}: latency is no list of bucket and count")
            counted += pair[1]
            edge_ns = self._edge_ns(pair[0], where)
            for level in self.levels:
                if edge_ns < level.below_ns:
                    below[level.name] += pair[1]
        if abs(counted) > INT_MAX:
            raise Broken(f"{where}: more latencies than can be counted")
        self.counted.append(counted)
        for name, count in below.items():
            self.below[name].append(count)

    def _edge_ns(self, bucket: int, where: str) -> float:
        """Return the upper edge of a bucket: 128 of them for each power of two of a microsecond."""
        if not 0 <= bucket < 128 * 64:
            raise Broken(f"{where}: there is no latency bucket {bucket}")
        if bucket not in self._edges:
            self._edges[bucket] = (0.5 + (bucket % 128 + 1) / 256) * 2.0 ** (bucket // 128) * 1000
        return self._edges[bucket]


@dataclass(slots=True)
class Write:
    """One numbered write: when it was sent, what it held, and what became of it."""

    sent_ns: int
    sha256: str
    mark: str = "unknown"
    acked_ns: int | None = None


@dataclass(slots=True)
class Ledger:
    """Every numbered write to one store, and what each read-back found there."""

    writes: dict[int, Write] = field(default_factory=dict)
    present: dict[str, dict[int, str]] = field(default_factory=dict)
    twice: dict[str, int] = field(default_factory=dict)

    def found(self, data: Any, number: int, sha256: str, where: str) -> None:
        """Take what a read-back found."""
        occasion = get(data, "occasion", str, where)
        if occasion not in self.present and len(self.present) >= NAMES_MAX:
            raise Broken(f"{where}: more than {NAMES_MAX} occasions")
        found = self.present.setdefault(occasion, {})
        twice = get(data, "count", int, where) > 1 or number in found
        self.twice[occasion] = self.twice.get(occasion, 0) + twice
        found[number] = sha256


class Ledgers:
    """The ledgers of all stores, by name; a plan's only one has none."""

    def __init__(self) -> None:
        self._stores: dict[str, Ledger] = {}
        self.count = 0

    def of(self, name: str) -> Ledger:
        """Return the ledger of a store; an empty one when nothing was written to it."""
        return self._stores.get(name, Ledger())

    def take(self, text: str, where: str) -> None:
        """Take whole lines."""
        for line in text.split("\n")[:-1]:
            data = parse_canonical(line.encode("utf-8"), where)
            self.count += 1
            if self.count > ENTRIES_MAX:
                raise Broken(f"{where}: more than {ENTRIES_MAX} entries")
            number, at_ns = get(data, "number", int, where), get(data, "at_ns", int, where)
            mark, sha256 = get(data, "mark", str, where), get(data, "sha256", str, where)
            name = maybe(data, "ledger", str, where) or ""
            if name not in self._stores and len(self._stores) >= NAMES_MAX:
                raise Broken(f"{where}: more than {NAMES_MAX} ledgers")
            store = self._stores.setdefault(name, Ledger())
            if mark == "intent":
                store.writes[number] = Write(at_ns, sha256)
            elif mark == "present":
                store.found(data, number, sha256, where)
            elif mark not in ("acked", "failed", "unknown"):
                raise Broken(f"{where}: {mark!r} is no mark of a write")
            elif number in store.writes:
                write = store.writes[number]
                write.mark, write.acked_ns = mark, at_ns if mark == "acked" else None
