"""A running drill as a view sees it: the same fold as the engine's, fed from the files.

What the files say is taken as it comes: a torn line waits, a damaged one is passed over, a step the
plan does not know is left out. A view that stumbles shows less; it never stops because of a record.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from gameday.canonical import from_json
from gameday.console.tail import Tail
from gameday.engine.apply import apply
from gameday.engine.state import State, begin
from gameday.errors import RecordError
from gameday.evidence.narrate import narrate
from gameday.history.codec import decode_record
from gameday.history.events import (
    ClockRead,
    Effect,
    Event,
    RunEnded,
    RunnerLost,
    RunStarted,
    Sample,
    StepEnded,
)
from gameday.history.loadevents import LoadBucket
from gameday.history.record import Record
from gameday.history.store import HISTORY, SEGMENTS
from gameday.plan.model import Plan
from gameday.plan.stored import read_plan

RECENT_NS = 2_000_000_000
NOTES_KEPT = 6


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that happened, in words."""

    at_ns: int
    topic: str
    words: str


@dataclass(slots=True)
class Follower:
    """Folds what the files of a run have grown by, and keeps a little of the recent past."""

    run_dir: Path
    plan: Plan
    state: State
    run: str = ""
    origin_boot_ns: int = 0
    wall_minus_boot_ns: int = 0
    ended: RunEnded | None = None
    ended_ns: int = 0
    recent: deque[LoadBucket] = field(default_factory=deque)
    effects: dict[str, Effect] = field(default_factory=dict)
    readings: Counter[tuple[str, str]] = field(default_factory=Counter)  # samples by probe and reading
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)  # of each load: good, bad, dropped
    last_ns: int = 0
    notes: deque[Note] = field(default_factory=lambda: deque(maxlen=NOTES_KEPT))
    _history: Tail = field(init=False)
    _samples: Tail = field(init=False)
    _load: Tail = field(init=False)

    def __post_init__(self) -> None:
        self._history = Tail(self.run_dir / HISTORY)
        self._samples = Tail(self.run_dir / SEGMENTS / "samples.jsonl")
        self._load = Tail(self.run_dir / SEGMENTS / "load.jsonl")

    @classmethod
    def of(cls, run_dir: Path) -> Self:
        """Return a follower of a run folder.

        Raises:
            RecordError: It holds no plan.
        """
        plan = read_plan(run_dir)
        return cls(run_dir, plan, begin(plan))

    def read(self) -> list[Record]:
        """Take in what is new; return the records among it."""
        records: list[Record] = []
        for item in self._history.read():
            try:
                record, _ = decode_record(item)
            except RecordError:
                continue
            records.append(record)
            self._take(record)
        for item in self._samples.read():
            self._sample(item)
        for item in self._load.read():
            self._bucket(item)
        return records

    def wall_ns(self, at_ns: int) -> int:
        """Return an instant of the run as nanoseconds of Unix time, by the last reading of the clock."""
        return at_ns + self.origin_boot_ns + self.wall_minus_boot_ns

    @property
    def stuck(self) -> tuple[str, ...]:
        """The steps whose undo is stuck, by the fold or by what the end of the run says."""
        ended = self.ended.stuck if self.ended is not None else ()
        known = (name for name in (*self.state.stuck, *ended) if name in self.state.script.steps)
        return tuple(dict.fromkeys(known))

    def drain(self) -> list[Record]:
        """Take in everything that is there; return the records among it."""
        records: list[Record] = []
        while new := self.read():
            records += new
        return records

    def _take(self, record: Record) -> None:
        match record.event:
            case RunStarted() as event if event.origin_boot_ns.isdecimal():
                self.run, self.origin_boot_ns = event.run, int(event.origin_boot_ns)
            case ClockRead() as event:
                self.wall_minus_boot_ns = int(event.wall_minus_boot_ns)
            case RunEnded() as event:
                self.ended, self.ended_ns = event, record.at_ns
            case StepEnded() as event:
                self.effects[event.step] = event.effect
            case RunnerLost():
                self.ended = None  # Somebody goes on with a run that was thought over.
            case _:
                pass
        self.last_ns = record.at_ns
        said = narrate(self.plan, record.event)
        if said is not None:
            self._tell(Note(record.at_ns, *said))
        self._fold(record.at_ns, record.event)

    def _tell(self, note: Note) -> None:
        self.notes.append(note)

    def _fold(self, at_ns: int, event: Event) -> None:
        named = getattr(event, "step", None)
        if named is None or named in self.state.script.steps:
            self.state = apply(self.state, at_ns, event)

    def _sample(self, item: object) -> None:
        try:
            sample = from_json(Sample, item)
        except RecordError:
            return
        self._count_sample(sample)

    def _count_sample(self, sample: Sample) -> None:
        self.readings[sample.probe, str(sample.reading)] += 1
        self._fold(sample.ended_ns, sample)

    def _bucket(self, item: object) -> None:
        try:
            bucket = from_json(LoadBucket, item)
        except RecordError:
            return
        self._count_bucket(bucket)

    def _count_bucket(self, bucket: LoadBucket) -> None:
        self._fold(bucket.start_ns, bucket)
        for result, number in (("good", bucket.good), ("bad", bucket.bad), ("dropped", bucket.dropped)):
            self.requests[bucket.load, result] += number
        self.recent.append(bucket)
        while self.recent[0].start_ns <= bucket.start_ns - RECENT_NS:
            self.recent.popleft()
