"""Run the web console: listen where it may, let people in by a link, give way to the run.

The server has the lowest claim on the processor that still answers (nice 10): a drill that is watched by
many keeps its schedule.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import uvicorn

from gameday.console.web.app import Console, build
from gameday.console.web.feed import Feed
from gameday.console.web.guard import ENTER
from gameday.console.web.sessions import Sessions
from gameday.errors import UsageError
from gameday.runner.arming import runtime_dir

NICE = 10
Say = Callable[[str], None]


def address(text: str, *, beyond_loopback: bool) -> tuple[str, int]:
    """Return host and port of `127.0.0.1:8470`.

    Raises:
        UsageError: It is none, or others could reach it and nobody said that they may.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    host = "127.0.0.1" if host == "localhost" else host
    try:
        number, is_here = int(port), ipaddress.ip_address(host).is_loopback
    except ValueError:
        number, is_here = -1, False
    if not 0 <= number <= 65535:
        raise UsageError(
            f"--listen {text!r}: expected an address like 127.0.0.1:8470",
            todo="Give a number of this machine and a port.",
        )
    if not is_here and not beyond_loopback:
        raise UsageError(
            f"--listen {text}: others could reach it, and what they send is not encrypted",
            todo="Listen on 127.0.0.1 and use `ssh -L`, or say --beyond-loopback if that is meant.",
        )
    return host, number


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there.

    Raises:
        UsageError: The address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise UsageError(
            f"{host}:{port}: cannot be listened on: {error.strerror}", todo="Name another with --listen."
        ) from None


def serve(
    feed: Feed,
    about: Path,
    place: tuple[str, int],
    say: Say,
    *,
    project: Path | None = None,
    beyond_loopback: bool = False,
    warn: Say = lambda _: None,
    more_links: Callable[[Callable[[], None]], None] | None = None,
) -> None:
    """Serve until interrupted.

    Args:
        feed: What is followed.
        about: The run or the project: sessions hold for this and this port.
        place: Host and port.
        say: Tells the person at the terminal.
        project: Whose programme is shown; None where there is no project.
        beyond_loopback: Whether others than this machine may come.
        warn: Tells them what goes wrong.
        more_links: Called with a function that says another link, whenever one is asked for.

    Raises:
        UsageError: The address cannot be listened on.
    """
    server_socket = listen(*place)
    host, port = server_socket.getsockname()[:2]
    sessions = Sessions(_sessions_file(about, port))
    console = Console(feed, sessions, f"gameday-console-{port}", project)
    with suppress(OSError):
        os.nice(NICE)
    config = uvicorn.Config(
        build(console, beyond_loopback=beyond_loopback),
        log_config=None, access_log=False, server_header=False, http="h11", loop="asyncio", ws="none",
        lifespan="on", timeout_graceful_shutdown=1, timeout_keep_alive=30, proxy_headers=False,
        h11_max_incomplete_event_size=32 << 10,
    )  # fmt: skip

    def link() -> None:
        shown = f"[{host}]" if ":" in host else host
        say(f"http://{shown}:{port}{ENTER}?token={sessions.invite()}")

    feed.say = warn
    link()
    if more_links is not None:
        threading.Thread(target=more_links, args=(link,), name="links", daemon=True).start()
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[server_socket])


def _sessions_file(about: Path, port: int) -> Path:
    name = hashlib.sha256(f"{about.resolve()}:{port}".encode()).hexdigest()[:20]
    return runtime_dir() / f"console-{name}.json"
