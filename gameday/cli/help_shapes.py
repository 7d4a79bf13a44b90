"""What a command's help is made of, and the arguments that several commands share."""

from __future__ import annotations

from typing import Any, NamedTuple

Argument = tuple[tuple[str, ...], dict[str, Any]]


class Text(NamedTuple):
    """What a person reads about one command."""

    line: str
    example: str
    arguments: tuple[Argument, ...] = ()


PLAN: Argument = (("plan",), {"metavar": "PLAN", "help": "a plan file"})
RUN: Argument = (
    ("run",),
    {"metavar": "RUN", "nargs": "?", "help": "a run's folder or the start of its id (the latest)"},
)
JSON: Argument = (("--json",), {"action": "store_true", "help": "say it as JSON"})
BY: Argument = (("--by",), {"metavar": "NAME", "default": "", "help": "who you are (recorded as claimed)"})
POLICY: Argument = (
    ("--policy",),
    {"metavar": "FILE", "help": "the operator's policy (GAMEDAY_POLICY, else policy.yaml)"},
)
