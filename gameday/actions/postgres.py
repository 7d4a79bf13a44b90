"""Faults and failover steps on the lab's PostgreSQL pair. Each may be repeated without harm.

Faults that need no more than a connection (`exhaust_connections`, `lock_table`, `pause_replay`) work
on any server: with `dsn_env`, the name of an environment variable that holds how to connect to it.
The words themselves may hold a password and are never recorded.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from gameday.actions import faults
from gameday.actions.http import ActionError, Configuration, lab, setting

__all__ = [
    "checkpoint",
    "exhaust_connections",
    "fence",
    "free_connections",
    "is_down",
    "is_exhausted",
    "is_fenced",
    "is_locked",
    "is_primary",
    "is_replay_paused",
    "is_streaming",
    "kill",
    "lock_table",
    "pause_replay",
    "promote",
    "rejoin",
    "restore",
    "resume_replay",
    "start",
    "stop",
    "unfence",
    "unlock_table",
]
CONNECT_S = 3
LOCK_MODES = ("ACCESS EXCLUSIVE", "EXCLUSIVE", "SHARE ROW EXCLUSIVE", "SHARE")


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


def exhaust_connections(
    node: str = "",
    count: int = 10_000,
    name: str = "gameday-pg-connections",
    dsn_env: str = "",
    ttl_s: float = faults.TTL_S,
    configuration: Configuration = None,
) -> None:
    """Take every connection that the server has left (or `count`), and those that others give back.

    Raises:
        ActionError: The server cannot be reached, or the fault is in place already.
    """
    if not isinstance(count, int) or count < 1:
        raise ActionError(f"count {count!r}: expected a whole number from 1")
    config = {"dsn": server_dsn(configuration, node, dsn_env), "count": count, "application": name}
    faults.intend(name, "postgres.exhaust_connections")
    faults.begin(name, "postgreswork.exhaust", config, ttl_s)


def free_connections(name: str = "gameday-pg-connections") -> None:
    """Give the connections back: the server ends them as their client dies."""
    faults.end(name)


def is_exhausted(name: str = "gameday-pg-connections") -> bool:
    """Tell whether the process that holds the connections lives."""
    return faults.in_place(name)


def lock_table(
    table: str,
    node: str = "",
    mode: str = "ACCESS EXCLUSIVE",
    name: str = "gameday-pg-lock",
    dsn_env: str = "",
    ttl_s: float = faults.TTL_S,
    configuration: Configuration = None,
) -> None:
    """Hold a lock on a table, so that everybody who needs the table waits.

    Raises:
        ActionError: The lock was not granted within 5 s, or the fault is in place already.
    """
    if mode not in LOCK_MODES:
        raise ActionError(f"mode {mode!r}: expected one of {', '.join(LOCK_MODES)}")
    dsn = server_dsn(configuration, node, dsn_env)
    faults.intend(name, "postgres.lock_table")
    config = {"dsn": dsn, "table": table, "mode": mode, "application": name}
    faults.begin(name, "postgreswork.lock", config, ttl_s)


def unlock_table(
    name: str = "gameday-pg-lock", node: str = "", dsn_env: str = "", configuration: Configuration = None
) -> None:
    """Let the lock go: the server ends the transaction as its client dies."""
    del node, dsn_env, configuration  # The read-back needs them.
    faults.end(name)


def is_locked(
    name: str = "gameday-pg-lock", node: str = "", dsn_env: str = "", configuration: Configuration = None
) -> bool:
    """Tell whether the process that holds the lock lives, or the server still holds it for one that died.

    Raises:
        ActionError: The server cannot be asked; one that refuses connections is down, and holds none.
    """
    if faults.in_place(name):
        return True
    held = "select 1 from pg_stat_activity where application_name = %s"
    try:
        return bool(_sql(server_dsn(configuration, node, dsn_env), held, (name,)))
    except ActionError as error:
        if "Connection refused" in str(error):
            return False
        raise


def pause_replay(node: str = "", dsn_env: str = "", configuration: Configuration = None) -> None:
    """Let a standby receive and not replay: it lags more and more. One that is paused is adopted.

    A promotion ends it. What is sent meanwhile is kept on the standby's disk.

    Raises:
        ActionError: The server is no standby, or cannot be reached.
    """
    dsn = server_dsn(configuration, node, dsn_env)
    if not _in_recovery(dsn):
        raise ActionError(f"node {node or dsn_env} is no standby: it replays nothing")
    _sql(dsn, "select pg_wal_replay_pause()")


def resume_replay(node: str = "", dsn_env: str = "", configuration: Configuration = None) -> None:
    """Let a standby replay again; a server that is none needs nothing."""
    dsn = server_dsn(configuration, node, dsn_env)
    if _in_recovery(dsn):
        _sql(dsn, "select pg_wal_replay_resume()")


def is_replay_paused(node: str = "", dsn_env: str = "", configuration: Configuration = None) -> bool:
    """Tell whether the standby was asked not to replay."""
    dsn = server_dsn(configuration, node, dsn_env)
    return _in_recovery(dsn) and bool(_sql(dsn, "select pg_is_wal_replay_paused()")[0][0])


def _in_recovery(dsn: str) -> bool:
    return bool(_sql(dsn, "select pg_is_in_recovery()")[0][0])


def server_dsn(configuration: Configuration, node: str, dsn_env: str) -> str:
    """Return how to connect; read where it stands each time, because it may hold a password."""
    if dsn_env:
        found = os.environ.get(dsn_env)
        if not found:
            raise ActionError(f"the environment variable {dsn_env} is not set: it should say how to connect")
        return found
    state_file = Path(setting(configuration, "lab.state_file"))
    try:
        nodes = json.loads(state_file.read_text(encoding="utf-8"))["nodes"]
    except (OSError, ValueError, KeyError) as error:
        raise ActionError(f"the lab's state in {state_file} cannot be read: {error}") from None
    if node not in nodes:
        raise ActionError(f"node {node!r}: expected one of {', '.join(nodes)}")
    return str(nodes[node]["dsn"])


def _sql(dsn: str, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    import psycopg  # noqa: PLC0415 - only faults that need a connection pay for it

    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_S) as link:
            return link.execute(query.encode(), values).fetchall()
    except psycopg.Error as error:
        raise ActionError(f"the server did not answer: {' '.join(str(error).split())[:200]}") from None
