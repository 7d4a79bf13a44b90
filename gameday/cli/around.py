"""What is done at a desk before and after a drill. A command pays only for its own modules."""

from __future__ import annotations

import argparse


def carry_out(asked: argparse.Namespace) -> int:
    """Carry out one of these commands and return its exit code."""
    match asked.command:
        case "new":
            from gameday.cli.newplans import new  # noqa: PLC0415 - each command pays only for itself

            return new(asked)
        case "notify":
            from gameday.cli.notifying import notify  # noqa: PLC0415

            return notify(asked)
        case "runbook":
            from gameday.cli.runbooks import runbook  # noqa: PLC0415

            return runbook(asked)
        case "writeup":
            from gameday.cli.writeups import write  # noqa: PLC0415

            return write(asked)
        case _:
            from gameday.cli.briefs import brief  # noqa: PLC0415

            return brief(asked)
