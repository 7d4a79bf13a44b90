"""Faults and steps on the servers of a lab that somebody else's controller watches: Sentinels, Patroni."""

from __future__ import annotations

from gameday.actions.http import Configuration, lab

__all__ = ["are_rebuilding", "go_home", "is_down", "kill", "rebuild_replicas", "start", "wait_replicas"]


def kill(node: str, configuration: Configuration = None) -> None:
    """Lose the server's machine: all its processes at once. Its disk is there when it comes back."""
    lab(configuration, "POST", f"/nodes/{node}/kill", {})


def start(node: str, configuration: Configuration = None) -> None:
    """Start the server again, as whatever its controller makes of it."""
    lab(configuration, "POST", f"/nodes/{node}/start", {})


def is_down(node: str, configuration: Configuration = None) -> bool:
    """Tell whether the server does not answer."""
    return bool(lab(configuration, "GET", "/state")["nodes"][node]["role"] == "down")


def rebuild_replicas(configuration: Configuration = None) -> None:
    """Make every replica anew, empty: until its first synchronisation has ended it has nothing."""
    lab(configuration, "POST", "/replicas/rebuild", {})


def wait_replicas(configuration: Configuration = None) -> None:
    """Wait until every replica follows."""
    lab(configuration, "POST", "/replicas/wait", {})


def are_rebuilding(configuration: Configuration = None) -> bool:
    """Tell whether a replica does not follow yet."""
    return bool(lab(configuration, "GET", "/state")["rebuilding"])


def go_home(configuration: Configuration = None) -> None:
    """Lead the system back to where it began, by the controller's own planned fail-over."""
    lab(configuration, "POST", "/home", {})
