"""The briefing before a drill, printed from its plan: for those who take part, and for those who lead it.

Who takes part must not know what is coming, or the drill shows how well they read. So their page holds
nothing that the plan says of its steps, nor what would tell: not the title, the hypothesis, the names of
steps, probes, profiles and runbooks, the selector, or the limits. What they may know of the scenario is
what its author wrote for them: `scenario: {briefing: …}`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from gameday.evidence.pages import Page, Section
from gameday.evidence.words import begins_at, condition, limit, percent
from gameday.plan.approvals import words as approval_words
from gameday.plan.lasting import longest_ns
from gameday.plan.model import NS, Plan, Step, StepKind
from gameday.plan.participants import participants
from gameday.plan.policy import Policy
from gameday.plan.radius import cap_words
from gameday.plan.stored import plan_digest
from gameday.plan.when import zone_of

KINDS = {"dr": "Disaster-recovery drill", "game-day": "Game day", "capacity": "Capacity trial"}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
HALT = (
    "Anybody may halt it, at any time, without a reason: gameday halt --reason TEXT, or tell the commander.",
    "A real incident always comes first: halt, and say so.",
    "After a halt every fault is taken back at once. To keep new drills from starting: gameday lever engage.",
)
EXPECT = (
    "Respond as on any other day, with the tools and the runbooks you have: the system is tested, no person.",
    "Say when you notice it, take it on, have ended it: gameday mark detected, acknowledged, mitigated.",
    "Write down what helps and what hinders: gameday note TEXT.",
    "Whoever is absent is not to be asked.",
)


@dataclass(frozen=True, slots=True)
class Slot:
    """When a drill is held. `at` knows its time zone; None: nobody has said yet."""

    policy: Policy
    at: datetime | None = None


def safe_title(plan: Plan) -> str:
    """Return what a drill is called before it has begun: without what its title gives away."""
    return f"{KINDS.get(plan.kind, 'Drill')}: {plan.service}"


def purpose(plan: Plan) -> str:
    """Return what a drill is for, in words that give nothing away."""
    told = [f"{o.service} must serve again within {limit(o.rto_ns)}" for o in plan.objectives]
    if told:
        return f"To find out whether recovery does what was promised: {'; '.join(told)}."
    if plan.kind == "capacity":
        return f"To find out how much {plan.service} holds."
    return f"To find out how {plan.service}, and the people who run it, take a failure."


def scope(plan: Plan) -> str:
    """Return what a drill may touch."""
    radius = plan.blast_radius
    most = f", {cap_words(radius)}, for {limit(radius.duration_ns)} at the longest" if radius else ""
    return f"Environment {plan.target.environment}, service {plan.service}{most}."


def for_participants(plan: Plan, slot: Slot) -> Page:
    """Return the page that gives nothing away."""
    about = dict(plan.about)
    told = about.get("scenario.briefing", "What happens you will see when it happens.")
    load = "; ".join(begins_at(item) for item in plan.load)
    expect = [*EXPECT, *([f"Load is put on it meanwhile: {load}."] if load else [])]
    expect.append("When it is over everything is as before; the write-up looks for causes, not for culprits.")
    return Page(
        safe_title(plan),
        "DRILL: for participants",
        (
            Section("What it is for", (purpose(plan), scope(plan), told)),
            Section("When", _when(plan, slot)),
            _people(plan),
            Section("How to halt it", points=HALT),
            Section("What to expect", points=tuple(expect)),
            Section("Which plan", (f"Digest {plan_digest(plan)}. The facilitators have the plan itself.",)),
        ),
    )


def for_facilitators(plan: Plan, slot: Slot) -> Page:
    """Return the page that says everything."""
    about = dict(plan.about)
    papers = tuple(
        (key.replace(".", ": ").replace("_", " "), value)
        for key, value in plan.about
        if not key.startswith(("people.", "roles.")) and key != "hypothesis"
    )
    needed = tuple(approval_words(need) for need in plan.approvals.before_faults)
    return Page(
        plan.title,
        "FACILITATORS ONLY: this page gives the inject away",
        (
            Section("What must come true", (about.get("hypothesis", ""), purpose(plan), scope(plan))),
            Section("When", _when(plan, slot)),
            _people(plan),
            _objectives(plan),
            _steps(plan),
            Section("What ends it early", points=tuple(_limits(plan))),
            Section("How to halt it", points=HALT),
            Section("Who must approve before the first fault", points=needed),
            Section("Papers", columns=("What", "Said"), rows=papers),
            Section("Mind", points=plan.warnings),
            Section("Which plan", (f"{plan.source}, digest {plan_digest(plan)}.",)),
        ),
    )


def _when(plan: Plan, slot: Slot) -> tuple[str, ...]:
    lasts = f"It takes {limit(_minutes(longest_ns(plan, slot.policy)))} at the longest."
    rules = slot.policy.rules(plan.target.environment)
    told = [lasts]
    if slot.at is not None:
        here = slot.at.astimezone(zone_of(slot.policy))
        told.insert(0, f"{here:%A %d %B %Y, %H:%M} {slot.policy.zone}.")
    for window in rules.windows if rules else ():
        days = ", ".join(_DAYS[day] for day in window.days)
        hours = f"{_clock(window.from_minute)} to {_clock(window.to_minute)}"
        told.append(f"Drills may run on {days}, {hours} {slot.policy.zone}.")
    told += [
        f"Nothing runs from {item.first} to {item.last}: {item.reason}." for item in slot.policy.blackouts
    ]
    return tuple(told)


def lasts_ns(plan: Plan, policy: Policy) -> int:
    """Return how long a calendar should keep free: the plan's own longest, in whole minutes."""
    return _minutes(longest_ns(plan, policy))


def _minutes(value_ns: int) -> int:
    return -(-value_ns // (60 * NS)) * 60 * NS


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _people(plan: Plan) -> Section:
    rows = tuple(
        (person.role, person.name, "absent: not to be asked" if person.absent else "takes part")
        for person in participants(plan)
    )
    if not rows:
        return Section("Who", ("The plan names nobody.",))
    return Section("Who", columns=("Role", "Name", ""), rows=rows)


def _objectives(plan: Plan) -> Section:
    rows = tuple(
        (
            o.service,
            limit(o.rto_ns),
            limit(o.rpo_ns) if o.rpo_ns is not None else "not measured",
            o.measured_by,
            percent(o.minimum_capacity_ppm),
        )
        for o in plan.objectives
    )
    return Section("Objectives", columns=("Service", "RTO", "RPO", "Measured by", "Capacity"), rows=rows)


def _steps(plan: Plan) -> Section:
    rows = tuple(
        (str(step.group + 1), str(step.kind), step.name, _who(step), limit(_planned(step)), _undo(step))
        for step in plan.steps
    )
    held = (
        f"The steady state is held for {limit(plan.steady_state.baseline_ns)} first, or nothing is injected."
    )
    columns = ("No", "Kind", "Step", "Who or what", "At most", "Taken back by")
    return Section("What happens, in order", (held,), columns=columns, rows=rows)


def _who(step: Step) -> str:
    if step.kind is StepKind.MANUAL:
        return f"{step.who or 'somebody'}: {step.instructions}".rstrip(": ")
    return step.target


def _planned(step: Step) -> int:
    return step.for_ns if step.kind is StepKind.HOLD and step.for_ns else step.deadline_ns


def _undo(step: Step) -> str:
    if step.undo_by_hand:
        return f"by hand: {step.undo_by_hand}"
    if step.undo is None:
        return ""
    lives = f"; after {limit(step.ttl_ns)} at the latest" if step.ttl_ns else ""
    return f"{step.undo.name}{lives}"


def _limits(plan: Plan) -> Iterator[str]:
    for stop in plan.stop_conditions:
        yield f"{'halts' if stop.then == 'halt' else 'warns'} when {condition(stop)}"
    if plan.blast_radius is not None:
        yield f"{cap_words(plan.blast_radius)}, for at most {limit(plan.blast_radius.duration_ns)}"
