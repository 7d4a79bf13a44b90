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

    async def handle(self, request: Request) -> Reply:
        """Answer one request."""
        known = request.path[:1] != ("proxies",) or request.path[1:2] in ((), *((n,) for n in self._proxies))
        if not known:
            names = ", ".join(self._proxies)
            return 404, {"error": f"no proxy {request.path[1]!r}; there are {names}"}
        match (request.method, *request.path):
            case ("GET", "version"):
                return 200, {"version": "2.0.0-gameday-lab"}
            case ("GET", "proxies"):
                return 200, {name: proxy.as_json() for name, proxy in self._proxies.items()}
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

    async def _change(self, proxy: Proxy, asked: dict[str, Any]) -> Reply:
        host, _, port = str(asked.get("upstream") or f"127.0.0.1:{proxy.upstream_port}").rpartition(":")
        if host not in ("127.0.0.1", "localhost") or not port.isdigit() or not 0 < int(port) < 65536:
            raise LabError(
                f"upstream {asked['upstream']!r}: expected 127.0.0.1:PORT, the lab stays on loopback"
            )
        if (asked.get("listen") or proxy.as_json()["listen"]) != proxy.as_json()["listen"]:
            raise LabError("listen: the lab's proxies keep their ports")
        proxy.switch(int(port))
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
