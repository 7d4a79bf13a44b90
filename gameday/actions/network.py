"""Disturb a link through a Toxiproxy-like interface: the lab's proxies, or a Toxiproxy of your own.

A toxic is named after the fault, so that its undo and its read-back find exactly this one.
"""

from __future__ import annotations

from typing import Any

from gameday.actions.http import ActionError, Configuration, ask, call, setting

__all__ = ["add_latency", "add_stall", "add_toxic", "cut", "has_toxic", "is_cut", "remove_toxic", "restore"]


def _url(configuration: Configuration, path: str) -> str:
    return setting(configuration, "lab.toxiproxy") + path


def add_toxic(
    proxy: str,
    name: str,
    kind: str,
    attributes: dict[str, Any] | None = None,
    stream: str = "downstream",
    configuration: Configuration = None,
) -> None:
    """Put a toxic on a proxy. One of that name that is there already is left as it is."""
    body = {"name": name, "type": kind, "stream": stream, "attributes": attributes or {}}
    status, answer = call("POST", _url(configuration, f"/proxies/{proxy}/toxics"), body)
    if status >= 300 and status != 409:
        raise ActionError(f"HTTP {status}: {answer}")


def remove_toxic(proxy: str, name: str, configuration: Configuration = None) -> None:
    """Take a toxic off a proxy; one that is not there is no error."""
    status, answer = call("DELETE", _url(configuration, f"/proxies/{proxy}/toxics/{name}"))
    if status >= 300 and status != 404:
        raise ActionError(f"HTTP {status}: {answer}")


def has_toxic(proxy: str, name: str, configuration: Configuration = None) -> bool:
    """Tell whether that very toxic is on the proxy."""
    found = ask("GET", _url(configuration, f"/proxies/{proxy}"))
    return any(toxic["name"] == name for toxic in found["toxics"])


def add_latency(
    proxy: str,
    latency_ms: int,
    jitter_ms: int = 0,
    name: str = "gameday-latency",
    stream: str = "downstream",
    configuration: Configuration = None,
) -> None:
    """Delay everything on a link by `latency_ms`, give or take `jitter_ms`."""
    attributes = {"latency": latency_ms, "jitter": jitter_ms}
    add_toxic(proxy, name, "latency", attributes, stream, configuration)


def add_stall(
    proxy: str, name: str = "gameday-stall", stream: str = "downstream", configuration: Configuration = None
) -> None:
    """Let nothing pass: connections stay open, answers never come."""
    add_toxic(proxy, name, "timeout", {"timeout": 0}, stream, configuration)


def cut(proxy: str, configuration: Configuration = None) -> None:
    """Cut a link: open connections are lost with the bytes in flight, new ones are refused."""
    ask("POST", _url(configuration, f"/proxies/{proxy}"), {"enabled": False})


def restore(proxy: str, configuration: Configuration = None) -> None:
    """Mend a link that was cut."""
    ask("POST", _url(configuration, f"/proxies/{proxy}"), {"enabled": True})


def is_cut(proxy: str, configuration: Configuration = None) -> bool:
    """Tell whether the link is cut."""
    return not ask("GET", _url(configuration, f"/proxies/{proxy}"))["enabled"]
