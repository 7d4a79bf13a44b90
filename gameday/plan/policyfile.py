"""Read a policy file: all of its problems at once, or a Policy. Unknown keys are refused everywhere.

It is found by `--policy FILE`, else by GAMEDAY_POLICY, else as `policy.yaml` in the project's folder.
A file that was named and cannot be read is an error: no policy is never meant by a typing mistake.
"""

from __future__ import annotations

import os
import re
import zoneinfo
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from gameday.canonical import canonical, to_json
from gameday.errors import PlanError
from gameday.plan.border import validate
from gameday.plan.budgetfile import BudgetIn, budget, budget_trouble
from gameday.plan.keepingfile import KeepingIn, keeping
from gameday.plan.noticefile import NoticeIn, notices
from gameday.plan.objecturl import SCHEME, object_url
from gameday.plan.policy import (
    LEASE_EXPIRES_NS,
    LEVER_SILENCE_NS,
    RETEST_DAYS,
    WAIVABLE,
    Approval,
    Blackout,
    Policy,
    Rule,
    Rules,
    Waiver,
    Window,
    default_policy,
    nameless,
)
from gameday.plan.policyshape import CalendarDay
from gameday.plan.radius import parse_cap
from gameday.plan.shape import Duration, Key, Name, Part
from gameday.plan.source import Source, Where, read_source

POLICY_FILE = "policy.yaml"
STORED_FILE = "policy.json"
POLICY_VARIABLE = "GAMEDAY_POLICY"
CONDITION_KINDS = (
    "silence", "control", "slo", "probe", "burn-rate", "budget", "failed-requests", "duration", "load",
    "alert",
)  # fmt: skip
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(([01]\d|2[0-3]):([0-5]\d)|24:00)\Z")
_MODULE = re.compile(r"(\*|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(\.\*)?)\Z")

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Tier = Annotated[int, Field(ge=0, le=9)]


def _hours(text: str) -> str:
    if not _HOURS.match(text):
        raise ValueError(f"{text!r}: expected hours like 09:00-17:00")
    return text


def _cap(text: str) -> str:
    return str(parse_cap(text))


def _module(text: str) -> str:
    if not _MODULE.match(text):
        raise ValueError(f"{text!r}: expected a module, or all below one, like gameday.actions.*")
    return text


def _zone(text: str) -> str:
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        if text != "UTC":
            raise ValueError(f"{text!r}: no such time zone here: expected one like Europe/Berlin") from None
    return text


def _lever(text: str) -> str:
    if text.startswith(SCHEME):
        object_url(text)
        return text
    parts = urlsplit(text)
    if not parts.scheme and Path(text).is_absolute():
        return text
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text!r}: expected an absolute path, or an http, https or s3 URL")
    if parts.username or parts.password:
        raise ValueError("a lever's URL must not hold a password: the policy stands in every record")
    return text


def _leases(text: str) -> str:
    if text.startswith(SCHEME):
        object_url(text, is_prefix=True)
        return text
    if not Path(text).is_absolute():
        raise ValueError(f"{text!r}: expected an absolute path, or something like s3://bucket/leases")
    return text


def _waivable(text: str) -> str:
    if text not in WAIVABLE:
        raise ValueError(f"{text!r} cannot be waived: expected one of {', '.join(WAIVABLE)}")
    return text


def _condition(text: str) -> str:
    if text not in CONDITION_KINDS:
        raise ValueError(f"{text!r}: expected one of {', '.join(CONDITION_KINDS)}")
    return text


class WindowIn(Part):
    """Days of the week and hours of the day in which drills may run."""

    days: list[Day] = Field(min_length=1)
    hours: Annotated[str, AfterValidator(_hours)]


class BlackoutIn(Part):
    """Days on which nothing may run."""

    first: CalendarDay = Field(alias="from")
    last: CalendarDay = Field(alias="to")
    reason: Name


class ApprovalIn(Part):
    """So many people of one of these roles must approve."""

    roles: list[Key] = Field(min_length=1)
    number: int = Field(default=1, ge=1, le=9)
    tiers: list[Tier] = Field(default_factory=list)
    author_may: bool = False
    live: bool = False


class WaiverIn(Part):
    """One rule set aside until the end of a day, with a name and a reason."""

    rule: Annotated[str, AfterValidator(_waivable)]
    plan: Name | None = None
    environment: Key | None = None
    reason: Name
    by: Name
    until: CalendarDay


class RulesIn(Part):
    """What can be said for all environments, and again for one."""

    windows: list[WindowIn] | None = None
    ttl: Duration | None = None
    duration: Duration | None = None
    targets: Annotated[str, AfterValidator(_cap)] | None = None
    at_once: int | None = Field(default=None, ge=1)
    only: list[Name] | None = None
    protect: list[Name] | None = None
    stop_conditions: list[Annotated[str, AfterValidator(_condition)]] | None = None
    native_ttl: bool | None = None
    modules: list[Annotated[str, AfterValidator(_module)]] | None = None
    providers: list[Literal["python", "process", "http"]] | None = None
    synchronised_clock: bool | None = None
    papers: list[Name] | None = None
    not_red: list[Key] | None = None
    approvals: list[ApprovalIn] | None = None
    error_budget: list[BudgetIn] | None = None


class ExperimentsIn(Part):
    """What a Chaos Toolkit experiment does not say of itself."""

    environment: Key


class PolicyIn(RulesIn, KeepingIn):
    """The operator's policy."""

    environments: dict[Key, RulesIn | None] = Field(min_length=1)
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    blackouts: list[BlackoutIn] = Field(default_factory=list)
    waivers: list[WaiverIn] = Field(default_factory=list)
    levers: list[Annotated[str, AfterValidator(_lever)]] = Field(default_factory=list, max_length=8)
    lever_silence: Duration = LEVER_SILENCE_NS
    leases: Annotated[str, AfterValidator(_leases)] = ""
    lease_expires: Duration = LEASE_EXPIRES_NS
    experiments: ExperimentsIn | None = None
    retest_days: Annotated[int, Field(ge=1, le=3660)] = RETEST_DAYS
    readiness: list[Name] = Field(default_factory=list, max_length=40)
    notices: list[NoticeIn] = Field(default_factory=list, max_length=50)


def find_policy(
    project: Path, named: str | None = None, environment: Mapping[str, str] | None = None
) -> Policy:
    """Return the policy in force for a project.

    Args:
        project: The project's folder.
        named: The file named on the command line, which comes first.
        environment: Where GAMEDAY_POLICY is looked for; None for our own.

    Raises:
        PlanError: The file cannot be read, or something is wrong with it.
    """
    variables = os.environ if environment is None else environment
    chosen = named or variables.get(POLICY_VARIABLE)
    if chosen:
        return load_policy(Path(chosen))
    path = project / POLICY_FILE
    # A link that leads nowhere is a file that cannot be read, not a file that is not there.
    if path.exists() or path.is_symlink():
        return load_policy(path, POLICY_FILE)
    return default_policy()


def write_policy(run_dir: Path, policy: Policy) -> None:
    """Write `policy.json` beside the plan of a run: the canonical JSON whose SHA-256 is its digest."""
    fd = os.open(run_dir / STORED_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(canonical(to_json(nameless(policy))) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def load_policy(path: Path, shown: str | None = None) -> Policy:
    """Return the policy in a file.

    Raises:
        PlanError: Something is wrong with it; every problem is listed with its place.
    """
    source = read_source(path, shown)
    if not isinstance(source.data, dict):
        source.complain((), "is no mapping: expected a policy with environments, limits…")
        raise PlanError(tuple(source.problems))
    written = validate(PolicyIn, source)
    if written is not None:
        _check(written, source)
    if written is None or source.problems:
        raise PlanError(tuple(sorted(set(source.problems))))
    return _policy(written, source.file)


def _check(written: PolicyIn, source: Source) -> None:
    for number, item in enumerate(written.blackouts):
        if item.last < item.first:
            said = f"{item.last!r} is before its `from`, {item.first!r}"
            source.complain(("blackouts", number, "to"), said)
    for number, waiver in enumerate(written.waivers):
        known = ", ".join(sorted(written.environments))
        if waiver.environment is not None and waiver.environment not in written.environments:
            place: Where = ("waivers", number, "environment")
            source.complain(place, f"{waiver.environment!r}: no such environment; there are {known}")
    for place, rules in _said(written):
        for number, floor in enumerate(rules.error_budget or ()):
            if said := budget_trouble(floor):
                source.complain((*place, "error_budget", number), said)
    if written.lease_expires < 10**9:
        source.complain(("lease_expires",), "a lease of less than 1 s cannot be kept: expected 1s or more")


def _said(written: PolicyIn) -> Iterator[tuple[Where, RulesIn]]:
    yield (), written
    for name, own in written.environments.items():
        if own is not None:
            yield ("environments", name), own


def _policy(written: PolicyIn, file: str) -> Policy:
    return Policy(
        file=file,
        environments=tuple(
            (name, _rules(written, own)) for name, own in sorted(written.environments.items())
        ),
        zone=written.time_zone,
        blackouts=tuple(Blackout(item.first, item.last, item.reason) for item in written.blackouts),
        waivers=tuple(
            Waiver(str(w.rule), w.plan or "", w.environment or "", w.reason, w.by, w.until)
            for w in written.waivers
        ),
        levers=tuple(written.levers),
        lever_silence_ns=written.lever_silence,
        leases=written.leases,
        lease_expires_ns=written.lease_expires,
        retest_days=written.retest_days,
        keeping=keeping(written),
        readiness=tuple(written.readiness),
        experiments=written.experiments.environment if written.experiments else "",
        notices=notices(written.notices),
    )


def _rules(written: PolicyIn, own: RulesIn | None) -> Rules:
    """Return the rules of one environment: what it says itself, else what is said for all."""
    found: dict[str, Any] = {}
    for name in RulesIn.model_fields:
        value = getattr(own, name) if own is not None else None
        value = getattr(written, name) if value is None else value
        if value is not None:
            found[name] = value
    values = dict(_values(found))
    return Rules(**values, said=tuple(sorted(str(Rule(name)) for name in found)))


def _values(found: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    names = {"ttl": "ttl_ns", "duration": "duration_ns", "targets": "cap"}
    for name, value in found.items():
        match name:
            case "windows":
                yield name, tuple(_window(item) for item in value)
            case "approvals":
                yield (
                    name,
                    tuple(
                        Approval(tuple(a.roles), a.number, tuple(a.tiers), a.author_may, a.live)
                        for a in value
                    ),
                )
            case "error_budget":
                yield name, tuple(budget(item) for item in value)
            case _:
                yield names.get(name, name), tuple(value) if isinstance(value, list) else value


def _window(item: WindowIn) -> Window:
    begin, _, end = item.hours.partition("-")
    return Window(tuple(sorted({DAYS.index(day) for day in item.days})), _minute(begin), _minute(end))


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])
