"""What a run is tied to from both sides: its entries in the register, and time stamps by others.

    RUN/register/path      where its register lies (stays here, is no part of a bundle)
    RUN/register/at-start  the register's checkpoint as it was seen at the start, this run's start in it
    RUN/time/start.json    what the start token stamps, and its token start.tsr
    RUN/time/head-SEQ.txt  the chain's head at a change of phase, and its token head-SEQ.tsr

The start is entered and stamped before the history begins, because the history grows from both.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gameday.canonical import canonical
from gameday.errors import GameDayError, RecordError, Refused, UsageError
from gameday.evidence.findings_file import write_whole
from gameday.evidence.register import ENDS, Register
from gameday.history.codec import Roots, line_digest
from gameday.history.events import Phase
from gameday.history.read import read_records
from gameday.history.store import HISTORY
from gameday.history.timestamped import TimeStamped
from gameday.hosts.clock import RunClock, utc_text
from gameday.hosts.inbox import Inbox
from gameday.hosts.stamping import STAMP_DEADLINE_S, stamp
from gameday.hosts.words import one_line
from gameday.plan.keeping import Keeping
from gameday.plan.model import Plan
from gameday.plan.stored import plan_digest, read_plan
from gameday.runner.listing import outcome_of

REGISTER = "register"
POINTER = "register/path"
AT_START = "register/at-start"
TIME = "time"
_END = {"completed": "finished"}


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the history of a run grows from. `missing` says why there is no start token."""

    roots: Roots
    missing: str = ""
    is_refused: bool = False

    def check(self) -> None:
        """Refuse the run, once its history says so, when a stamp that the policy requires is missing.

        Raises:
            Refused: It is missing.
        """
        if self.is_refused:
            raise Refused(
                f"the policy requires a time stamp at the start, and there is none: {self.missing}",
                todo="Try again when the authority answers; nothing was touched.",
            )


def register_of(project: Path, keeping: Keeping) -> Register:
    """Return the register of a project: its own, or the one that its policy points to."""
    return Register(Path(keeping.register) if keeping.register else project / REGISTER)


def register_of_run(run_dir: Path) -> Register | None:
    """Return the register that a run stands in; None for one that stands in none."""
    try:
        return Register(Path((run_dir / POINTER).read_text(encoding="utf-8").rstrip("\n")))
    except (OSError, ValueError):
        return None


def anchor(run_dir: Path, plan: Plan, project: Path, keeping: Keeping) -> Anchor:
    """Enter the start of a run and have it stamped, before anything else is recorded.

    Raises:
        Refused: The register cannot be written.
    """
    sha256 = plan_digest(plan)
    register = register_of(project, keeping)
    (run_dir / REGISTER).mkdir(mode=0o700)
    write_whole(run_dir / POINTER, f"{register.folder.resolve()}\n")
    leaf = {
        "kind": "started", "run": run_dir.name, "plan": plan.source, "plan_sha256": sha256,
        "service": plan.service, "drill_kind": plan.kind,
    }  # fmt: skip
    entered = register.enter(leaf, at_utc=utc_text())
    try:
        return _stamped_start(run_dir, sha256, entered.checkpoint, keeping)
    except GameDayError as error:
        enter_refusal(run_dir, plan, str(error))
        raise
    except OSError as error:
        enter_refusal(run_dir, plan, str(error.strerror))
        raise


def _stamped_start(run_dir: Path, sha256: str, checkpoint: bytes, keeping: Keeping) -> Anchor:
    folder = run_dir / TIME
    folder.mkdir(mode=0o700)
    write_whole(run_dir / AT_START, checkpoint.decode())
    register_sha256 = hashlib.sha256(checkpoint).hexdigest()
    start = canonical(
        {"kind": "gameday-start-v1", "plan_sha256": sha256, "register_sha256": register_sha256,
         "run": run_dir.name}
    ) + b"\n"  # fmt: skip
    write_whole(folder / "start.json", start.decode())
    if not keeping.stamp_url:
        return Anchor(Roots(sha256, register_sha256))
    found = stamp(start, keeping.stamp_url)
    if found.missing:
        return Anchor(Roots(sha256, register_sha256), found.missing, keeping.stamps_required)
    write_bytes(folder / "start.tsr", found.token)
    return Anchor(Roots(sha256, register_sha256, hashlib.sha256(found.token).hexdigest()))


def enter_refusal(run_dir: Path, plan: Plan, reason: str) -> None:
    """Enter that a run was refused after its start was entered. Never raises: the refusal stands anyway."""
    register = register_of_run(run_dir)
    if register is None:
        return
    leaf = {
        "kind": "refused", "run": run_dir.name, "plan": plan.source, "plan_sha256": plan_digest(plan),
        "reason": one_line(reason),
    }  # fmt: skip
    try:
        if not _is_entered(register, run_dir.name, {"kind": "refused"}):
            register.enter(leaf, at_utc=utc_text(), must_sign=False)
    except GameDayError:
        return


def enter_end(run_dir: Path, verdict: str) -> None:
    """Enter how a run ended, unless that stands there already.

    Args:
        run_dir: The run's folder.
        verdict: What its findings come to.

    Raises:
        Refused: The register cannot be written.
        RecordError: The register or the history cannot be read.
    """
    register = register_of_run(run_dir)
    outcome = outcome_of(read_records(run_dir))
    if register is None or outcome == "running":
        return
    if outcome == "refused":
        enter_refusal(run_dir, read_plan(run_dir), "refused before its first fault; its history says why")
        return
    lines = (run_dir / HISTORY).read_bytes().splitlines()
    leaf = {
        "kind": _END.get(outcome, outcome), "run": run_dir.name, "verdict": verdict, "events": len(lines),
        "head": line_digest(lines[-1]) if lines else "",
    }  # fmt: skip
    if not _is_entered(register, run_dir.name, leaf):
        register.enter(leaf, at_utc=utc_text(), must_sign=False)


def void(register: Register, begin: str, *, reason: str, by: str) -> str:
    """Enter that a drill counts for nothing, with the reason, and return its name. Nothing is removed.

    Args:
        register: The register.
        begin: The drill, or how its name begins.
        reason: Why.
        by: Who says so, as claimed.

    Raises:
        UsageError: No drill begins so, or several do.
        Refused: The register cannot be written.
    """
    known = dict.fromkeys(str(leaf.get("run")) for leaf in register.leaves() if leaf.get("kind") == "started")
    found = [run for run in known if run == begin] or [run for run in known if run.startswith(begin)]
    if len(found) != 1:
        said = f"{len(found)} drills begin so" if found else "no drill of that name is in the register"
        raise UsageError(f"{begin}: {said}", todo="`gameday register` lists them.")
    leaf = {"kind": "voided", "run": found[0], "reason": one_line(reason), "by": one_line(by)}
    register.enter(leaf, at_utc=utc_text())
    return found[0]


def _is_entered(register: Register, run: str, leaf: Mapping[str, object]) -> bool:
    ends = [found for found in register.leaves() if found.get("run") == run and found.get("kind") in ENDS]
    return bool(ends) and all(ends[-1].get(key) == value for key, value in leaf.items())


class Stamper:
    """Has the head of the chain stamped at each change of phase, and never keeps the drill waiting."""

    def __init__(self, run_dir: Path, url: str, clock: RunClock, inbox: Inbox) -> None:
        self._folder = run_dir / TIME
        self._url = url
        self._clock = clock
        self._inbox = inbox
        self._phase = Phase.ARMING
        self._threads: list[threading.Thread] = []

    def look(self, phase: Phase, head: tuple[int, str]) -> None:
        """Begin a stamp when the phase is a new one. Returns at once."""
        if not self._url or phase is self._phase:
            return
        self._phase = phase
        thread = threading.Thread(target=self._stamp, args=head, name=f"stamp-{head[0]}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def finish(self) -> list[TimeStamped]:
        """Wait for the stamps that are still under way, each with its own deadline, and return them.

        The loop is over then: what else is in the inbox, nobody waits for any more.
        """
        for thread in self._threads:
            thread.join(STAMP_DEADLINE_S + 2.0)
        found = []
        while not self._inbox.empty():
            _, event = self._inbox.get()
            if isinstance(event, TimeStamped):
                found.append(event)
        return found

    def _stamp(self, seq: int, head: str) -> None:
        data = f"{head}\n".encode()
        found = stamp(data, self._url)
        missing, sha256 = found.missing, ""
        if not missing:
            try:
                write_whole(self._folder / f"head-{seq}.txt", data.decode())
                write_bytes(self._folder / f"head-{seq}.tsr", found.token)
                sha256 = hashlib.sha256(found.token).hexdigest()
            except (RecordError, OSError) as error:
                missing = one_line(str(error))
        event = TimeStamped(seq, head, sha256, self._url, missing or f"at {found.utc}")
        self._inbox.put((self._clock.now_ns(), event))


def write_anew(path: Path, data: bytes) -> None:
    """Write a file that others may read in place of whatever has its name; a link is not followed."""
    path.unlink(missing_ok=True)
    write_bytes(path, data, mode=0o644)


def write_bytes(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a new file and make sure that it is on disk."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
