"""gameday runs a failure drill, stops it in time, takes its faults back, and proves what happened."""

from __future__ import annotations

__version__ = "0.1.0"


def discover(discover_system: bool = True) -> dict[str, object]:
    """Tell `chaos discover gameday` which actions and probes there are."""
    from gameday.chaostoolkit.discovery import discovered  # noqa: PLC0415 - only Chaos Toolkit asks

    return discovered(discover_system=discover_system)
