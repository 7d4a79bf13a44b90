"""One query on PostgreSQL with a hard deadline, over a new connection.

psycopg's own `connect_timeout` is whole seconds and never below two, and `statement_timeout` is kept by
the server: neither helps when the server hangs or the path to it is stalled. So libpq is driven here
without blocking, and the deadline is ours.
"""

from __future__ import annotations

import select
import time

from psycopg import Error, pq

Poll = pq.PollingStatus


def first_value(dsn: str, query: str, timeout_s: float) -> str | None:
    """Return the first value of the first row, as PostgreSQL writes it; None for NULL or no row.

    Raises:
        TimeoutError: It took longer than `timeout_s`.
        OSError: The server cannot be reached, or refused; the message is its own.
    """
    until_s = time.monotonic() + timeout_s
    connection = pq.PGconn.connect_start(dsn.encode())
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
