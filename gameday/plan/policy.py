"""What the operator allows, whatever a plan says: the policy in force, immutable, in whole numbers.

The policy is a file of its own (`policy.yaml`, read by `gameday.plan.policyfile`); it always beats the
plan. Its digest is the SHA-256 of its canonical JSON and stands in the history of every run.

Rules may be said for all environments and again for one; what is said for one environment replaces
what is said for all. An environment that the policy does not name is not allowed at all. Where there
is no policy file, only `lab` is allowed, and nothing more is asked of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from gameday.canonical import digest, to_json
from gameday.plan.keeping import USUAL, Keeping
from gameday.plan.model import NS, Plan
from gameday.plan.notices import Notice

LAB = "lab"
NO_FILE = "no policy file"
PROVIDERS = ("python", "process", "http")
LEVER_SILENCE_NS = 10 * NS
LEASE_EXPIRES_NS = 15 * NS
RETEST_DAYS = 90


class Rule(StrEnum):
    """What a policy can rule on. A refusal, a waiver and a shown value name one of these."""

    ENVIRONMENT = "environment"
    WINDOWS = "windows"
    BLACKOUTS = "blackouts"
    TTL = "ttl"
    DURATION = "duration"
    TARGETS = "targets"
    AT_ONCE = "at_once"
    ONLY = "only"
    PROTECT = "protect"
    STOP_CONDITIONS = "stop_conditions"
    NATIVE_TTL = "native_ttl"
    MODULES = "modules"
    PROVIDERS = "providers"
    CLOCK = "synchronised_clock"
    PAPERS = "papers"
    NOT_RED = "not_red"
    APPROVALS = "approvals"
    ERROR_BUDGET = "error_budget"
    DISK = "disk"
    LEFTOVERS = "leftovers"
    UNDO = "undo"


# What names the environment, keeps foreign code out, or protects a target is not open to waivers.
WAIVABLE = tuple(
    rule
    for rule in Rule
    if rule not in (Rule.ENVIRONMENT, Rule.MODULES, Rule.PROVIDERS, Rule.ONLY, Rule.PROTECT)
)


@dataclass(frozen=True, slots=True)
class Window:
    """When drills may run: days of the week (0 is Monday) and minutes of the day, in the policy's zone.

    `to_minute` at or below `from_minute` means the next day.
    """

    days: tuple[int, ...]
    from_minute: int
    to_minute: int


@dataclass(frozen=True, slots=True)
class BudgetFloor:
    """No drill of a service starts while less than `floor_ppm` of its error budget is left.

    What is left is the value of a Prometheus query (1 is all of it), or given by hand until the end of a day.
    """

    service: str
    floor_ppm: int
    url: str = ""
    query: str = ""
    token_env: str = ""
    left_ppm: int | None = None
    until: str = ""


@dataclass(frozen=True, slots=True)
class Blackout:
    """Days (`YYYY-MM-DD`, both included) on which nothing may run."""

    first: str
    last: str
    reason: str


@dataclass(frozen=True, slots=True)
class Approval:
    """Who must approve: so many people of one of these roles. Empty `tiers` means every tier."""

    roles: tuple[str, ...]
    number: int
    tiers: tuple[int, ...]
    author_may: bool
    live: bool


@dataclass(frozen=True, slots=True)
class Requirement:
    """One approval that a plan needs: `number` different people, each of one of `roles`.

    `distinct_from_author`: the plan's author is none of them. `live`: a second signature over the
    frozen targets is needed at the start.
    """

    roles: tuple[str, ...]
    number: int
    distinct_from_author: bool
    live: bool
    why: str


@dataclass(frozen=True, slots=True)
class Waiver:
    """One rule set aside, by whom, why, and to the end of which day. Empty scope means all."""

    rule: str
    plan: str
    environment: str
    reason: str
    by: str
    until: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds in one environment. None and empty mean: no limit of the policy's own.

    `cap` is a text like `1 of 2`, `50%` or `1`. `said` names the rules that stand in the file; the
    others are defaults.
    """

    windows: tuple[Window, ...] = ()
    ttl_ns: int | None = None
    duration_ns: int | None = None
    cap: str | None = None
    at_once: int | None = None
    only: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    stop_conditions: tuple[str, ...] = ()
    native_ttl: bool = False
    modules: tuple[str, ...] = ("gameday.actions.*",)
    providers: tuple[str, ...] = ("python",)
    synchronised_clock: bool = False
    papers: tuple[str, ...] = ()
    not_red: tuple[str, ...] = ()
    approvals: tuple[Approval, ...] = ()
    error_budget: tuple[BudgetFloor, ...] = ()
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """The policy in force. `file` is where it came from; `NO_FILE` where there is none.

    `retest_days`: after so many days a scenario is due again. It forbids no drill. `experiments`: the
    environment that Chaos Toolkit experiments are for, because such a file names none.
    """

    file: str
    environments: tuple[tuple[str, Rules], ...]
    zone: str = "UTC"
    blackouts: tuple[Blackout, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    levers: tuple[str, ...] = ()
    lever_silence_ns: int = LEVER_SILENCE_NS
    leases: str = ""
    lease_expires_ns: int = LEASE_EXPIRES_NS
    retest_days: int = RETEST_DAYS
    keeping: Keeping = USUAL
    readiness: tuple[str, ...] = ()  # what people sign for before a service is called ready
    experiments: str = ""
    notices: tuple[Notice, ...] = ()

    def rules(self, environment: str) -> Rules | None:
        """Return what holds in an environment; None when the policy does not name it."""
        return dict(self.environments).get(environment)


def default_policy() -> Policy:
    """Return the policy where there is no file: the lab needs nothing, all else is refused."""
    return Policy(file=NO_FILE, environments=((LAB, Rules(modules=("*",), providers=PROVIDERS)),))


def policy_digest(policy: Policy) -> str:
    """Return the SHA-256 of the policy's meaning as canonical JSON, as lower-case hex."""
    return digest(to_json(nameless(policy)))


def nameless(policy: Policy) -> Policy:
    """Return the policy without the spelling of its path, which is no part of what it says."""
    return replace(policy, file="")


def tier_of(plan: Plan) -> int | None:
    """Return the tier that a plan claims for its service; None when it claims none."""
    text = dict(plan.about).get("tier", "")
    return int(text) if text.isdecimal() else None


def approvals_needed(policy: Policy, plan: Plan) -> tuple[Requirement, ...]:
    """Return the approvals that the policy asks of a plan, by its environment and tier.

    A plan that claims no tier needs the approvals of every tier: silence must not be cheaper.
    Waivers are not looked at here; they need a date (see `gameday.plan.permit.waiver_for`).
    """
    rules = policy.rules(plan.target.environment)
    tier = tier_of(plan)
    found = []
    for approval in rules.approvals if rules else ():
        if approval.tiers and tier is not None and tier not in approval.tiers:
            continue
        which = f"tier {tier}" if tier is not None else "no tier given"
        found.append(
            Requirement(
                roles=approval.roles,
                number=approval.number,
                distinct_from_author=not approval.author_may,
                live=approval.live,
                why=f"environment {plan.target.environment}, {which}",
            )
        )
    return tuple(found)


def at_the_table(policy: Policy) -> Policy:
    """Return the policy for a walk round a table: nothing is touched there, so only the levers hold."""
    walked = (("table-top", Rules()),)
    return replace(policy, file="TABLE-TOP: nothing is touched", environments=walked, leases="")
