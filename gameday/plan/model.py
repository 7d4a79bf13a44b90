"""The plan as the rest of the house sees it: immutable, validated, in whole numbers.

`gameday.plan.load` makes these from YAML; `plan.json` in a run folder is their canonical JSON,
and the plan's digest is the SHA-256 of it. Durations are nanoseconds (`_ns`), ratios parts per
million (`_ppm`), rates arrivals per 1 000 s (`_per_1000s`): hashed records hold no floats.

Runbooks are inlined here: a runbook is no more than a run of steps that carry its name.
Foreign data (the arguments of an activity, the specification of a probe) is kept as JSON text,
because gameday does not own its shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gameday.plan.approvals import NONE_ASKED, Approvals, Requirement
from gameday.plan.capacity import Capacity

NS = 1_000_000_000
PPM = 1_000_000


class StepKind(StrEnum):
    """What a step does to the world."""

    LOAD = "load"
    FAULT = "fault"
    FAILOVER = "failover"
    CHANGE = "change"
    MANUAL = "manual"
    APPROVAL = "approval"
    HOLD = "hold"
    UNDO = "undo"
    TRIAL = "trial"
    SEARCH = "search"


class Segment(StrEnum):
    """The part of a recovery that a step's time is booked to. The first four sum to RTA."""

    DETECT = "detect"
    DECIDE = "decide"
    FAIL_OVER = "fail-over"
    COME_UP = "come-up"
    VALIDATE = "validate"
    FAIL_BACK = "fail-back"


@dataclass(frozen=True, slots=True)
class Activity:
    """One Chaos Toolkit activity: data, never code.

    `provider` is the JSON text of a Chaos Toolkit provider, for instance
    `{"type":"python","module":"gameday.actions.postgres","func":"kill","arguments":{"node":"a"}}`.
    """

    name: str
    provider: str
    timeout_ns: int


@dataclass(frozen=True, slots=True)
class LoadChange:
    """What a load step asks for: exactly one of a rate (open loop) or users (closed loop)."""

    load: str
    rate_per_1000s: int | None = None
    users: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One change to the world, with a deadline and, for a fault, an undo and a time to live.

    Steps with the same `group` start together; the next group starts when all of them have ended.
    A fault ends when it is injected (and undone, where `for_ns` is given).
    `in_place` reads the fault back: true while it is still there. It decides whether an undo worked.
    A step that `supersedes` targets replaces every undo owed on them with its own, from the moment
    it starts. `complete` steps of a runbook past its point of no return run even after a halt.
    A step of kind `undo` carries out whatever undo is owed on `target` at that moment.
    A manual step is carried out by `who`, as `instructions` say; `undo_by_hand` says how a person takes
    it back. A step of kind `approval` is a gate: the next group starts only when its `needs` are met.
    A `trial` or `search` holds its load at the rates that `Plan.capacity` asks for.
    """

    id: str
    name: str
    kind: StepKind
    group: int
    deadline_ns: int
    target: str = ""
    do: Activity | None = None
    undo: Activity | None = None
    in_place: Activity | None = None
    undo_deadline_ns: int = 30 * NS
    grace_ns: int = 50_000_000
    ttl_ns: int | None = None
    for_ns: int | None = None
    runbook: str | None = None
    segment: Segment | None = None
    point_of_no_return: bool = False
    supersedes: tuple[str, ...] = ()
    complete: bool = False
    returns_home: bool = False
    load: LoadChange | None = None
    survives: str = ""
    manual_command: str = ""
    who: str = ""
    instructions: str = ""
    undo_by_hand: str = ""
    needs: tuple[Requirement, ...] = ()

    @property
    def owes_undo(self) -> bool:
        """Tell whether it must be taken back once it may have happened."""
        return self.undo is not None or bool(self.undo_by_hand)


class ProbeKind(StrEnum):
    """How a probe reads the target. `activity` is any Chaos Toolkit probe, run in a host."""

    HTTP = "http"
    TCP = "tcp"
    SQL = "sql"
    PROCESS = "process"
    PROMETHEUS = "prometheus"
    ALERTMANAGER = "alertmanager"
    ACTIVITY = "activity"


@dataclass(frozen=True, slots=True)
class Probe:
    """One measurement at a fixed rate with its own deadline. `spec` is JSON text, by kind.

    http: {"url", "method"="GET", "status"=[200..299], "body"?, "headers"?}; a new connection for each sample
    tcp: {"host", "port"} · sql: {"dsn", "query", "expect"?} · process: {"argv"}
    activity: a Chaos Toolkit probe {"provider", "tolerance"}
    prometheus, alertmanager: see hosts.prometheus
    With `of_condition` the probe was made for one stop condition, which alone speaks for it.
    """

    name: str
    kind: ProbeKind
    spec: str
    every_ns: int
    timeout_ns: int
    writes: bool = False
    of_condition: bool = False


@dataclass(frozen=True, slots=True)
class Slo:
    """A share of good events over a window. Source is one probe, or the load.

    With `load_stat` set the SLO judges load buckets: a request is good when it succeeded and,
    where `below_ns` is given, the named percentile of the window stays below it.
    """

    name: str
    window_ns: int
    objective_ppm: int
    probe: str | None = None
    load_stat: str | None = None
    below_ns: int | None = None


@dataclass(frozen=True, slots=True)
class SteadyState:
    """Which SLOs must hold, for how long before any fault and after recovery."""

    slos: tuple[str, ...]
    baseline_ns: int
    stabilise_ns: int
    patience_ns: int = 60 * NS


class LimitKind(StrEnum):
    """What a stop condition measures."""

    ROW = "row"
    COUNT = "count"
    SHARE = "share"
    SLO = "slo"
    BURN = "burn"
    BUDGET = "budget"
    LATENCY = "latency"
    ERRORS = "errors"
    ACHIEVED = "achieved"
    ANSWERED = "answered"
    FAILED = "failed"
    SILENCE = "silence"
    DURATION = "duration"


@dataclass(frozen=True, slots=True)
class StopCondition:
    """A limit that halts the run (or warns) when breached, or when it cannot be read.

    What is measured, and when the limit is crossed:

    * `probe` with `in_a_row`: that many samples of `reading` (bad or unreadable), one after another;
      with `count`: that many within `within_ns`; with `bad_above_ppm`: a larger share of `within_ns`.
    * `slo` with `bad_above_ppm`: a larger bad share of its window; with `burn_above_milli`: its budget
      burns faster (in thousandths) over both `long_ns` and `short_ns`; with `budget_above_ppm`: the
      drill has spent a larger share of the error budget of `budget_ns`.
    * `load` with `above_ns` (p50 … p999), `bad_above_ppm` (errors) or `below_ppm` (achieved, answered),
      each over `within_ns`; `failed_above`: more failed requests since the drill began or in `within_ns`.
    * `silence_ns`: no readable sample of `probe` (or of some probe) for that long.
    * `duration_ns`: the drill has been running longer.

    A crossing breaches once it has lasted `for_ns`. A limit that was not read afresh for `fresh_ns` is
    breached too. A halt takes back every fault; with `stops` load or both it stops the load as well.
    """

    name: str
    then: str
    slo: str | None = None
    bad_above_ppm: int | None = None
    for_ns: int = 0
    probe: str | None = None
    in_a_row: int | None = None
    silence_ns: int | None = None
    stops: str = "faults"  # faults | load | both
    reading: str = "bad"  # bad | unreadable
    count: int | None = None
    within_ns: int = 0
    burn_above_milli: int | None = None
    long_ns: int = 0
    short_ns: int = 0
    budget_above_ppm: int | None = None
    budget_ns: int = 0
    load: str | None = None  # p50 | p90 | p95 | p99 | p999 | errors | achieved | answered
    above_ns: int | None = None
    below_ppm: int | None = None
    failed_above: int | None = None
    duration_ns: int | None = None
    fresh_ns: int | None = None

    @property
    def kind(self) -> LimitKind:
        """What the condition measures."""
        for value, kind in (
            (self.duration_ns, LimitKind.DURATION),
            (self.failed_above, LimitKind.FAILED),
            (self.burn_above_milli, LimitKind.BURN),
            (self.budget_above_ppm, LimitKind.BUDGET),
            (self.slo, LimitKind.SLO),
            (self.below_ppm, LimitKind.ANSWERED if self.load == "answered" else LimitKind.ACHIEVED),
            (self.above_ns, LimitKind.LATENCY),
            (self.load, LimitKind.ERRORS),
            (self.in_a_row, LimitKind.ROW),
            (self.count, LimitKind.COUNT),
            (self.bad_above_ppm, LimitKind.SHARE),
        ):
            if value is not None:
                return kind
        return LimitKind.SILENCE


@dataclass(frozen=True, slots=True)
class Objective:
    """What recovery must achieve, fixed before the first fault. RPA is that of `ledger`, or of all."""

    service: str
    measured_by: str
    rto_ns: int
    rpo_ns: int | None = None
    mtpd_ns: int | None = None
    minimum_capacity_ppm: int = PPM
    source: str = ""
    held_goods: int = 3
    ledger: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """A straight line to a rate (open loop) or a number of users (closed loop) over `over_ns`."""

    over_ns: int
    rate_per_1000s: int | None = None
    users: int | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """One Locust file, run from baseline to the end. Open loop with a rate, closed with users.

    `stages` follow one another from the start and the last one stays; a rate or users asked for later
    end them. With `shape` the file's own LoadTestShape decides. `timeout_ns` holds where the file sets
    none. With `trace` each request says which drill and step it belongs to (`traceparent`).
    `processes` generators run on this machine; or `workers` on others, which come to `bind` (host:port).
    """

    name: str
    profile: str
    profile_sha256: str
    rate_per_1000s: int | None = None
    users: int | None = None
    host: str = ""
    max_users: int = 200
    options: tuple[str, ...] = ()
    arrivals: str = "constant"  # constant | poisson
    seed: int = 0
    stages: tuple[Stage, ...] = ()
    shape: bool = False
    timeout_ns: int = 5 * NS
    trace: bool = False
    processes: int = 1
    workers: int = 0
    bind: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Numbered writes on the users' path, by which lost data is measured.

    `spec` is JSON text: the keys that `gameday.plan.ledgers` lists by writer. The only ledger of a plan
    needs no name.
    """

    writer: str
    spec: str
    every_ns: int
    timeout_ns: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """The most a drill may touch: a selector, caps, names that may or must not be touched, a duration.

    The cap is a count (`max_targets`, of exactly `max_of` where that is said) or a share (`max_ppm`).
    `only` and `protect` are patterns of targets, like `node:*`. Judged by `gameday.plan.radius`.
    """

    select: tuple[tuple[str, str], ...]
    max_targets: int | None
    max_of: int | None
    duration_ns: int
    max_ppm: int | None = None
    at_once: int | None = None
    only: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """The system under drill: the environment it must say it is, where it says so, which lab it is."""

    environment: str
    identity_url: str
    lab: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """One drill. `about` holds the papers: hypothesis, author, owner, roles, scenario and ticket."""

    title: str
    kind: str
    service: str
    source: str
    about: tuple[tuple[str, str], ...]
    target: Target
    objectives: tuple[Objective, ...]
    recovery: str
    load: tuple[Load, ...]
    probes: tuple[Probe, ...]
    slos: tuple[Slo, ...]
    steady_state: SteadyState
    stop_conditions: tuple[StopCondition, ...]
    blast_radius: BlastRadius | None
    steps: tuple[Step, ...]
    ledger: Ledger | None
    warnings: tuple[str, ...] = ()
    approvals: Approvals = NONE_ASKED
    more_ledgers: tuple[Ledger, ...] = ()
    capacity: Capacity | None = None

    @property
    def ledgers(self) -> tuple[Ledger, ...]:
        """Every ledger; the stores of a service are measured at the same time."""
        return (self.ledger, *self.more_ledgers) if self.ledger else ()
