"""`gameday publish`: tell Prometheus, an OTLP receiver and Grafana how a run goes."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from gameday.cli import exits
from gameday.cli.asked import project_here, run_here
from gameday.console.outlets import grafana, otlp
from gameday.console.publish import Publisher, address, serve
from gameday.errors import GameDayError, UsageError


def publish(asked: argparse.Namespace) -> int:
    """Publish one run until it is over, or with `--stay` run after run until interrupted.

    Raises:
        UsageError: Nothing to publish to, no such address, no such run.
    """
    if not (asked.metrics or asked.traces or asked.grafana):
        raise UsageError(
            "nobody is to be told", todo="Say at least one of --metrics, --traces and --grafana."
        )
    if asked.stay and asked.run:
        raise UsageError("--stay follows whatever run is the latest", todo="Leave out either of the two.")
    place = address(asked.metrics, anywhere=asked.beyond_loopback) if asked.metrics else None
    if asked.traces:
        otlp(asked.traces)  # Both say what is wrong before anything begins.
    if asked.grafana:
        grafana(asked.grafana)
    publisher = Publisher(_latest(asked), asked.traces or "", asked.grafana or "", stays=asked.stay, say=_say)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: publisher.stop.set())
    server = serve(publisher, *place) if place is not None else None
    if server is not None:
        host, port = server.server_address[:2]
        _say(f"metrics at http://{str(host) if ':' not in str(host) else f'[{host!s}]'}:{port}/metrics")
    try:
        publisher.run(is_scraped=server is not None)
    finally:
        if server is not None:
            server.shutdown()
            server.server_close()
    return exits.PASS


def _latest(asked: argparse.Namespace) -> Callable[[], Path | None]:
    if not asked.stay:
        run_dir = run_here(asked.run)
        return lambda: run_dir
    project_here()

    def newest() -> Path | None:
        try:
            return run_here(None)
        except GameDayError:
            return None  # There is none yet.

    return newest


def _say(words: str) -> None:
    print(f"gameday publish: {words}", file=sys.stderr, flush=True)
