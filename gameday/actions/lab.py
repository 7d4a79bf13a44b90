"""Steps on the lab as a whole: notice the loss, move the users, see that orders work."""

from __future__ import annotations

import time
import uuid

from gameday.actions.http import ActionError, Configuration, ask, call, lab, setting

__all__ = [
    "is_synchronous",
    "set_replication",
    "switch_users_path",
    "users_path_is",
    "verify_order",
    "wait_caught_up",
    "wait_unhealthy",
]


def wait_unhealthy(
    misses: int = 3,
    every_s: float = 0.1,
    within_s: float = 20.0,
    path: str = "/health",
    configuration: Configuration = None,
) -> None:
    """Wait until the users' path fails its own health check, or `path`, several times in a row.

    Raises:
        ActionError: It stayed healthy for `within_s` seconds.
    """
    url = f"{setting(configuration, 'lab.url')}{path}"
    give_up_s = time.monotonic() + within_s
    missed = 0
    while missed < misses:
        if time.monotonic() > give_up_s:
            raise ActionError(f"the service stayed healthy for {within_s:g} s: nothing to fail over from")
        try:
            status, _ = call("GET", url, timeout_s=0.5)
        except ActionError:
            status = 0
        missed = 0 if status == 200 else missed + 1
        if missed < misses:
            time.sleep(every_s)


def wait_caught_up(node: str, within_s: float = 15.0, configuration: Configuration = None) -> None:
    """Wait until the standby streams and has replayed what it was sent.

    Raises:
        ActionError: It did not in time.
    """
    give_up_s = time.monotonic() + within_s
    while True:
        found = lab(configuration, "GET", "/state")["nodes"][node]
        if found["streaming"] and (found["lag_bytes"] or 0) < 65536:
            return
        if time.monotonic() > give_up_s:
            raise ActionError(f"node {node} has not caught up within {within_s:g} s")
        time.sleep(0.05)


def switch_users_path(region: str, configuration: Configuration = None) -> None:
    """Lead users to a region's orders service."""
    lab(configuration, "POST", "/users-path", {"region": region})


def users_path_is(region: str, configuration: Configuration = None) -> bool:
    """Tell whether users are led to that region."""
    return bool(lab(configuration, "GET", "/state")["users_path"] == region)


def verify_order(within_s: float = 5.0, configuration: Configuration = None) -> None:
    """Place an order on the users' path, read it back, and remove it.

    Raises:
        ActionError: It cannot be placed, or is not found again, in time.
    """
    url = setting(configuration, "lab.url")
    marker = f"verify-{uuid.uuid4().hex}"
    order = {"marker": marker, "number": 1, "item": "verification", "quantity": 1}
    give_up_s = time.monotonic() + within_s
    while True:
        try:
            ask("POST", f"{url}/orders", order, timeout_s=2.0)
            break
        except ActionError:
            if time.monotonic() > give_up_s:
                raise
            time.sleep(0.05)
    found = ask("GET", f"{url}/orders?marker={marker}", timeout_s=5.0)["orders"]
    ask("DELETE", f"{url}/orders?marker={marker}", timeout_s=5.0)
    if not found:
        raise ActionError("an order that was just placed is not found again")


def set_replication(mode: str, configuration: Configuration = None) -> None:
    """Choose asynchronous (`async`) or synchronous (`remote_apply`) replication."""
    lab(configuration, "POST", "/replication", {"mode": mode})


def is_synchronous(configuration: Configuration = None) -> bool:
    """Tell whether the lab replicates synchronously."""
    return bool(lab(configuration, "GET", "/state")["sync"])
