"""What was asked and what happened: the immutable events of a run, in one total order.

A history is a sequence of these and nothing else. Events of the first group are *commands*: they are
written down (and fsynced) before they are carried out, so that after any crash it is known what may
have been done. Events of the second group are *reports* of what the world answered. `at_ns` is not
part of an event but of its record: nanoseconds of CLOCK_BOOTTIME since the run began. What is far
more numerous (its shapes are below too) goes to segment files, whose digests stand in the chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gameday.history.capacityevents import CapacityCommand, CapacityReport
from gameday.history.experimentevents import ExperimentReport
from gameday.history.loadevents import GeneratorReady, LoadAsked, LoadBucket, LoadReported
from gameday.history.people import PeopleCommand, PeopleReport
from gameday.history.policyevents import PolicyReport


class Phase(StrEnum):
    """Where a run stands. Each begins with a `PhaseChanged` of its own."""

    ARMING = "arming"
    BASELINE = "baseline"
    RUNNING = "running"
    UNDOING = "undoing"
    RECOVERING = "recovering"
    FINISHED = "finished"


class Effect(StrEnum):
    """Whether a step changed the target. A killed step is indeterminate, so it is undone."""

    HAPPENED = "happened"
    DID_NOT_HAPPEN = "did_not_happen"
    INDETERMINATE = "indeterminate"


class Outcome(StrEnum):
    """How a run ended, apart from what it proved."""

    COMPLETED = "completed"
    HALTED = "halted"
    CRASHED = "crashed"
    REFUSED = "refused"


class Reading(StrEnum):
    """What one sample says. Unreadable is the prober's own failure, never the target's."""

    GOOD = "good"
    BAD = "bad"
    UNREADABLE = "unreadable"


# --- commands: intent, on disk before effect -------------------------------------------------


@dataclass(frozen=True, slots=True)
class PhaseChanged:
    """The run enters a phase, and why."""

    phase: Phase
    reason: str


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step's action is about to be carried out. `completing`: run again after a halt."""

    step: str
    completing: bool = False


@dataclass(frozen=True, slots=True)
class KillAsked:
    """The process group of a running step or undo is about to be killed."""

    step: str
    role: str  # do | undo
    reason: str


@dataclass(frozen=True, slots=True)
class Halted:
    """Nothing starts from here on but undos and completing steps."""

    by: str
    reason: str
    condition: str = ""
    breach_after_ns: int | None = None
    breach_before_ns: int | None = None


@dataclass(frozen=True, slots=True)
class UndoStarted:
    """The undo owed for `step` is about to be carried out. `why`: halt, ttl, for, end, step, lost."""

    step: str
    why: str


@dataclass(frozen=True, slots=True)
class LedgerAsked:
    """Quiesce the ledger writer, read everything back from the recovered authority, go on."""

    occasion: str  # after-failover | end
    resume: bool


@dataclass(frozen=True, slots=True)
class PurgeAsked:
    """Count the marked synthetic writes of this run and remove them."""

    marker: str


@dataclass(frozen=True, slots=True)
class Warned:
    """A stop condition that only warns was breached."""

    condition: str
    reason: str


# --- reports: what the world answered --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The genesis of a history. `origin_boot_ns` is text: it may pass 2^53."""

    run: str
    plan_sha256: str
    origin_boot_ns: str
    boot_id: str
    gameday_version: str
    software: tuple[tuple[str, str], ...]
    operator: str
    machine: str
    login: str = ""  # who really runs it; `operator` is as claimed
    register_sha256: str = ""
    start_token_sha256: str = ""


@dataclass(frozen=True, slots=True)
class ClockRead:
    """What is known of the wall clock of `boot_id`. `bound_ns` None: unsynchronised or unknown."""

    source: str
    bound_ns: int | None
    wall_minus_boot_ns: str
    boot_id: str = ""


@dataclass(frozen=True, slots=True)
class TargetsResolved:
    """The frozen targets, n of N, what the faults name of them, what is left alone, and the identity."""

    environment: str
    identity: str
    targets: tuple[str, ...]
    population: int
    values: tuple[tuple[str, str], ...] = ()
    parts: tuple[str, ...] = ()
    excluded: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HostStarted:
    """A process that may touch the world. pid and start time together name it across reuse."""

    host: str
    role: str  # action | undo | load | watchdog | runner | probe | ledger
    pid: int
    start_ticks: int
    boot_id: str
    marker: str = ""  # in the environment of all it starts, also of what left its session


@dataclass(frozen=True, slots=True)
class Armed:
    """Every host is ready and every undo importable: injection may begin once baseline holds."""

    hosts: int


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step reported, failed, or was given up on. `in_place` is the fault's own read-back."""

    step: str
    effect: Effect
    in_place: bool | None = None
    detail: str = ""
    began_ns: int | None = None
    read_back_ns: int | None = None


@dataclass(frozen=True, slots=True)
class UndoEnded:
    """An undo reported. `undone` is what the read-back says, not what the undo says of itself."""

    step: str
    undone: bool
    detail: str = ""
    read_back_ns: int | None = None


@dataclass(frozen=True, slots=True)
class HaltAsked:
    """A person, a signal, the lever or the watchdog asks the run to stop."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class LedgerRead:
    """A ledger was read back (entries are in the segment), or could not be."""

    occasion: str
    ok: bool
    recovered: int
    detail: str = ""
    ledger: str = ""


@dataclass(frozen=True, slots=True)
class Noted:
    """A note or a mark (detected, acknowledged, mitigated) by a person, their name as claimed."""

    by: str
    mark: str
    text: str


@dataclass(frozen=True, slots=True)
class HostLostReported:
    """A host ended without being asked. `role` as in HostStarted."""

    host: str
    role: str
    detail: str


@dataclass(frozen=True, slots=True)
class RunnerLost:
    """The watchdog (or `recover`) found the runner dead or late, and takes over."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class SyntheticPurged:
    """The marked synthetic writes were counted and removed at the end."""

    found: int
    purged: int
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SegmentSealed:
    """A slice [start_byte, end_byte) of a segment file enters the chain by its SHA-256."""

    stream: str  # samples | load | ledger
    start_byte: int
    end_byte: int
    sha256: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The last event of a whole history."""

    outcome: Outcome
    stuck: tuple[str, ...]
    failed_over: bool


Command = (
    PhaseChanged
    | LoadAsked
    | StepStarted
    | KillAsked
    | Halted
    | UndoStarted
    | LedgerAsked
    | PurgeAsked
    | Warned
    | PeopleCommand
    | CapacityCommand
)
Report = (
    RunStarted
    | ClockRead
    | TargetsResolved
    | PolicyReport
    | HostStarted
    | Armed
    | LoadReported
    | GeneratorReady
    | StepEnded
    | UndoEnded
    | HaltAsked
    | LedgerRead
    | Noted
    | PeopleReport
    | CapacityReport
    | ExperimentReport
    | HostLostReported
    | RunnerLost
    | SyntheticPurged
    | SegmentSealed
    | RunEnded
)


# --- what segment files hold -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of one probe: the target was so at some instant in [sent_ns, ended_ns]."""

    probe: str
    sent_ns: int
    ended_ns: int
    reading: Reading
    detail: str = ""


class LedgerMark(StrEnum):
    """One line of the ledger's life: intent, then exactly one end; `present` at a read-back."""

    INTENT = "intent"
    ACKED = "acked"
    FAILED = "failed"
    UNKNOWN = "unknown"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """Write `number` of a ledger: what became of it, or (`present`) how often `occasion` found it."""

    number: int
    mark: LedgerMark
    at_ns: int
    sha256: str = ""
    occasion: str = ""
    count: int = 1
    detail: str = ""
    ledger: str = ""


Reported = Report | Sample | LoadBucket
Event = Command | Reported
