"""What is known of the wall clock's error, from chrony where it runs.

bound = |system offset| + root dispersion + root delay / 2. Without a synchronised chrony the bound
is unknown, which is recorded as such: it is never taken for zero.

Source: RFC 5905, section 4 (root distance), as chronyc(1) reports it under `tracking`.
"""

from __future__ import annotations

import shutil
import subprocess
import time

from gameday.history.events import ClockRead
from gameday.hosts.clock import boot_ns
from gameday.procfs import boot_id

_TIMEOUT_S = 2.0


def read_clock() -> ClockRead:
    """Return the wall clock's state now. Never raises; unknown is an answer."""
    offset = str(time.time_ns() - boot_ns())
    program = shutil.which("chronyc")
    if program is None:
        return ClockRead("unsynchronised: no chrony on this machine", None, offset, boot_id())
    try:
        done = subprocess.run(
            [program, "-n", "-c", "tracking"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=True
        )
        return ClockRead("chrony", bound_ns(done.stdout), offset, boot_id())
    except (OSError, subprocess.SubprocessError, ValueError):
        return ClockRead("unsynchronised: chrony does not answer", None, offset, boot_id())


def bound_ns(tracking: str) -> int | None:
    """Return the error bound from one line of `chronyc -c tracking`; None when not synchronised.

    Raises:
        ValueError: The line is not of that form.
    """
    fields = tracking.strip().split(",")
    if len(fields) < 14:
        raise ValueError(f"expected 14 fields, got {len(fields)}")
    if fields[13] == "Not synchronised":
        return None
    offset_s, delay_s, dispersion_s = float(fields[4]), float(fields[10]), float(fields[11])
    return int((abs(offset_s) + dispersion_s + delay_s / 2) * 1_000_000_000)
