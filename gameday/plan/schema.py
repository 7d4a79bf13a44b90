"""The plan file's shape, as editors and people see it. Unknown keys are refused everywhere.

These models live only at the border: `gameday.plan.compile` turns them into `gameday.plan.model`.
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from gameday.plan.schema_capacity import CapacityIn
from gameday.plan.schema_experiment import ExperimentIn
from gameday.plan.schema_fault import FaultIn
from gameday.plan.schema_ledger import LedgersIn
from gameday.plan.schema_load import LoadIn
from gameday.plan.schema_people import ApprovalIn, ApprovalsIn, ManualIn, PersonIn
from gameday.plan.schema_slos import SlosFromIn
from gameday.plan.shape import ActivityIn, Duration, Key, Name, Part, Rate, Ratio

STEPS_MAX = 500


class JsonIn(Part):
    """What a JSON answer must hold, where."""

    path: str = Field(min_length=1, max_length=300)
    bad_above: int | float | None = None
    bad_below: int | float | None = None
    equals: str | bool | int | float | None = None


class HttpIn(Part):
    """An HTTP request and what counts as a good answer."""

    url: str
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE"] = "GET"
    status: list[int] | None = None
    contains: str | None = None
    json_: JsonIn | None = Field(default=None, alias="json")
    body: dict[str, Any] | str | None = None
    headers: dict[str, str] | None = None
    resolver: Literal["target"] | None = None


class TcpIn(Part):
    """A TCP connection."""

    host: str
    port: int = Field(ge=1, le=65535)
    resolver: Literal["target"] | None = None


class SqlIn(Part):
    """A query on PostgreSQL, and the first value it must give."""

    dsn: str
    query: str
    expect: str | int | None = None
    resolver: Literal["target"] | None = None


class ProcessIn(Part):
    """A program that must end with 0. Never a shell."""

    argv: list[str] = Field(min_length=1)


class ActivityProbeIn(ActivityIn):
    """A Chaos Toolkit probe and its tolerance."""

    tolerance: Any = True


class PrometheusIn(Part):
    """A query compared with a limit, or an alert that must not fire."""

    url: str
    query: str | None = None
    bad_above: int | float | None = None
    bad_below: int | float | None = None
    series: Literal["one", "any", "all"] | None = None
    alert: str | None = None
    labels: dict[str, str] | None = None
    token_env: str | None = None


class AlertmanagerIn(Part):
    """An alert that must not be there, silenced or not."""

    url: str
    alert: str
    labels: dict[str, str] | None = None
    token_env: str | None = None


class ProbeIn(Part):
    """One measurement at a fixed rate. Exactly one kind."""

    http: HttpIn | None = None
    tcp: TcpIn | None = None
    sql: SqlIn | None = None
    process: ProcessIn | None = None
    prometheus: PrometheusIn | None = None
    alertmanager: AlertmanagerIn | None = None
    activity: ActivityProbeIn | None = None
    every: Duration
    timeout: Duration
    writes: Literal["synthetic"] | None = None


class SloIn(Part):
    """A share of good events over a window: of a probe's samples, or of the load's requests."""

    probe: Key | None = None
    load: Literal["p50", "p90", "p95", "p99", "p999", "errors"] | None = None
    objective: Ratio = 990_000
    below: Duration | None = None
    window: Duration


class SteadyStateIn(Part):
    """Which SLOs must hold before any fault and after recovery."""

    slos: list[Key]
    baseline: Duration
    stabilise: Duration
    patience: Duration | None = None


class BurnRateIn(Part):
    """How fast an error budget may burn, over a long and a short window at once."""

    above: int | float
    long: Duration
    short: Duration


class StopConditionIn(Part):
    """A limit on a probe, an SLO, the load, failed requests, Prometheus, silence or time."""

    name: Key | None = None
    slo: Key | None = None
    probe: Key | None = None
    load: Literal["p50", "p90", "p95", "p99", "p999", "errors", "achieved", "answered"] | None = None
    failed_requests: str | None = None
    prometheus: PrometheusIn | None = None
    alertmanager: AlertmanagerIn | None = None
    duration: Duration | None = None
    silence: Duration | None = None
    bad: str | None = None
    unreadable: str | None = None
    burn_rate: BurnRateIn | None = None
    budget_spent: str | None = None
    of: Duration | None = None
    above: str | int | float | None = None
    below: str | int | float | None = None
    within: Duration | None = None
    lasting: Duration | None = Field(default=None, alias="for")
    every: Duration | None = None
    timeout: Duration | None = None
    then: Literal["halt", "warn"] = "halt"
    stops: Literal["faults", "load", "both"] = "faults"


class ObjectiveIn(Part):
    """What recovery must achieve."""

    service: Name
    measured_by: Key
    rto: Duration
    rpo: Duration | None = None
    mtpd: Duration | None = None
    minimum_capacity: Ratio = 1_000_000
    source: str = ""
    ledger: Key | None = None
    held: int = Field(default=3, ge=1, le=1000)


class BlastRadiusIn(Part):
    """The most a drill may touch, and for how long."""

    select: dict[str, str] = Field(default_factory=dict)
    max: str
    at_once: int | None = Field(default=None, ge=1)
    only: list[Name] = Field(default_factory=list)
    protect: list[Name] = Field(default_factory=list)
    duration: Duration


class IdentityIn(Part):
    """Where the target says who it is."""

    http: str


class TargetIn(Part):
    """The system under drill."""

    environment: Key
    identity: IdentityIn
    lab: Literal["pair", "archive", "sentinel", "patroni"] | None = None


class FailoverIn(Part):
    """Do one thing for recovery (`failover`) or any reversible change (`change`)."""

    failover: Name | None = None
    change: Name | None = None
    do: ActivityIn
    undo: ActivityIn | None = None
    in_place: ActivityIn | None = None
    target: str | None = None
    timeout: Duration = 30_000_000_000
    undo_timeout: Duration = 30_000_000_000
    grace: Duration = 50_000_000
    segment: Literal["detect", "decide", "fail-over", "come-up", "validate", "fail-back"] | None = None
    point_of_no_return: bool = False
    supersedes: list[str] = Field(default_factory=list)
    complete: bool = False
    returns_home: bool = False


class UndoIn(Part):
    """Carry out now whatever undo is owed on a target."""

    undo: Name
    name: Name | None = None
    timeout: Duration = 60_000_000_000
    segment: Literal["validate", "fail-back"] | None = None


class HoldIn(Part):
    """Wait, under load and with all probes sampling."""

    hold: Duration
    name: Name | None = None


class LoadStepIn(Part):
    """Change a load."""

    load: Key
    rate: Rate | None = None
    users: int | None = Field(default=None, ge=1, le=100_000)


class RunbookIn(Part):
    """Run the steps of a runbook."""

    runbook: str
    mode: Literal["automatic", "by-hand"] = "automatic"


_FORMS = {
    "fault": "fault", "failover": "failover", "change": "failover", "hold": "hold", "load": "load",
    "manual": "manual", "experiment": "experiment", "approval": "approval", "runbook": "runbook",
    "parallel": "parallel",
}  # fmt: skip


def _form(data: Any) -> str | None:
    """Tell which form a step has by its first key; `undo` alone is a step, beside others an undo."""
    if not isinstance(data, dict):
        return None
    for key, form in _FORMS.items():
        if key in data:
            return form
    return "undo" if "undo" in data else None


SimpleStep = Annotated[
    Annotated[FaultIn, Tag("fault")]
    | Annotated[FailoverIn, Tag("failover")]
    | Annotated[UndoIn, Tag("undo")]
    | Annotated[HoldIn, Tag("hold")]
    | Annotated[LoadStepIn, Tag("load")]
    | Annotated[ExperimentIn, Tag("experiment")]
    | Annotated[ManualIn, Tag("manual")]
    | Annotated[ApprovalIn, Tag("approval")],
    Discriminator(_form),
]


class ParallelIn(Part):
    """Start several steps together."""

    parallel: list[SimpleStep] = Field(min_length=1)


AnyStep = Annotated[
    Annotated[FaultIn, Tag("fault")]
    | Annotated[FailoverIn, Tag("failover")]
    | Annotated[UndoIn, Tag("undo")]
    | Annotated[HoldIn, Tag("hold")]
    | Annotated[LoadStepIn, Tag("load")]
    | Annotated[ExperimentIn, Tag("experiment")]
    | Annotated[ManualIn, Tag("manual")]
    | Annotated[ApprovalIn, Tag("approval")]
    | Annotated[RunbookIn, Tag("runbook")]
    | Annotated[ParallelIn, Tag("parallel")],
    Discriminator(_form),
]
STEP_FORMS = (*_FORMS, "undo")


class RunbookFileIn(Part):
    """A runbook: a named list of steps."""

    title: Name
    purpose: str = ""
    owner: str = ""
    steps: list[SimpleStep] = Field(min_length=1, max_length=STEPS_MAX)


class PlanIn(Part):
    """A drill."""

    title: Name
    hypothesis: str = ""
    kind: Literal["game-day", "dr", "capacity"]
    service: Name
    tier: int | None = Field(default=None, ge=0, le=9)
    author: str = ""
    owner: str = ""
    approvers: list[str] = Field(default_factory=list)
    approvals: ApprovalsIn | None = None
    roles: dict[str, str | None] = Field(default_factory=dict)
    people: list[PersonIn] = Field(default_factory=list, max_length=200)
    scenario: dict[str, str | bool] = Field(default_factory=dict)
    population: dict[str, Any] = Field(default_factory=dict)
    excluded: dict[str, str] = Field(default_factory=dict)
    change_ticket: str = ""
    retention: str = ""
    notes: str = ""
    target: TargetIn
    objectives: list[ObjectiveIn] = Field(default_factory=list)
    recovery: Literal["plan", "system"] = "plan"
    load: list[LoadIn] = Field(default_factory=list)
    probes: dict[Key, ProbeIn] = Field(min_length=1)
    slos: dict[Key, SloIn] = Field(default_factory=dict)
    slos_from: list[SlosFromIn] = Field(default_factory=list, max_length=20)
    steady_state: SteadyStateIn
    stop_conditions: list[StopConditionIn] = Field(min_length=1)
    blast_radius: BlastRadiusIn
    capacity: CapacityIn | None = None
    steps: list[AnyStep] = Field(default_factory=list, max_length=STEPS_MAX)
    ledger: LedgersIn | None = None


def _absent() -> Any:
    return None  # Not a value that a file may hold: `null` is refused.


class FilesIn(Part):
    """A plan or a runbook. Most of their parts are the same, and built only once in one model."""

    plan: PlanIn = Field(default_factory=_absent)
    runbook: RunbookFileIn = Field(default_factory=_absent)


ABOUT = (
    "hypothesis", "tier", "author", "owner", "approvers", "roles", "scenario", "population", "excluded",
    "change_ticket", "retention", "notes",
)  # fmt: skip


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a plan file, for editors: with what each key means."""
    from gameday.plan.meanings import meaning  # noqa: PLC0415 - a plan is validated without it

    found = PlanIn.model_json_schema(by_alias=True)
    for owner, part in (("PlanIn", found), *found["$defs"].items()):
        for key, said in part.get("properties", {}).items():
            said["description"] = meaning(owner, key) or meaning("ActivityIn", key)
    return found
