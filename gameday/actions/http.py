"""How actions reach the lab's control interface and a Toxiproxy-like one: plain HTTP, with a deadline."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_S = 10.0
Configuration = Mapping[str, Any] | None


class ActionError(Exception):
    """The action could not be carried out; one line says why."""


def setting(configuration: Configuration, name: str) -> str:
    """Return a value that was found at arming.

    Raises:
        ActionError: It was not found; the plan names no lab, or the lab is not up.
    """
    value = (configuration or {}).get(name)
    if not isinstance(value, str):
        raise ActionError(f"{name} is not known: the action needs a lab that is up")
    return value


def call(
    method: str, url: str, body: Any = None, *, token: str = "", timeout_s: float = TIMEOUT_S
) -> tuple[int, Any]:
    """Send one JSON request and return (status, answer).

    Raises:
        ActionError: Nothing usable came back.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
    headers = {"Content-Type": "application/json", "Connection": "close"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = json.dumps(body) if body is not None else None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, path, data, headers)
        reply = connection.getresponse()
        text = reply.read()
        return reply.status, json.loads(text) if text else None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ActionError(f"{method} {url}: {error or type(error).__name__}") from None
    finally:
        connection.close()


def ask(method: str, url: str, body: Any = None, *, token: str = "", timeout_s: float = TIMEOUT_S) -> Any:
    """Send one JSON request and return the answer of a success.

    Raises:
        ActionError: It was refused, or nothing usable came back.
    """
    status, answer = call(method, url, body, token=token, timeout_s=timeout_s)
    if status >= 300:
        reason = answer.get("error") if isinstance(answer, dict) else answer
        raise ActionError(f"HTTP {status}: {reason}")
    return answer


def lab(configuration: Configuration, method: str, path: str, body: Any = None) -> Any:
    """Ask the lab's control interface. The token is read from the lab's own file, never recorded."""
    state_file = Path(setting(configuration, "lab.state_file"))
    try:
        token = json.loads(state_file.read_text(encoding="utf-8"))["token"]
    except (OSError, ValueError, KeyError) as error:
        raise ActionError(f"the lab's state in {state_file} cannot be read: {error}") from None
    url = setting(configuration, "lab.control") + path
    return ask(method, url, body, token=token, timeout_s=60.0)
