"""The proxies' HTTP API, shaped like Toxiproxy's, so that its clients and extensions work on it.

Source: the Toxiproxy README, "HTTP API".
"""

from __future__ import annotations

from typing import Any

from gameday.lab.errors import LabError
from gameday.lab.httpd import Reply, Request
from gameday.lab.proxy import TOXICS, Proxy, Toxic


class ToxicsApi:
    """Answers /proxies, /toxics and /reset."""

    def __init__(self, proxies: dict[str, Proxy]) -> None:
        self._proxies = proxies
        self._own: set[str] = set()

    async def handle(self, request: Request) -> Reply:  # noqa: C901 - one case a route
        """Answer one request."""
        match (request.method, *request.path):
            case ("GET", "version"):
                return 200, {"version": "2.0.0-gameday-lab"}
            case ("GET", "proxies"):
                return 200, {name: proxy.as_json() for name, proxy in self._proxies.items()}
            case ("POST", "proxies"):
                return await self._create(request.json())
            case (_, "proxies", name, *_) if name not in self._proxies:
                return 404, {"error": f"no proxy {name!r}; there are {', '.join(self._proxies)}"}
            case ("DELETE", "proxies", name):
                return self._delete(name)
            case ("POST", "reset"):
                return await self._reset()
            case ("GET", "proxies", name):
                return 200, self._proxies[name].as_json()
            case ("POST" | "PATCH", "proxies", name):
                return await self._change(self._proxies[name], request.json())
            case ("GET", "proxies", name, "toxics"):
                return 200, [toxic.as_json() for toxic in self._proxies[name].toxics.values()]
            case ("POST", "proxies", name, "toxics"):
                return self._add(self._proxies[name], request.json())
            case ("GET" | "POST" | "DELETE", "proxies", name, "toxics", toxic):
                return self._toxic(self._proxies[name], toxic, request)
            case _:
                return 404, {"error": f"no such thing: {request.method} /{'/'.join(request.path)}"}

    async def _reset(self) -> Reply:
        for proxy in self._proxies.values():
            proxy.toxics.clear()
            await proxy.enable()
        return 204, None

    async def _create(self, asked: dict[str, Any]) -> Reply:
        """Make a proxy. Whatever address is asked for, it listens on loopback alone."""
        name = str(asked.get("name") or "")
        if not name:
            raise LabError("name: a proxy needs one")
        if name in self._proxies:
            return 409, {"error": f"proxy {name!r} exists already"}
        proxy = Proxy(name, _port(asked, "upstream"))
        proxy.port = _port(asked, "listen") if asked.get("listen") else 0
        if asked.get("enabled", True):
            try:
                await proxy.enable()
            except OSError as error:
                raise LabError(f"listen {asked.get('listen')!r}: {error.strerror}") from None
        self._proxies[name] = proxy
        self._own.add(name)
        return 201, proxy.as_json()

    def _delete(self, name: str) -> Reply:
        if name not in self._own:
            raise LabError(f"proxy {name!r} is part of the lab and stays")
        self._own.discard(name)
        self._proxies.pop(name).cut()
        return 204, None

    async def _change(self, proxy: Proxy, asked: dict[str, Any]) -> Reply:
        if asked.get("upstream"):
            port = _port(asked, "upstream")
            if port != proxy.upstream_port and proxy.name not in self._own:
                raise LabError(f"proxy {proxy.name!r} is part of the lab: its upstream stays")
            proxy.switch(port)
        if asked.get("enabled") is False:
            proxy.cut()
        elif asked.get("enabled") is True:
            await proxy.enable()
        return 200, proxy.as_json()

    def _add(self, proxy: Proxy, asked: dict[str, Any]) -> Reply:
        kind = asked.get("type")
        if kind not in TOXICS:
            raise LabError(f"toxic type {kind!r}: expected one of {', '.join(sorted(TOXICS))}")
        stream = asked.get("stream") or "downstream"
        if stream not in ("upstream", "downstream"):
            raise LabError(f"stream {stream!r}: expected upstream or downstream")
        name = asked.get("name") or f"{kind}_{stream}"
        if name in proxy.toxics:
            return 409, {"error": f"toxic {name!r} exists already"}
        toxic = Toxic(
            name, kind, stream, float(asked.get("toxicity", 1.0)), dict(asked.get("attributes") or {})
        )
        proxy.add(toxic)
        return 200, toxic.as_json()

    def _toxic(self, proxy: Proxy, name: str, request: Request) -> Reply:
        toxic = proxy.toxics.get(name)
        if toxic is None:
            return 404, {"error": f"no toxic {name!r} on {proxy.name}"}
        if request.method == "DELETE":
            del proxy.toxics[name]
            return 204, None
        if request.method == "POST":
            toxic.attributes |= request.json().get("attributes") or {}
        return 200, toxic.as_json()


def _port(asked: dict[str, Any], key: str) -> int:
    """Return the port of an address; the lab leads to loopback, and nowhere else."""
    host, _, port = str(asked.get(key) or "").rpartition(":")
    allowed = ("127.0.0.1", "localhost") if key == "upstream" else ("", "0.0.0.0", "127.0.0.1", "localhost")  # noqa: S104
    if host not in allowed or not port.isdigit() or int(port) > 65535:
        raise LabError(f"{key} {asked.get(key)!r}: expected 127.0.0.1:PORT")
    return int(port)
