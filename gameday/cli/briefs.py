"""`gameday brief`: the page before a drill, for those who take part or lead it, or its calendar entry."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from gameday.cli import exits
from gameday.cli.output import put
from gameday.errors import NotAuthorised, UsageError
from gameday.evidence.briefing import Slot, for_facilitators, for_participants
from gameday.evidence.calendarfile import calendar
from gameday.evidence.pages import as_html, markdown
from gameday.plan.lasting import longest_ns
from gameday.plan.load import find_project, load_plan
from gameday.plan.model import Plan
from gameday.plan.permit import Refusal, waiver_for
from gameday.plan.policy import Policy, Rules
from gameday.plan.policyfile import find_policy
from gameday.plan.when import closed


def brief(asked: argparse.Namespace) -> int:
    """Write the page or the calendar entry and return the exit code.

    Raises:
        UsageError: `--at` is no time to come, or is missing for a calendar entry.
        NotAuthorised: The policy lets no drill run then.
    """
    path = Path(asked.plan)
    policy = find_policy(find_project(path), asked.policy)
    plan, now = load_plan(path, policy=policy), datetime.now(UTC)
    at = moment(asked.at, now) if asked.at else None
    if at is not None:
        check_open(plan, policy, at)
    if asked.form == "ics":
        if at is None:
            raise UsageError(
                "brief --as ics: --at is missing", todo="Say when, with its zone: --at 2026-12-10T14:00Z."
            )
        put(calendar(plan, policy, at, now).encode(), asked.output)
        return exits.PASS
    made = for_facilitators if asked.reader == "facilitators" else for_participants
    page = made(plan, Slot(policy, at))
    put((as_html(page) if asked.form == "html" else markdown(page)).encode(), asked.output)
    return exits.PASS


def moment(text: str, now: datetime) -> datetime:
    """Return a time to come that knows its zone.

    Raises:
        UsageError: It is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise UsageError(f"--at {text}: expected a time with its zone, like 2026-12-10T14:00Z")
    if found <= now:
        raise UsageError(f"--at {text}: is past; it is {now:%Y-%m-%dT%H:%M}Z now")
    return found


def check_open(plan: Plan, policy: Policy, at: datetime) -> None:
    """Refuse a time at which the policy would refuse the drill itself.

    Raises:
        NotAuthorised: It lies in a blackout, or outside every window.
    """
    rules = policy.rules(plan.target.environment) or Rules()
    refused = [
        item
        for item in closed(policy, rules, at, longest_ns(plan, policy), Refusal)
        if waiver_for(policy, item.rule, plan, at) is None
    ]
    if refused:
        reasons = "; ".join(f"{item.rule}: {item.reason}" for item in refused)
        raise NotAuthorised(
            f"no drill may run at {at:%Y-%m-%dT%H:%M%z}: {reasons}",
            todo=f"Choose another time; {policy.file} says which.",
        )
