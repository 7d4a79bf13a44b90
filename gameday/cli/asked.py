"""What every command may be asked."""

from __future__ import annotations

import argparse
import getpass


def operator(asked: argparse.Namespace) -> str:
    """Return who asks, as claimed."""
    return asked.by or getpass.getuser()
