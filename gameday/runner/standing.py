"""Whether a capacity sign-off still holds: who signed it, until when, and for which artefact.

It lapses by itself, on its day or when another artefact runs. What cannot be read is not known to hold.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from gameday.capacity.signoff import Decision
from gameday.checkers.capacity import Assessment, assess
from gameday.checkers.view import view_of
from gameday.errors import GameDayError, UsageError
from gameday.history.read import read_trace
from gameday.hosts.sshkeygen import verify
from gameday.plan.bind import bind
from gameday.plan.model import Plan
from gameday.plan.stored import read_plan
from gameday.runner.arming import find_values
from gameday.runner.artefact import read_artefact
from gameday.runner.sealing import BUNDLE
from gameday.runner.signoff import ADDENDA, CAPACITY_OWNER, NAMESPACE

_TERMS = ("decision", "required_per_1000s", "artefact", "expires_utc")


class Word(StrEnum):
    """How a sign-off stands."""

    VALID = "VALID"
    LAPSED = "LAPSED"
    NO_GO = "NO-GO"
    UNDECIDED = "UNDECIDED"
    NOT_SIGNED = "NOT SIGNED"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Standing:
    """A word, why, and the terms that it is about."""

    word: Word
    reasons: tuple[str, ...]
    terms: dict[str, Any]


def standing(run_dir: Path, signers: Path, project: Path, *, artefact: str, today: str) -> Standing:
    """Return how a run's sign-off stands.

    Args:
        run_dir: The run's folder.
        signers: The allowed_signers file that says whose key is whose.
        project: The project's folder, for where the artefact is read.
        artefact: Which artefact it is now; empty to read it where the plan says.
        today: The day, as YYYY-MM-DD.

    Raises:
        UsageError: The run is no capacity sign-off.
    """
    plan = read_plan(run_dir)
    found = assess(view_of(plan, read_trace(run_dir)))
    if found is None:
        raise UsageError(f"{run_dir.name} is no capacity sign-off: its plan is of kind {plan.kind}")
    decided = found.decision.decision
    terms: dict[str, Any] = {
        "decision": str(decided), "required_per_1000s": found.decision.required_per_1000s,
        "artefact": found.artefact, "expires_utc": found.expires_utc,
    }  # fmt: skip
    if decided is not Decision.GO:
        word = Word.NO_GO if decided is Decision.NO_GO else Word.UNDECIDED
        why = "; ".join(found.decision.reasons) or "the trials did not show it"
        return Standing(word, (f"{_rate(found)} was not shown: {why}",), terms)
    now, trouble = _artefact_now(plan, found, project, artefact)
    terms["artefact_now"] = now
    lapsed = []
    if today > found.expires_utc:
        lapsed.append(f"it was valid until {found.expires_utc}")
    if now and now != found.artefact:
        lapsed.append(f"it is for artefact {found.artefact}, now it is {now}")
    if lapsed:
        return Standing(Word.LAPSED, tuple(lapsed), terms)
    signed = _signatures(run_dir, signers, terms)
    if not signed:
        todo = f"`gameday signoff {run_dir.name} --role {CAPACITY_OWNER}` signs it"
        return Standing(Word.NOT_SIGNED, (f"no {CAPACITY_OWNER} has signed for these terms: {todo}",), terms)
    if trouble:
        return Standing(Word.UNKNOWN, (trouble, "name it with --artefact"), terms)
    said = f"{_rate(found)} for artefact {found.artefact}, until {found.expires_utc}"
    return Standing(Word.VALID, (said, f"signed by {', '.join(signed)}"), terms)


def _rate(found: Assessment) -> str:
    return f"{found.decision.required_per_1000s / 1000:g}/s"


def _artefact_now(plan: Plan, found: Assessment, project: Path, given: str) -> tuple[str, str]:
    """Return the artefact as it is now, or why nobody knows."""
    if given:
        return given, ""
    if found.capacity.artefact.digest:
        return "", "the plan gives its artefact as text, so nothing tells which one runs now"
    try:
        bound = bind(plan, find_values(plan, project)).capacity
        assert bound is not None
        return read_artefact(bound.artefact, project).digest, ""
    except GameDayError as error:
        return "", f"which artefact runs now is not known: {error}"


def _signatures(run_dir: Path, signers: Path, terms: dict[str, Any]) -> list[str]:
    """Return who signed for exactly these terms with a key that is theirs."""
    names = []
    for path in sorted((run_dir / BUNDLE / ADDENDA).glob("[0-9]*/signoff-*.json")):
        try:
            data = path.read_bytes()
            said = json.loads(data)
            signature = path.with_name(f"{path.name}.sig").read_bytes()
            held = verify(data, signature, signers.read_bytes(), str(said["principal"]), NAMESPACE)
        except (OSError, ValueError, KeyError, TypeError, GameDayError):
            continue  # What is no sign-off signs nothing; `gameday verify` says what is wrong with it.
        mine = all(said.get(key) == terms[key] for key in _TERMS)
        if held.names and mine and said.get("role") == CAPACITY_OWNER and said.get("run") == run_dir.name:
            names.append(str(said["principal"]))
    return names
