"""Disturb a link through a Toxiproxy-like interface: the lab's proxies, or a Toxiproxy of your own.

A toxic is named after the fault, so that its undo and its read-back find exactly this one. `api` is
where the interface is (`http://127.0.0.1:8474`); without it, it is the lab's. A toxic lives in the
proxy's memory: it survives the runner, and ends with the proxy.
"""

from __future__ import annotations

from typing import Any

from gameday.actions.http import ActionError, Configuration, ask, call, setting

__all__ = [
    "add_latency",
    "add_stall",
    "add_toxic",
    "cut",
    "fail_requests",
    "has_toxic",
    "heal",
    "is_cut",
    "is_partitioned",
    "limit_bandwidth",
    "lose_connections",
    "partition",
    "remove_toxic",
    "reset_connections",
    "restore",
]


def _url(configuration: Configuration, path: str, api: str = "") -> str:
    return (api.rstrip("/") or setting(configuration, "lab.toxiproxy")) + path


def add_toxic(
    proxy: str,
    name: str,
    kind: str,
    attributes: dict[str, Any] | None = None,
    stream: str = "downstream",
    toxicity: float = 1.0,
    api: str = "",
    configuration: Configuration = None,
) -> None:
    """Put a toxic on a proxy. The very same one that is there already is adopted.

    Raises:
        ActionError: There is no such proxy, or another toxic of that name on it.
    """
    body = {
        "name": name,
        "type": kind,
        "stream": stream,
        "toxicity": toxicity,
        "attributes": attributes or {},
    }
    status, answer = call("POST", _url(configuration, f"/proxies/{proxy}/toxics", api), body)
    if status == 409:
        found = _toxics(configuration, proxy, api).get(name, {})
        if any(found.get(key) != body[key] for key in ("type", "stream", "attributes")):
            raise ActionError(
                f"another toxic {name!r} is on proxy {proxy}: undo it, or choose another `name`"
            )
    elif status >= 300:
        reason = answer.get("error") if isinstance(answer, dict) else answer
        raise ActionError(f"HTTP {status}: {reason}")


def remove_toxic(proxy: str, name: str, api: str = "", configuration: Configuration = None) -> None:
    """Take a toxic off a proxy; one that is not there is no error."""
    status, answer = call("DELETE", _url(configuration, f"/proxies/{proxy}/toxics/{name}", api))
    if status >= 300 and status != 404:
        raise ActionError(f"HTTP {status}: {answer}")


def has_toxic(proxy: str, name: str, api: str = "", configuration: Configuration = None) -> bool:
    """Tell whether that very toxic is on the proxy."""
    return name in _toxics(configuration, proxy, api)


def _toxics(configuration: Configuration, proxy: str, api: str) -> dict[str, dict[str, Any]]:
    found = ask("GET", _url(configuration, f"/proxies/{proxy}", api))
    return {toxic["name"]: toxic for toxic in found["toxics"]}


def add_latency(
    proxy: str,
    latency_ms: int,
    jitter_ms: int = 0,
    name: str = "gameday-latency",
    stream: str = "downstream",
    api: str = "",
    configuration: Configuration = None,
) -> None:
    """Delay everything on a link by `latency_ms`, give or take `jitter_ms`."""
    attributes = {"latency": latency_ms, "jitter": jitter_ms}
    add_toxic(proxy, name, "latency", attributes, stream, api=api, configuration=configuration)


def add_stall(
    proxy: str,
    name: str = "gameday-stall",
    stream: str = "downstream",
    api: str = "",
    configuration: Configuration = None,
) -> None:
    """Let nothing pass: connections stay open, answers never come."""
    add_toxic(proxy, name, "timeout", {"timeout": 0}, stream, api=api, configuration=configuration)


def limit_bandwidth(
    proxy: str,
    kilobytes_per_s: int,
    name: str = "gameday-bandwidth",
    stream: str = "downstream",
    api: str = "",
    configuration: Configuration = None,
) -> None:
    """Let no more than so many kilobytes a second pass on each connection."""
    attributes = {"rate": kilobytes_per_s}
    add_toxic(proxy, name, "bandwidth", attributes, stream, api=api, configuration=configuration)


def reset_connections(
    proxy: str,
    after_ms: int = 0,
    name: str = "gameday-reset",
    api: str = "",
    configuration: Configuration = None,
) -> None:
    """Reset (TCP RST) every connection after `after_ms`, those that are open and new ones alike."""
    add_toxic(proxy, name, "reset_peer", {"timeout": after_ms}, api=api, configuration=configuration)


def lose_connections(
    proxy: str,
    percent: int,
    name: str = "gameday-loss",
    api: str = "",
    configuration: Configuration = None,
) -> None:
    """Lose `percent` of connections: they are taken, and what is sent on them is never answered.

    A TCP proxy cannot lose single packets (the kernel sends them again); where packets are meant, use
    `gameday.actions.kernelnet`.

    Raises:
        ActionError: `percent` is out of range.
    """
    if not isinstance(percent, int) or not 1 <= percent <= 100:
        raise ActionError(f"percent {percent!r}: expected a whole number from 1 to 100")
    share = percent / 100
    add_toxic(proxy, name, "timeout", {"timeout": 0}, toxicity=share, api=api, configuration=configuration)


def fail_requests(
    proxy: str,
    status: int = 503,
    percent: int = 100,
    name: str = "gameday-http-error",
    api: str = "",
    configuration: Configuration = None,
) -> None:
    """Answer `percent` of HTTP requests with an error; the service behind never hears of them.

    The lab's proxies can do this, Shopify's Toxiproxy cannot and says so.

    Raises:
        ActionError: A value is out of range, or the proxy cannot.
    """
    if not isinstance(percent, int) or not 1 <= percent <= 100:
        raise ActionError(f"percent {percent!r}: expected a whole number from 1 to 100")
    if not isinstance(status, int) or not 400 <= status <= 599:
        raise ActionError(f"status {status!r}: expected an HTTP error from 400 to 599")
    attributes = {"status": status, "percent": percent}
    add_toxic(proxy, name, "http_error", attributes, "upstream", api=api, configuration=configuration)


def cut(proxy: str, api: str = "", configuration: Configuration = None) -> None:
    """Cut a link: open connections are lost with the bytes in flight, new ones are refused.

    One that is cut already is adopted: the undo mends it.
    """
    ask("POST", _url(configuration, f"/proxies/{proxy}", api), {"enabled": False})


def restore(proxy: str, api: str = "", configuration: Configuration = None) -> None:
    """Mend a link that was cut."""
    ask("POST", _url(configuration, f"/proxies/{proxy}", api), {"enabled": True})


def is_cut(proxy: str, api: str = "", configuration: Configuration = None) -> bool:
    """Tell whether the link is cut."""
    return not ask("GET", _url(configuration, f"/proxies/{proxy}", api))["enabled"]


def partition(proxies: list[str], api: str = "", configuration: Configuration = None) -> None:
    """Cut several links, so that what is behind them is apart from the rest.

    Raises:
        ActionError: There is none to cut, or one cannot be cut.
    """
    if not proxies:
        raise ActionError("proxies: an empty list is no target")
    for proxy in proxies:  # All of them must be there before the first is cut.
        is_cut(proxy, api, configuration)
    for proxy in proxies:
        cut(proxy, api, configuration)


def heal(proxies: list[str], api: str = "", configuration: Configuration = None) -> None:
    """Mend several links; one that cannot be mended does not stop the others.

    Raises:
        ActionError: At least one cannot be mended.
    """
    errors = []
    for proxy in proxies:
        try:
            restore(proxy, api, configuration)
        except ActionError as error:
            errors.append(f"{proxy}: {error}")
    if errors:
        raise ActionError("; ".join(errors))


def is_partitioned(proxies: list[str], api: str = "", configuration: Configuration = None) -> bool:
    """Tell whether at least one of the links is cut."""
    return any(is_cut(proxy, api, configuration) for proxy in proxies)
