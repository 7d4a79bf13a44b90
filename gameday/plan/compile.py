"""From the plan as written to the plan as the house runs it: runbooks inlined, undos derived."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from gameday.errors import PlanError, Problem
from gameday.plan.byhand import BY_HAND, MODE, PLANNED, hand_step
from gameday.plan.capacitysteps import capacity
from gameday.plan.catalogue import action_of, derive, is_fault, with_ttl
from gameday.plan.conditions import Conditions, check_reader
from gameday.plan.files import Files
from gameday.plan.jsonprobe import check_json
from gameday.plan.ledgers import ledgers
from gameday.plan.loads import compile_load
from gameday.plan.model import (
    Activity,
    BlastRadius,
    LoadChange,
    Objective,
    Plan,
    Probe,
    ProbeKind,
    Segment,
    Slo,
    SteadyState,
    Step,
    StepKind,
    Target,
)
from gameday.plan.participants import check_people, people_about
from gameday.plan.people import approvals, by_people
from gameday.plan.radius import as_radius
from gameday.plan.schema import (
    ABOUT,
    STEPS_MAX,
    AlertmanagerIn,
    FailoverIn,
    HoldIn,
    HttpIn,
    LoadStepIn,
    ParallelIn,
    PlanIn,
    ProbeIn,
    PrometheusIn,
    RunbookIn,
    UndoIn,
)
from gameday.plan.schema_experiment import ExperimentIn
from gameday.plan.schema_fault import FaultIn
from gameday.plan.schema_people import ApprovalIn, ManualIn
from gameday.plan.shape import ActivityIn, as_given
from gameday.plan.source import Source, Where

SLACK_NS = 1_000_000_000
_ACTION = re.compile(r"[A-Za-z_][\w]*(\.[A-Za-z_][\w]*)+\Z")


@dataclass(slots=True)
class Compiler:
    """Turns one plan file into a Plan, noting every problem on the way."""

    source: Source
    files: Files
    steps: list[Step] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    group: int = 0
    runbook: str | None = None
    by_hand: dict[str, int] = field(default_factory=dict)
    at: Source = field(init=False)

    def __post_init__(self) -> None:
        self.at = self.source

    def compile(self, plan: PlanIn) -> Plan:
        """Return the plan. Problems stand in the sources; the result is void when there are any."""
        signed = capacity(plan, self)
        check_people(plan.people, self.at)
        for number, item in enumerate(plan.steps if plan.capacity is None else ()):
            self._step(item, ("steps", number))
        declared = tuple(self._probe(name, item) for name, item in sorted(plan.probes.items()))
        conditions, probes = Conditions(plan, declared, self.at).compile()
        writers = ledgers(plan.ledger, self.at)
        return Plan(
            title=plan.title,
            kind=plan.kind,
            service=plan.service,
            source=self.source.file,
            about=_about(plan, self.by_hand),
            target=Target(plan.target.environment, plan.target.identity.http, plan.target.lab or ""),
            objectives=tuple(
                Objective(
                    service=o.service,
                    measured_by=o.measured_by,
                    rto_ns=o.rto,
                    rpo_ns=o.rpo,
                    mtpd_ns=o.mtpd,
                    minimum_capacity_ppm=o.minimum_capacity,
                    source=o.source,
                    held_goods=o.held,
                    ledger=o.ledger or "",
                )
                for o in plan.objectives
            ),
            recovery=plan.recovery,
            load=tuple(
                compile_load(item, ("load", n), self.at, self.files) for n, item in enumerate(plan.load)
            ),
            probes=probes,
            slos=tuple(
                Slo(name, s.window, s.objective, s.probe, s.load, s.below)
                for name, s in sorted(plan.slos.items())
            ),
            steady_state=_steady_state(plan),
            stop_conditions=conditions,
            blast_radius=self._blast_radius(plan),
            steps=tuple(self.steps),
            ledger=writers[0] if writers else None,
            more_ledgers=writers[1:],
            approvals=approvals(plan.approvals),
            capacity=signed,
        )

    # --- parts -------------------------------------------------------------------------------

    def _probe(self, name: str, item: ProbeIn) -> Probe:
        where: Where = ("probes", name)
        kinds = [kind for kind in ProbeKind if getattr(item, kind) is not None]
        if len(kinds) != 1:
            expected = f"exactly one of {', '.join(ProbeKind)} is needed"
            self.at.complain(where, f"probe {name!r} has {len(kinds)} kinds: {expected}")
            kinds = [ProbeKind.TCP]
        spec: Any = getattr(item, kinds[0])
        if kinds[0] is ProbeKind.ACTIVITY and spec is not None:
            activity = self._activity(spec, (*where, "activity"), name, item.timeout)
            text = json.dumps({"provider": json.loads(activity.provider), "tolerance": spec.tolerance})
        else:
            if isinstance(spec, PrometheusIn | AlertmanagerIn):
                check_reader(self.at, (*where, str(kinds[0])), spec)
            if isinstance(spec, HttpIn):
                check_json(self.at, (*where, "http"), spec)
            text = _json(as_given(spec, by_alias=True) if spec is not None else {})
        return Probe(name, kinds[0], text, item.every, item.timeout, writes=item.writes is not None)

    def _blast_radius(self, plan: PlanIn) -> BlastRadius:
        try:
            return as_radius(plan.blast_radius)
        except ValueError as error:
            self.at.complain(("blast_radius", "max"), str(error))
            return BlastRadius((), 1, None, plan.blast_radius.duration)

    # --- steps -------------------------------------------------------------------------------

    def _step(self, item: Any, where: Where) -> None:
        match item:
            case ParallelIn():
                group = self.group
                for number, part in enumerate(item.parallel):
                    self.group = group
                    self._step(part, (*where, "parallel", number))
            case RunbookIn():
                self._inline(item, where)
            case FaultIn():
                self._add(self._fault(item, where))
            case FailoverIn():
                self._add(self._failover(item, where))
            case UndoIn():
                name = item.name or f"undo what is owed on {item.undo}"
                self._add(
                    self._bare(name, StepKind.UNDO, item.timeout, target=item.undo, segment=_segment(item))
                )
            case HoldIn():
                name = item.name or f"hold {item.hold / 10**9:g} s"
                self._add(self._bare(name, StepKind.HOLD, item.hold + SLACK_NS, for_ns=item.hold))
            case LoadStepIn():
                self._add(self._load_step(item, where))
            case ManualIn() | ApprovalIn() | ExperimentIn():
                self._add(self._other(item, where))

    def _other(self, item: ManualIn | ApprovalIn | ExperimentIn, where: Where) -> Step:
        """Return a step that somebody else carries out: a person, or Chaos Toolkit."""
        if isinstance(item, ExperimentIn):
            from gameday.plan.experimentamong import experiment_step  # noqa: PLC0415 - few plans have one

            bare = self._bare(item.name or item.experiment, StepKind.CHANGE, SLACK_NS)
            return experiment_step(item, where, self, bare)
        name, kind, fields = by_people(item, where, self)
        return self._bare(name, kind, item.timeout, **fields)

    def _inline(self, item: RunbookIn, where: Where) -> None:
        runbook = self.files.runbook(self.at, (*where, "runbook"), item.runbook)
        if runbook is None:
            return
        source, book = runbook
        if len(self.steps) + len(book.steps) > STEPS_MAX:
            self.at.complain(where, f"with this runbook there are more than {STEPS_MAX} steps")
            return
        before, self.at = self.at, source
        count = sum(1 for step in self.steps if step.runbook and step.runbook.startswith(item.runbook))
        self.runbook = item.runbook if not count else f"{item.runbook}#{self.group}"
        first = len(self.steps)
        for number, part in enumerate(book.steps):
            self._step(part, ("steps", number))
        if item.mode == "by-hand":
            self.by_hand |= {step.id: step.deadline_ns for step in self.steps[first:]}
            self.steps[first:] = [hand_step(step) for step in self.steps[first:]]
        self.at, self.runbook = before, None

    def _add(self, step: Step) -> None:
        self.steps.append(step)
        self.group += 1

    def _bare(self, name: str, kind: StepKind, deadline_ns: int, **more: Any) -> Step:
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or str(kind)
        step_id = f"{len(self.steps) + 1}-{slug}"
        return Step(
            id=step_id, name=name, kind=kind, group=self.group, deadline_ns=deadline_ns, runbook=self.runbook,
            **more,
        )  # fmt: skip

    def _fault(self, item: FaultIn, where: Where) -> Step:
        do, undo, in_place, target, survives, manual = self._trio(item, where, item.fault)
        if undo is None:
            self.at.complain(
                where, f"fault {item.fault!r} has no `undo`, and none can be derived from its action"
            )
        if in_place is None:
            self.at.complain(
                where,
                f"fault {item.fault!r} has no `in_place`: without a read-back nobody knows if it is there",
            )
        return self._bare(
            item.fault, StepKind.FAULT, item.timeout, do=do, undo=undo, in_place=in_place, target=target,
            ttl_ns=item.ttl, for_ns=item.lasting, undo_deadline_ns=item.undo_timeout, grace_ns=item.grace,
            survives=item.survives or survives, manual_command=manual,
        )  # fmt: skip

    def _failover(self, item: FailoverIn, where: Where) -> Step:
        name = item.failover or item.change or ""
        do, undo, in_place, target, survives, manual = self._trio(item, where, name)
        kind = StepKind.CHANGE if item.change else StepKind.FAILOVER
        if item.supersedes and undo is None:
            self.at.complain(where, f"step {name!r} supersedes an undo, so it needs an `undo` of its own")
        if item.point_of_no_return and self.runbook is None:
            self.at.complain(where, f"step {name!r}: a point of no return belongs in a runbook")
        if kind is StepKind.CHANGE and undo is None:
            self.at.complain(where, f"change {name!r} has no `undo`, and none can be derived from its action")
        return self._bare(
            name, kind, item.timeout, do=do, undo=undo, in_place=in_place, target=target,
            undo_deadline_ns=item.undo_timeout, grace_ns=item.grace, segment=_segment(item),
            point_of_no_return=item.point_of_no_return, supersedes=tuple(item.supersedes),
            complete=item.complete, returns_home=item.returns_home, survives=survives,
            manual_command=manual,
        )  # fmt: skip

    def _load_step(self, item: LoadStepIn, where: Where) -> Step:
        if (item.rate is None) == (item.users is None):
            self.at.complain(where, "exactly one of `rate` and `users` is needed")
        change = LoadChange(item.load, item.rate, item.users)
        return self._bare(f"load {item.load}", StepKind.LOAD, SLACK_NS, load=change)

    # --- activities --------------------------------------------------------------------------

    def _trio(
        self, item: FaultIn | FailoverIn, where: Where, name: str
    ) -> tuple[Activity, Activity | None, Activity | None, str, str, str]:
        """Return action, undo, read-back, target, what it survives, undo by hand; derived where not given."""
        do = self._activity(item.do, (*where, "do"), name, item.timeout)
        do = with_ttl(do, getattr(item, "ttl", None))
        undo = in_place = None
        target, survives, manual = "", "", ""
        derived = derive(do, by_step=item.undo is None and not isinstance(item, FaultIn))
        if derived is not None:
            undo = self._python(derived.undo, derived.undo_with, f"undo of {name}", item.undo_timeout)
            read = derived.in_place
            in_place = self._python(read, derived.in_place_with, f"read-back of {name}", item.undo_timeout)
            survives, manual = derived.survives, derived.manual
        if (known := derive(do)) is not None:
            target = known.target
        self._check_action(item, where, do, target)
        if item.undo is not None:
            undo = self._activity(item.undo, (*where, "undo"), f"undo of {name}", item.undo_timeout)
            manual = ""
            if is_fault(undo):
                self.at.complain((*where, "undo"), "this action is itself a fault: an undo takes one back")
        if item.in_place is not None:
            place = (*where, "in_place")
            in_place = self._activity(item.in_place, place, f"read-back of {name}", item.undo_timeout)
        return do, undo, in_place, item.target or target, survives, manual

    def _check_action(self, item: FaultIn | FailoverIn, where: Where, do: Activity, target: str) -> None:
        """What an action touches does not depend on the kind of step it is written as."""
        if target and item.target not in (None, target):
            said = f"{item.target!r}: this action touches {target!r}, and nothing else may be said of it"
            self.at.complain((*where, "target"), said)
        arguments = action_of(do)[1]
        if arguments.get("node") and arguments.get("dsn_env"):
            said = "`node` and `dsn_env` name two servers, and only the second is touched: leave one out"
            self.at.complain((*where, "do", "with", "dsn_env"), said)
        if isinstance(item, FailoverIn) and item.undo is None and is_fault(do):
            said = "this action is a fault: write it as `fault:` with a `ttl`, or give the step an `undo`"
            self.at.complain((*where, "do"), said)

    def _activity(self, item: ActivityIn, where: Where, name: str, timeout_ns: int) -> Activity:
        if (item.action is None) == (item.provider is None):
            self.at.complain(where, "exactly one of `action` (with `with`) and `provider` is needed")
            return Activity(name, "{}", timeout_ns)
        if item.action is not None:
            if not _ACTION.match(item.action):
                self.at.complain((*where, "action"), f"{item.action!r}: expected module.function")
            return self._python(item.action, item.arguments, name, timeout_ns)
        provider = item.provider or {}
        if provider.get("type") not in ("python", "process", "http"):
            kind = provider.get("type")
            self.at.complain((*where, "provider"), f"type {kind!r}: expected python, process or http")
        return Activity(name, _json(provider), timeout_ns)

    def _python(self, action: str, arguments: dict[str, Any], name: str, timeout_ns: int) -> Activity:
        module, _, func = action.rpartition(".")
        provider = {"type": "python", "module": module, "func": func, "arguments": arguments}
        return Activity(name, _json(provider), timeout_ns)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _segment(item: FailoverIn | UndoIn) -> Segment | None:
    return Segment(item.segment) if item.segment else None


def _steady_state(plan: PlanIn) -> SteadyState:
    given = plan.steady_state
    patience_ns = given.patience or max(60_000_000_000, 4 * given.baseline)
    return SteadyState(tuple(given.slos), given.baseline, given.stabilise, patience_ns)


def _about(plan: PlanIn, by_hand: dict[str, int]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}

    def add(key: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                add(f"{key}.{name}", item)
        elif isinstance(value, list | tuple):
            found[key] = ", ".join(str(item) for item in value)
        elif value not in (None, ""):
            found[key] = str(value)

    for key in ABOUT:
        add(key, getattr(plan, key))
    found |= people_about(plan.people)
    found |= {f"{PLANNED}{name}": str(within_ns) for name, within_ns in by_hand.items()}
    found |= {MODE: BY_HAND} if by_hand else {}
    return tuple(sorted((key, value) for key, value in found.items() if value))


def refuse(sources: list[Source]) -> None:
    """Raise one error that lists every problem of all sources.

    Raises:
        PlanError: There is at least one.
    """
    problems: list[Problem] = [problem for source in sources for problem in source.problems]
    if problems:
        raise PlanError(tuple(sorted(set(problems))))
