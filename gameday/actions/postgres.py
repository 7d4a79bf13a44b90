"""Faults and failover steps on the lab's PostgreSQL pair. Each may be repeated without harm."""

from __future__ import annotations

from typing import Any

from gameday.actions.http import Configuration, lab

__all__ = [
    "checkpoint",
    "fence",
    "is_down",
    "is_fenced",
    "is_primary",
    "is_streaming",
    "kill",
    "promote",
    "rejoin",
    "restore",
    "start",
    "stop",
    "unfence",
]


def _do(configuration: Configuration, node: str, action: str, **body: Any) -> None:
    lab(configuration, "POST", f"/nodes/{node}/{action}", body)


def _node(configuration: Configuration, node: str) -> dict[str, Any]:
    found: dict[str, Any] = lab(configuration, "GET", "/state")["nodes"][node]
    return found


def kill(node: str, configuration: Configuration = None) -> None:
    """Lose the node's machine: its processes, its links, and the bytes in flight on them."""
    _do(configuration, node, "kill")


def stop(node: str, configuration: Configuration = None) -> None:
    """Stop the node in order; what it acknowledged reaches its standby first."""
    _do(configuration, node, "stop")


def start(node: str, configuration: Configuration = None) -> None:
    """Start the node in the role that it had. A fenced node is not started."""
    _do(configuration, node, "start")


def fence(node: str, configuration: Configuration = None) -> None:
    """Make sure that the node can take no more writes: stop it, and refuse to start it."""
    _do(configuration, node, "fence")


def unfence(node: str, configuration: Configuration = None) -> None:
    """Let the node be started again."""
    _do(configuration, node, "unfence")


def restore(node: str, configuration: Configuration = None) -> None:
    """Let a node that was fenced be started again, and start it in the role that it had."""
    _do(configuration, node, "unfence")
    _do(configuration, node, "start")


def promote(node: str, configuration: Configuration = None) -> None:
    """Make the standby a primary. Refused while another unfenced primary runs."""
    _do(configuration, node, "promote")


def checkpoint(node: str, configuration: Configuration = None) -> None:
    """Write a checkpoint, so that a later rewind sees the new timeline."""
    _do(configuration, node, "checkpoint")


def rejoin(node: str, source: str, configuration: Configuration = None) -> None:
    """Bring the node back as a standby of `source`, rewound to where they parted."""
    _do(configuration, node, "rejoin", source=source)


def is_down(node: str, configuration: Configuration = None) -> bool:
    """Tell whether the node serves nobody: neither a primary nor a streaming standby."""
    found = _node(configuration, node)
    return not (found["role"] == "primary" or found["streaming"])


def is_fenced(node: str, configuration: Configuration = None) -> bool:
    """Tell whether the node is fenced."""
    return bool(_node(configuration, node)["fenced"])


def is_primary(node: str, configuration: Configuration = None) -> bool:
    """Tell whether the node takes writes."""
    return bool(_node(configuration, node)["role"] == "primary")


def is_streaming(node: str, configuration: Configuration = None) -> bool:
    """Tell whether the node is a standby that receives from its primary."""
    return bool(_node(configuration, node)["streaming"])
