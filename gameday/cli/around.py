"""What is done at a desk before and after a drill. Each module is read only when it is asked for."""

from __future__ import annotations

import argparse


def carry_out(asked: argparse.Namespace) -> int:
    """Carry out one of these commands and return its exit code."""
    from gameday.cli.newplans import new  # noqa: PLC0415 - each command pays only for itself

    return new(asked)
