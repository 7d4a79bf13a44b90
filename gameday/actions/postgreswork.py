"""Fault processes on a PostgreSQL server: hold its connections, hold a lock.

The server gives back what a client held when the client's connection ends, so killing the process
undoes the fault. Connections call themselves by the fault's name, for whoever looks at the server.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any

import psycopg

_CONNECT_S = 2
_PAUSE_S = 0.05


def exhaust(config: dict[str, Any], ready: Callable[[], None]) -> None:
    """Take connections until the server refuses, or `count` are held; take what others give back."""
    held: list[psycopg.Connection[Any]] = []
    told = False
    while True:
        lost = set(select.select(held, [], [], 0)[0])  # An idle connection that says something is over.
        held = [link for link in held if link not in lost]
        full = False
        while not full and len(held) < int(config["count"]):
            try:
                held.append(_connect(config))
            except psycopg.OperationalError as error:
                if not held and not told and "too many" not in str(error):
                    raise
                full = True
        if not told:
            told = True
            ready()
        time.sleep(_PAUSE_S)


def lock(config: dict[str, Any], ready: Callable[[], None]) -> None:
    """Hold a table so that everybody who needs it waits."""
    link = _connect(config)
    link.autocommit = False
    table = psycopg.sql.Identifier(*str(config["table"]).split("."))
    link.execute("set lock_timeout = '5s'")
    link.execute("set idle_in_transaction_session_timeout = 0")
    link.execute(psycopg.sql.SQL("lock table {} in {} mode").format(table, psycopg.sql.SQL(config["mode"])))
    ready()
    while True:
        time.sleep(0.2)
        link.execute("select 1")  # Raises when the server went away: then the lock is gone, and so are we.


def _connect(config: dict[str, Any]) -> psycopg.Connection[Any]:
    return psycopg.connect(
        config["dsn"], autocommit=True, connect_timeout=_CONNECT_S, application_name=config["application"]
    )
