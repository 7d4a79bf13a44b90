"""Load from the command line: what serves a drill's load from another machine."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from gameday.errors import UsageError

_SO = "gameday load worker --master 10.0.0.7:5557 --profile loadprofiles/orders.py"


def load(asked: argparse.Namespace) -> int:
    """Carry out one of these commands and return its exit code.

    Raises:
        UsageError: Something is missing or wrong on the command line.
    """
    return worker(asked)


def worker(asked: argparse.Namespace) -> int:
    """Become a worker of a drill's load: this process is replaced by it.

    Raises:
        UsageError: The master's address or the profile is missing or wrong.
    """
    host, _, port = (asked.master or "").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        given = asked.master or "is missing"
        raise UsageError(f"load worker: --master {given}: expected HOST:PORT", todo=_SO)
    if not asked.profile or not Path(asked.profile).is_file():
        raise UsageError(f"load worker: --profile {asked.profile or 'is missing'}: expected a file", todo=_SO)
    words = [host, port, str(Path(asked.profile).resolve()), asked.sha256]
    os.execv(sys.executable, [sys.executable, "-m", "gameday.hosts.loadhost", "worker", *words])  # noqa: S606
