"""A ledger in Redis or Valkey, alone or behind Sentinels: a list to which each write is pushed.

A list, because a write that was carried out twice then stands there twice. The client never tries
again by itself: a second try would hide what became of the first. Behind Sentinels each new connection
asks them who is master, and everything is written to and read from it.
"""

from __future__ import annotations

import threading
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from gameday.hosts.stores import ACKED, Outcome, failed, unknown

READ_TIMEOUT_S = 5.0


class RedisStore:
    """One list. Each thread keeps a connection, and a new one after anything has gone wrong."""

    def __init__(self, spec: dict[str, Any], run: str, timeout_s: float) -> None:
        self._spec = spec
        self._timeout_s = timeout_s
        self._key = f"gameday:ledger:{run}"
        self._mine = threading.local()

    def prepare(self) -> None:
        """See that it answers."""
        self._connect(READ_TIMEOUT_S).close()

    def write(self, number: int, sha256: str, payload: str) -> Outcome:
        """Push one entry."""
        del payload
        client = getattr(self._mine, "client", None)
        if client is None:
            try:
                client = self._mine.client = self._connect(self._timeout_s)
            except (redis.RedisError, OSError) as error:
                return failed(_words(error))
        try:
            client.rpush(self._key, f"{number} {sha256}")
        except redis.ResponseError as error:
            self._drop()
            return failed(_words(error))  # It answered, and refused: read-only, out of memory, loading.
        except (redis.RedisError, OSError) as error:
            self._drop()
            return unknown(_words(error))
        return ACKED

    def read_all(self) -> list[tuple[int, str]]:
        """Read the list from the master."""
        client: redis.Redis | None = None
        try:
            client = self._connect(READ_TIMEOUT_S)
            self._check_master(client)
            items = cast("list[bytes]", client.lrange(self._key, 0, -1))
        except (redis.RedisError, OSError) as error:
            raise OSError(_words(error)) from error
        finally:
            if client is not None:
                client.close()
        found = []
        for item in items:
            number, _, sha256 = item.decode("utf-8", "replace").partition(" ")
            if number.isdigit():
                found.append((int(number), sha256))
        return found

    def purge(self) -> int:
        """Remove the list."""
        found = len(self.read_all())
        client: redis.Redis | None = None
        try:
            client = self._connect(READ_TIMEOUT_S)
            client.delete(self._key)
        except (redis.RedisError, OSError) as error:
            raise OSError(_words(error)) from error
        finally:
            if client is not None:
                client.close()
        return found

    def _check_master(self, client: redis.Redis) -> None:
        """What a replica still holds proves nothing of what the authority has."""
        role = cast("Any", client).execute_command("ROLE")[0]
        if role not in (b"master", "master"):
            raise OSError(f"it is no master but {role!r}")

    def _connect(self, timeout_s: float) -> redis.Redis:
        """Return a client with a connection of its own, made already."""
        never = Retry(NoBackoff(), 0)
        options: dict[str, Any] = {
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            "retry": never,
            "single_connection_client": True,
        }
        if self._spec.get("password"):
            options["password"] = self._spec["password"]
        if "url" in self._spec:
            client = redis.Redis.from_url(self._spec["url"], **options)
        else:
            host, port = self._master(timeout_s)
            client = redis.Redis(host=host, port=port, **options)
        client.ping()
        return client

    def _master(self, timeout_s: float) -> tuple[str, int]:
        addresses = [address.rpartition(":") for address in self._spec["sentinels"]]
        sentinel: Any = cast("Any", Sentinel)(
            [(host, int(port)) for host, _, port in addresses],
            sentinel_kwargs={"socket_timeout": timeout_s, "retry": Retry(NoBackoff(), 0)},
        )
        try:
            host, port = sentinel.discover_master(self._spec["master"])
        except MasterNotFoundError as error:
            raise OSError(f"the Sentinels know no master {self._spec['master']!r}") from error
        finally:
            for client in sentinel.sentinels:
                client.close()
        return str(host), int(port)

    def _drop(self) -> None:
        client = getattr(self._mine, "client", None)
        self._mine.client = None
        if client is not None:
            client.close()


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
