"""The register of all drills: what began, how it ended, what was sealed. Nothing leaves it again.

    register/leaves.jsonl   one canonical JSON object a line, for ever
    register/checkpoint     size and root of the tree over them, signed by the runner's key

A drill's start is entered before its first fault. A start without an end can be seen by everybody
who has the leaves, so a drill that went badly cannot be dropped; and whoever keeps any earlier
checkpoint can tell whether a line was changed since. Writers take turns by a lock; half a line that
a crash left was never acted on, and is cut off by the next writer.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gameday.canonical import canonical
from gameday.errors import GameDayError, RecordError, Refused
from gameday.evidence.findings_file import write_whole
from gameday.evidence.keys import Sign, sign
from gameday.evidence.merkle import leaf_hash, root
from gameday.evidence.note import Checkpoint, parse, signed

LEAVES = "leaves.jsonl"
CHECKPOINT = "checkpoint"
LOCK_WAIT_S = 10.0
ENDS = ("finished", "halted", "crashed", "refused", "voided")
_MEND = "Put back the register's own copy. To begin a new one move the folder away; an auditor will see that."


@dataclass(frozen=True, slots=True)
class Entered:
    """A leaf as it was entered, and the register right after it. `checkpoint` is empty if unsigned."""

    index: int
    leaves: bytes
    checkpoint: bytes


class Register:
    """One register on disk. It is made with its first leaf."""

    def __init__(self, folder: Path, signer: Sign = sign) -> None:
        self.folder = folder
        self._sign = signer

    def enter(self, leaf: Mapping[str, Any], *, at_utc: str, must_sign: bool = True) -> Entered:
        """Enter one leaf and return the register as it is then.

        Args:
            leaf: What it holds, without `index` and `at_utc`.
            at_utc: The wall clock now.
            must_sign: Without a signed checkpoint the leaf is not entered. An end is entered all the same.

        Raises:
            Refused: It cannot be written or signed, or it is not what was signed before.
        """
        with self._locked() as fd:
            lines = _lines(os.pread(fd, os.fstat(fd).st_size, 0))
            self._check(lines)
            line = canonical({**leaf, "at_utc": at_utc, "index": len(lines)})
            leaves = b"".join(item + b"\n" for item in (*lines, line))
            note = self._note([*lines, line], must_sign=must_sign)
            self._append(fd, line + b"\n")
            if note:
                self._keep(note, must_sign=must_sign)
            return Entered(len(lines), leaves, note)

    def leaves(self) -> list[dict[str, Any]]:
        """Return every leaf.

        Raises:
            RecordError: A line is no leaf.
        """
        try:
            data = (self.folder / LEAVES).read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RecordError(f"the register {self.folder / LEAVES}: {error.strerror}") from error
        found = []
        for number, line in enumerate(_lines(data), start=1):
            try:
                leaf = json.loads(line)
            except ValueError:
                leaf = None
            if not isinstance(leaf, dict) or leaf.get("index") != number - 1:
                raise RecordError(f"{self.folder / LEAVES}:{number}: not leaf {number - 1}", todo=_MEND)
            found.append(leaf)
        return found

    def verified(self) -> int:
        """Return how many leaves there are, all of them after what the last checkpoint signed.

        Whose key signed it is for those to say who hold the key: `gameday verify`.

        Raises:
            RecordError: A leaf cannot be read.
            Refused: They are not what the checkpoint signed.
        """
        lines = [canonical(leaf) for leaf in self.leaves()]
        self._check(lines)
        return len(lines)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        path = self.folder / LEAVES
        fd = -1
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            _lock(fd, path)
            yield fd
        except OSError as error:
            raise Refused(
                f"the register {path} cannot be written: {error.strerror}",
                todo="Mend that: a drill that is not in the register does not begin.",
            ) from error
        finally:
            if fd >= 0:
                os.close(fd)

    def _check(self, lines: list[bytes]) -> None:
        """What was signed before must still be there, line by line.

        Raises:
            Refused: It is not.
        """
        try:
            last = parse((self.folder / CHECKPOINT).read_bytes())
        except FileNotFoundError:
            if len(lines) > 1:
                raise Refused(f"{self.folder / CHECKPOINT} is missing", todo=_MEND) from None
            return
        except RecordError as error:
            raise Refused(f"{self.folder / CHECKPOINT} {error}", todo=_MEND) from error
        known = lines[: last.size]
        if len(known) < last.size or root(leaf_hash(line) for line in known) != last.root:
            raise Refused(f"the register {self.folder} is not what its checkpoint signed", todo=_MEND)

    def _note(self, lines: list[bytes], *, must_sign: bool) -> bytes:
        hashes = [leaf_hash(line) for line in lines]
        checkpoint = Checkpoint(origin(lines[0]), len(lines), root(hashes))
        try:
            made = self._sign((checkpoint.body(),))
        except Refused:
            if must_sign:
                raise
            return b""
        return signed(checkpoint, made.public_raw, made.signatures[0])

    @staticmethod
    def _append(fd: int, line: bytes) -> None:
        size = os.fstat(fd).st_size
        whole = os.pread(fd, size, 0).rfind(b"\n") + 1
        os.ftruncate(fd, whole)
        try:
            while line:
                line = line[os.write(fd, line) :]
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, whole)
            raise

    def _keep(self, note: bytes, *, must_sign: bool) -> None:
        try:
            write_whole(self.folder / CHECKPOINT, note.decode())
        except GameDayError as error:
            if must_sign:
                raise Refused(str(error), todo=_MEND) from error


def origin(first_line: bytes) -> str:
    """Return a register's name, which comes from its first leaf."""
    return f"gameday-register/{leaf_hash(first_line).hex()[:16]}"


def population(leaves: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each drill that was begun, oldest first: its start, and how it ended as far as it did."""
    runs: dict[str, dict[str, Any]] = {}
    for leaf in leaves:
        run, kind = str(leaf.get("run", "")), leaf.get("kind")
        if kind == "started":
            runs[run] = {
                "run": run, "plan": leaf.get("plan", ""), "service": leaf.get("service", ""),
                "started_utc": leaf.get("at_utc", ""), "end": "", "verdict": "", "reason": "",
                "sealed": False, "addenda": 0,
            }  # fmt: skip
        elif run in runs:
            row = runs[run]
            if kind in ENDS:
                row |= {"end": kind, "verdict": leaf.get("verdict", ""), "reason": leaf.get("reason", "")}
            row["sealed"] = row["sealed"] or kind == "sealed"
            row["addenda"] += kind == "addendum"
    return list(runs.values())


def _lines(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]


def _lock(fd: int, path: Path) -> None:
    give_up_s = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up_s:
                raise Refused(f"another process holds the register {path} for {LOCK_WAIT_S:g} s") from None
            time.sleep(0.01)
        else:
            return
