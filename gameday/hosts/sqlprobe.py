"""One query on PostgreSQL with a hard deadline, over a new connection.

psycopg's own `connect_timeout` is whole seconds and never below two, and `statement_timeout` is kept by
the server: neither helps when the server hangs or the path to it is stalled. So libpq is driven here
without blocking, and the deadline is ours. It would look names up without one, too, so they are
looked up before, and libpq is told the addresses (`hostaddr`) beside the names.
"""

from __future__ import annotations

import ipaddress
import os
import select
import socket
import time

from psycopg import Error, pq
from psycopg.conninfo import make_conninfo

from gameday.hosts.names import RESOLVER

Poll = pq.PollingStatus


def first_value(dsn: str, query: str, timeout_s: float) -> str | None:
    """Return the first value of the first row, as PostgreSQL writes it; None for NULL or no row.

    Raises:
        TimeoutError: It took longer than `timeout_s`.
        Unresolved: No name server answered.
        OSError: The server cannot be reached, or refused; the message is its own.
    """
    until_s = time.monotonic() + timeout_s
    try:
        connection = pq.PGconn.connect_start(_with_addresses(dsn, until_s))
    except socket.gaierror as error:
        raise OSError(0, f"name not found: {_words(str(error).encode())}") from error
    try:
        status: int = Poll.WRITING
        while status != Poll.OK:
            if status == Poll.FAILED or connection.status == pq.ConnStatus.BAD:
                raise OSError(_words(connection.error_message))
            _wait(connection, until_s, write=status == Poll.WRITING)
            status = connection.connect_poll()
        connection.nonblocking = 1
        connection.send_query(query.encode())
        while connection.flush():
            _wait(connection, until_s, write=True)
        return _result(connection, until_s)
    except Error as error:
        raise OSError(_words(str(error).encode())) from error
    finally:
        connection.finish()


def _with_addresses(dsn: str, until_s: float) -> bytes:
    """Return the connection string with an address beside each name, for libpq to try them in turn.

    A string that names no host, or addresses already, is returned as it is, and so is one that libpq
    cannot read: its own words say what is wrong with it.

    Raises:
        Unresolved: No name server answered.
        socket.gaierror: A name does not exist.

    Source: PostgreSQL, "Connection Strings", host and hostaddr; both are lists of the same length.
    """
    try:
        given = {o.keyword.decode(): o.val.decode() for o in pq.Conninfo.parse(dsn.encode()) if o.val}
    except Error:
        return dsn.encode()
    hosts = (given.get("host") or os.environ.get("PGHOST", "")).split(",")
    if given.get("hostaddr") or not any(map(_is_name, hosts)):
        return dsn.encode()
    ports = (given.get("port") or os.environ.get("PGPORT", "")).split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    places: list[tuple[str, str, str]] = []
    problem: OSError | None = None
    for host, port in zip(hosts, ports, strict=False):
        if not _is_name(host):
            places.append((host, "", port))
            continue
        try:
            found = [str(info[4][0]) for info in RESOLVER.addresses(host, 0, until_s)]
        except OSError as error:
            problem = error
            continue
        places += [(host, address, port) for address in dict.fromkeys(found)]
    if problem is not None and not places:
        raise problem
    lists = zip(("host", "hostaddr", "port"), map(",".join, zip(*places, strict=True)), strict=True)
    return make_conninfo(dsn, **dict(lists)).encode()


def _is_name(host: str) -> bool:
    """Tell whether a host of a connection string must be looked up: no socket's folder, no address."""
    if not host or host[0] in "/@":
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


def _result(connection: pq.abc.PGconn, until_s: float) -> str | None:
    value: str | None = None
    while True:
        while connection.is_busy():
            _wait(connection, until_s, write=False)
            connection.consume_input()
        result = connection.get_result()
        if result is None:
            return value
        if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
            raise OSError(_words(result.error_message))
        if result.ntuples and result.nfields:
            found = result.get_value(0, 0)
            value = None if found is None else found.decode("utf-8", "replace")


def _wait(connection: pq.abc.PGconn, until_s: float, *, write: bool) -> None:
    left = until_s - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    poll = select.poll()
    poll.register(connection.socket, select.POLLOUT if write else select.POLLIN)
    poll.poll(left * 1000)


def _words(message: bytes) -> str:
    return " ".join(message.decode("utf-8", "replace").split()) or "no connection"
