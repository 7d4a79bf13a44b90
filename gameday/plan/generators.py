"""From how many processes or machines a load may come: what is wrong with it is said when it is read."""

from __future__ import annotations

from gameday.plan.schema_load import LoadIn
from gameday.plan.source import Source, Where

_PORT_MAX = 65_535


def check_generators(item: LoadIn, where: Where, at: Source) -> None:
    """Note what is wrong with a load's `processes` and `workers`."""
    several = "processes" if item.processes > 1 else "workers" if item.workers else ""
    if item.processes > 1 and item.workers:
        said = "`processes` are on this machine and `workers` on others: give one of them"
        at.complain((*where, "workers"), said)
    if several and item.shape:
        said = f"a shape in the file is one of the whole load, and `{several}` make several: use `stages`"
        at.complain((*where, several), said)
    if item.workers is None:
        return
    host, _, port = item.workers.bind.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= _PORT_MAX:
        said = (
            f"{item.workers.bind[:60]!r} is no address to listen at: expected HOST:PORT like 127.0.0.1:5557"
        )
        at.complain((*where, "workers", "bind"), said)
