"""`gameday readiness`: what a service has shown, what was signed for it, what is missing."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

from gameday.cli import exits
from gameday.cli.asked import login, project_here, writing
from gameday.cli.people import ssh_key
from gameday.errors import UsageError
from gameday.evidence.readiness import Item, Ready, overall
from gameday.evidence.words import shown
from gameday.hosts.clock import utc_text
from gameday.plan.policyfile import find_policy
from gameday.runner.approvals import FOLDER
from gameday.runner.readiness import read_readiness, sign_item

SIGNERS = "allowed_signers"
_EXIT = {Ready.YES: exits.PASS, Ready.NO: exits.FAIL, Ready.UNKNOWN: exits.UNKNOWN}
_MARKS = {Ready.YES: "yes    ", Ready.NO: "NO     ", Ready.UNKNOWN: "unknown"}


def readiness(asked: argparse.Namespace) -> int:
    """Show the checklist of a service, or sign one of its items; 0 ready, 1 not, 4 not known."""
    project = project_here()
    signers = Path(asked.signers) if asked.signers else project / FOLDER / SIGNERS
    if asked.sign:
        return _sign(asked, project, signers)
    today = utc_text()[:10]
    items = read_readiness(project, asked.service, signers=signers, today=today, policy=asked.policy)
    state = overall(items)
    if asked.json:
        told = {"service": asked.service, "today": today, "ready": state, "items": [asdict(i) for i in items]}
        print(json.dumps(told, indent=1, ensure_ascii=False))
        return _EXIT[state]
    words = {Ready.YES: "ready", Ready.NO: "NOT READY", Ready.UNKNOWN: "NOT KNOWN TO BE READY"}
    print(f"{shown(asked.service)}: {words[state]}")
    for line in _lines(items):
        print(line)
    return _EXIT[state]


def _lines(items: list[Item]) -> list[str]:
    width = max(len(shown(item.name)) for item in items)
    by = max(len(shown(item.by)) for item in items)
    return [
        f"  {_MARKS[item.state]}  {shown(item.name):{width}}  {shown(item.by):{by}}  {shown(item.why)}"
        for item in items
    ]


def _sign(asked: argparse.Namespace, project: Path, signers: Path) -> int:
    known = find_policy(project, asked.policy).readiness
    if asked.sign not in known:
        there = ", ".join(repr(item) for item in known) or "none: name them under `readiness:` in policy.yaml"
        raise UsageError(
            f"readiness: {asked.sign!r} is no item that people sign: expected one of {there}",
            todo="What drills show is computed and cannot be signed.",
        )
    today = date.fromisoformat(utc_text()[:10])
    until = asked.until or (today + timedelta(days=90)).isoformat()
    try:
        is_past = date.fromisoformat(until) < today
    except ValueError:
        raise UsageError(f"--until {until!r}: expected a day like 2027-03-31") from None
    if is_past:
        raise UsageError(f"--until {until}: is over already", todo="Name a day to come.")
    who, key = asked.who or login(), ssh_key(asked.key)
    with writing(project / "readiness"):
        signed = sign_item(project, asked.service, asked.sign, who=who, key=key, signers=signers, until=until)
    print(f"signed by {signed.principal} for {asked.service}, until {until}: {asked.sign}")
    return exits.PASS
