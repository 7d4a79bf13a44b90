"""A running drill as a view sees it: the same fold as the engine's, fed from the files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gameday.canonical import from_json
from gameday.console.tail import Tail
from gameday.engine.apply import apply
from gameday.engine.state import State, begin
from gameday.errors import RecordError
from gameday.history.codec import decode_record
from gameday.history.events import LoadBucket, RunEnded, RunStarted, Sample
from gameday.history.record import Record
from gameday.history.store import HISTORY, SEGMENTS
from gameday.plan.model import Plan
from gameday.plan.stored import read_plan

RECENT_NS = 2_000_000_000


@dataclass(slots=True)
class Follower:
    """Folds what the files of a run have grown by, and keeps a little of the recent load."""

    run_dir: Path
    plan: Plan
    state: State
    run: str = ""
    origin_boot_ns: int = 0
    ended: RunEnded | None = None
    recent: list[LoadBucket] = field(default_factory=list)
    bad: dict[str, int] = field(default_factory=dict)
    _history: Tail = field(init=False)
    _samples: Tail = field(init=False)
    _load: Tail = field(init=False)

    def __post_init__(self) -> None:
        self._history = Tail(self.run_dir / HISTORY)
        self._samples = Tail(self.run_dir / SEGMENTS / "samples.jsonl")
        self._load = Tail(self.run_dir / SEGMENTS / "load.jsonl")

    @classmethod
    def of(cls, run_dir: Path) -> Follower:
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

    def _take(self, record: Record) -> None:
        match record.event:
            case RunStarted() as event:
                self.run, self.origin_boot_ns = event.run, int(event.origin_boot_ns)
            case RunEnded() as event:
                self.ended = event
            case _:
                pass
        self.state = apply(self.state, record.at_ns, record.event)

    def _sample(self, item: object) -> None:
        try:
            sample = from_json(Sample, item)
        except RecordError:
            return
        self.bad[sample.probe] = self.bad.get(sample.probe, 0) + (sample.reading == "bad")
        self.state = apply(self.state, sample.ended_ns, sample)

    def _bucket(self, item: object) -> None:
        try:
            bucket = from_json(LoadBucket, item)
        except RecordError:
            return
        self.state = apply(self.state, bucket.start_ns, bucket)
        self.recent.append(bucket)
        oldest_ns = bucket.start_ns - RECENT_NS
        self.recent = [b for b in self.recent if b.start_ns > oldest_ns]
