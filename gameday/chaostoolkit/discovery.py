"""What `chaos discover gameday` is told: every action and probe of ours, as it asks for them."""

from __future__ import annotations

from typing import Any

from gameday import __version__
from gameday.hosts.extensions import OURS, extensions

CONTROLS = ("gameday.chaostoolkit.guard", "gameday.chaostoolkit.evidence")


def discovered(*, discover_system: bool) -> dict[str, Any]:
    """Return the discovery in chaoslib's shape. Of a system there is nothing to tell."""
    from chaoslib.discovery import (  # noqa: PLC0415 - this runs inside `chaos`, which has it
        discover_actions,
        discover_probes,
        initialize_discovery_result,
    )

    del discover_system
    found: dict[str, Any] = initialize_discovery_result(OURS, __version__, OURS)
    kinds = {
        offered.name: offered.kind for offered in extensions().offered if offered.name.startswith(f"{OURS}.")
    }
    for module in sorted({name.rpartition(".")[0] for name in kinds}):
        for kind, look in (("action", discover_actions), ("probe", discover_probes)):
            found["activities"] += [
                item for item in look(module) if kinds.get(f"{item['mod']}.{item['name']}") == kind
            ]
    return found
