"""The data of a simulated drill: numbered writes against two stores that replicate, or do not.

One authority, A, commits until `lost_ns`; what it committed reaches the other, B, a lag later. From
`back_ns` on B commits. A write commits at one instant of its flight; its acknowledgement may be lost.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from gameday.history.events import LedgerEntry, LedgerMark

MS = 1_000_000
DIRT = ("phantom", "duplicate", "corrupt")


@dataclass(frozen=True)
class Stores:
    """What happens to the data. `applied_ns`: what A committed up to then is in B when A is lost."""

    mode: str  # async | sync | restart | split
    lost_ns: int  # A stops replicating; it stops committing too, unless the brain is split
    fenced_ns: int  # A answers nobody any more
    back_ns: int | None  # B takes over; None: never
    applied_ns: int
    every_ns: int
    timeout_ns: int
    jitter_ns: int
    first_ns: int
    last_ns: int
    quiet: tuple[tuple[str, int, int], ...]  # (occasion, silent from, read at)
    holes_ppm: int
    dirt: frozenset[str]
    refuses: bool


@dataclass
class Data:
    """The ledger that the drill left, and what is true of it at each read-back."""

    entries: list[LedgerEntry] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    lost_back_ns: int | None = None  # The commit of the earliest acknowledged write that is gone.
    first_commit_ns: int | None = None
    survivors: int = 0  # Acknowledged by A, and there after the failover.


@dataclass
class _Write:
    number: int
    sent_ns: int
    commit_ns: int | None
    by_a: bool
    mark: LedgerMark
    ended_ns: int
    is_there: bool = False
    is_hole: bool = False


def make_data(stores: Stores, dice: random.Random) -> Data:
    """Return the ledger of a drill, in the order in which its lines were written."""
    writes = _writes(stores, dice)
    for write in writes:
        if write.commit_ns is None:
            continue
        write.is_there = not write.by_a or write.commit_ns <= stores.applied_ns
        if write.is_there and write.by_a and dice.randrange(1_000_000) < stores.holes_ppm:
            write.is_there, write.is_hole = False, True
    data = Data()
    for write in writes:
        sha = f"{write.number:064x}"
        data.entries.append(LedgerEntry(write.number, LedgerMark.INTENT, write.sent_ns, sha))
        detail = "" if write.mark is LedgerMark.ACKED else "no answer"
        data.entries.append(LedgerEntry(write.number, write.mark, write.ended_ns, sha, detail=detail))
    dirty = _dirty(stores, writes, dice)
    for occasion, _, read_ns in stores.quiet:
        _read_back(data, writes, occasion, read_ns, dirty)
    data.entries.sort(key=lambda entry: entry.at_ns)
    mine = [w for w in writes if w.by_a and w.mark is LedgerMark.ACKED]
    gone = [w.commit_ns for w in mine if not w.is_there and w.commit_ns is not None]
    data.lost_back_ns = min(gone, default=None)
    data.first_commit_ns = min((w.commit_ns for w in mine if w.commit_ns is not None), default=None)
    data.survivors = sum(w.is_there for w in mine)
    return data


def _writes(stores: Stores, dice: random.Random) -> list[_Write]:
    writes: list[_Write] = []
    due_ns = stores.first_ns
    while due_ns < stores.last_ns:
        sent_ns = due_ns + dice.randint(0, stores.jitter_ns)
        due_ns += stores.every_ns
        if any(silent <= sent_ns + stores.timeout_ns and sent_ns <= read for _, silent, read in stores.quiet):
            continue
        writes.append(_one(stores, len(writes) + 1, sent_ns, dice))
    return writes


def _one(stores: Stores, number: int, sent_ns: int, dice: random.Random) -> _Write:
    slow = dice.random() < 0.05
    took_ns = dice.randint(MS, max(stores.timeout_ns * (95 if slow else 25) // 100, 2 * MS))
    took_ns = min(took_ns, stores.timeout_ns)
    arrives_ns = sent_ns + dice.randint(0, took_ns)
    a_until_ns = stores.fenced_ns if stores.mode == "split" else stores.lost_ns
    hangs_ns = sent_ns + stores.timeout_ns
    if stores.back_ns is not None and arrives_ns >= stores.back_ns:
        return _Write(number, sent_ns, arrives_ns, False, LedgerMark.ACKED, sent_ns + took_ns)
    if arrives_ns >= a_until_ns:
        if stores.refuses:
            return _Write(number, sent_ns, None, True, LedgerMark.FAILED, arrives_ns + MS)
        return _Write(number, sent_ns, None, True, LedgerMark.UNKNOWN, hangs_ns)
    # Committed by A. In synchronous mode it acknowledges once B has it; its answer may die with it.
    answers_ns = dice.randint(arrives_ns, sent_ns + took_ns)
    if answers_ns >= a_until_ns or (stores.mode == "sync" and arrives_ns > stores.applied_ns):
        return _Write(number, sent_ns, arrives_ns, True, LedgerMark.UNKNOWN, hangs_ns)
    return _Write(number, sent_ns, arrives_ns, True, LedgerMark.ACKED, sent_ns + took_ns)


def _dirty(stores: Stores, writes: list[_Write], dice: random.Random) -> dict[int, str]:
    """Choose writes that are there though they failed, there twice, or there changed."""
    found: dict[int, str] = {}
    there = [w.number for w in writes if w.is_there and w.by_a]
    failed = [w.number for w in writes if w.mark is LedgerMark.FAILED]
    for kind in sorted(stores.dirt):
        if kind == "phantom":
            found[dice.choice(failed) if failed and dice.random() < 0.5 else 1_000_000] = kind
            continue
        clean = [number for number in there if number not in found]
        if clean:
            found[dice.choice(clean)] = kind
    return found


def _read_back(data: Data, writes: list[_Write], occasion: str, read_ns: int, dirty: dict[int, str]) -> None:
    counts = dict.fromkeys(
        ("acked", "lost", "unknown_recovered", "unknown_lost", "phantom", "duplicate", "corrupt"), 0
    )
    there = set()
    for write in (w for w in writes if w.sent_ns < read_ns):
        acked, unknown = write.mark is LedgerMark.ACKED, write.mark is LedgerMark.UNKNOWN
        counts["acked"] += acked
        counts["lost"] += acked and not write.is_there
        counts["unknown_recovered"] += unknown and write.is_there
        counts["unknown_lost"] += unknown and not write.is_there
        if write.is_there:
            there.add(write.number)
    for number, kind in dirty.items():
        if kind == "phantom" and (number == 1_000_000 or writes[number - 1].sent_ns < read_ns):
            there.add(number)
            counts["phantom"] += 1
        elif number in there:
            counts[kind] += 1
    for number in sorted(there):
        kind = dirty.get(number, "")
        sha = "f" * 64 if kind == "corrupt" else f"{number:064x}"
        count = 2 if kind == "duplicate" else 1
        data.entries.append(LedgerEntry(number, LedgerMark.PRESENT, read_ns, sha, occasion, count))
    data.counts[occasion] = counts
