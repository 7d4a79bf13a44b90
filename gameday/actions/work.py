"""What fault processes do: burn, hold memory, fill, write, take ports, hold connections, lie about time.

Each function has its effect, calls `ready` once, and returns (its process waits and holds) or goes on
until it is killed. Processes that it forks die with it.
"""

from __future__ import annotations

import errno
import mmap
import os
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gameday.actions.faultworker import die_with_parent

Ready = Callable[[], None]
_SLICE_S = 0.05
_STEP = 64 << 20


def fork(work: Callable[[], None]) -> int:
    """Do some work in a child that dies with this process."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        die_with_parent()
        if os.getppid() != parent:
            os._exit(1)
        signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            work()
        finally:
            os._exit(1)
    return pid


def cpu(config: dict[str, Any], ready: Ready) -> None:
    """Keep `processes` cores busy for `percent` of the time; with stress-ng where it is given."""
    count, percent = int(config["processes"]), int(config["percent"])
    if config.get("stress_ng"):
        stress = ["--cpu", str(count), "--cpu-load", str(percent)]
        _stress(config["stress_ng"], stress, ready)
        return
    for _ in range(count):
        fork(lambda: _burn(percent))
    ready()


def _burn(percent: int) -> None:
    while True:
        until_s = time.monotonic() + _SLICE_S * percent / 100
        while time.monotonic() < until_s:
            pass
        if percent < 100:
            time.sleep(_SLICE_S * (100 - percent) / 100)


def _stress(program: str, options: list[str], ready: Ready) -> None:
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.Popen([program, *options, "--quiet"], cwd=folder, preexec_fn=die_with_parent)  # noqa: PLW1509 - one thread
        time.sleep(0.3)  # It says nothing when it begins; it fails at once when it cannot.
        if child.poll() is not None:
            raise OSError(f"{program} ended with {child.returncode}")
        ready()
        child.wait()


def memory(config: dict[str, Any], ready: Ready) -> None:
    """Hold so many megabytes, each page touched. The first to be taken when memory runs out is this."""
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    size = int(config["megabytes"]) << 20
    held = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    block = b"\x5a" * (1 << 20)
    for _ in range(size >> 20):
        held.write(block)
    ready()
    while True:
        held[:1] = b"\x5a"
        signal.pause()


def fill(config: dict[str, Any], ready: Ready) -> None:
    """Take space in a folder with a file that has no name: it is gone with this process."""
    folder = config["folder"]
    try:
        fd = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    except OSError:
        fd, path = tempfile.mkstemp(prefix="gameday-fill-", dir=folder)
        Path(path).unlink()
    size = int(config.get("megabytes") or 0) << 20
    if not size:
        size = max(shutil.disk_usage(folder).free - (int(config["leave_mb"]) << 20), 0)
    taken = 0
    while taken < size:
        step = min(_STEP, size - taken)
        try:
            os.posix_fallocate(fd, taken, step)
        except OSError as error:
            if error.errno != errno.ENOSPC or config.get("megabytes"):
                raise
            size = taken + step // 2 if step > 4096 else taken
            continue
        taken += step
    ready()


def write_disk(config: dict[str, Any], ready: Ready) -> None:
    """Write and sync without pause, so that everybody else on that disk waits."""
    for _ in range(int(config["writers"])):
        fork(lambda: _write(config["folder"], int(config["block_kb"]) << 10))
    ready()


def _write(folder: str, block_bytes: int) -> None:
    block = os.urandom(block_bytes)
    with tempfile.TemporaryFile(dir=folder, prefix="gameday-write-", buffering=0) as file:
        while True:
            file.seek(0)
            for _ in range(16):
                file.write(block)
            os.fsync(file.fileno())


def ports(config: dict[str, Any], ready: Ready) -> None:
    """Take every free port of the ephemeral range but `leave`; none of them is listened on."""
    reader, writer = os.pipe()
    fork(lambda: _take_ports(int(config["leave"]), writer))
    os.close(writer)
    told = b""
    while not told.endswith(b"\n"):
        data = os.read(reader, 100)
        if not data:
            raise OSError("the ports could not all be taken")
        told += data
    ready()


def _take_ports(leave: int, writer: int) -> None:
    """Bind until none is left; a process that is out of descriptors forks another to go on."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 30_000), hard))
    held: list[socket.socket] = []
    while True:
        try:
            taken = socket.socket()
            held.append(taken)
            taken.bind(("0.0.0.0", 0))  # noqa: S104 - bound and never listened on: nothing is served
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                held.pop().close()  # This one got none.
                break
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            os.close(held.pop().detach()) if len(held) > 1 else None
            fork(lambda: _take_ports(leave, writer))
            signal.pause()
    for free in held[:leave]:
        free.close()
    os.write(writer, b"all\n")
    while True:
        signal.pause()


def connections(config: dict[str, Any], ready: Ready) -> None:
    """Open so many connections to a server and say nothing on them; open again what it closes."""
    address = (config["host"], int(config["port"]))
    held: list[socket.socket] = []
    told = False
    while True:
        for link in [link for link in held if _is_closed(link)]:
            link.close()
            held.remove(link)
        refused = False
        while len(held) < int(config["count"]) and not refused:
            try:
                held.append(socket.create_connection(address, timeout=1.0))
            except OSError:
                if not held:
                    raise
                refused = True
        if not told:
            told = True
            ready()
        time.sleep(0.05)


def _is_closed(link: socket.socket) -> bool:
    try:
        return link.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def run_skewed(config: dict[str, Any], ready: Ready) -> None:
    """Run a program that believes in another time, and end with it."""
    log = os.open(config["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    child = subprocess.Popen(
        config["argv"],
        cwd=config["cwd"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=dict(os.environ) | config["environment"],
        preexec_fn=die_with_parent,  # noqa: PLW1509 - one thread
    )
    time.sleep(0.1)  # A program that cannot start ends at once.
    if child.poll() is not None:
        raise OSError(f"{config['argv'][0]} ended with {child.returncode}")
    ready()
    code = child.wait()
    raise OSError(f"{config['argv'][0]} ended with {code}")
