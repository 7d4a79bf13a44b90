"""The fork server: what is forked has a session and a mark of its own, whatever becomes of the server."""

from __future__ import annotations

import os
import select
import signal
import time

import pytest

from gameday.hosts.processes import MARKER, family_of, is_alive, kill_all, marker_of, new_family, send
from gameday.procfs import start_ticks
from gameday.hosts.spawner import Spawner


@pytest.fixture
def spawner(tmp_path):
    made = Spawner(tmp_path / "server.log")
    yield made
    made.close()


def spawn(spawner, tmp_path):
    return spawner.spawn(cwd=None, log=tmp_path / "host.log", marker=marker_of(new_family(), 1))


def gone(child, timeout_s=10.0):
    fd = os.pidfd_open(child.pid)
    try:
        return bool(select.select([fd], [], [], timeout_s)[0])
    finally:
        os.close(fd)


def test_a_host_leads_a_session_and_carries_its_mark_from_the_first_instant(spawner, tmp_path):
    children = [spawn(spawner, tmp_path) for _ in range(5)]
    assert len({child.marker for child in children}) == 5
    for child in children:
        assert os.getsid(child.pid) == child.pid
        with open(f"/proc/{child.pid}/environ", "rb") as file:
            assert f"{MARKER}={child.marker}".encode() in file.read().split(b"\0")


def test_generations_share_a_family_and_nothing_else_names_one():
    family = new_family()
    assert {family_of(marker_of(family, number)) for number in (0, 1, 65535, 65536)} == {family}
    assert [family_of(text) for text in ("", "load-1-x", "a" * 15, "a" * 17, "(.*)(.*)(.*)x")] == [""] * 5


def test_the_end_of_its_stdin_ends_a_host_and_its_pid_is_kept_until_it_is_reaped(spawner, tmp_path):
    child = spawn(spawner, tmp_path)
    os.close(child.stdin)
    assert gone(child)
    assert start_ticks(child.pid) is not None, "a zombie: nobody else can have this pid"
    assert spawner.reap(child) == 0
    assert start_ticks(child.pid) is None


def test_a_signal_shows_in_the_code(spawner, tmp_path):
    child = spawn(spawner, tmp_path)
    send(child.pid, signal.SIGKILL)
    assert gone(child)
    assert spawner.reap(child) == -signal.SIGKILL


def test_a_server_that_died_is_replaced_and_its_hosts_live_on(spawner, tmp_path):
    first = spawn(spawner, tmp_path)
    ticks = start_ticks(first.pid)
    with open(f"/proc/{first.pid}/stat", encoding="ascii") as file:
        server = int(file.read().rpartition(")")[2].split()[1])
    send(server, signal.SIGKILL)
    second = spawn(spawner, tmp_path)
    assert is_alive(first.pid, ticks)
    os.close(first.stdin)
    give_up = time.monotonic() + 10
    while is_alive(first.pid, ticks):
        assert time.monotonic() < give_up
        time.sleep(0.01)
    assert spawner.reap(first) is None, "nobody can tell any more"
    os.close(second.stdin)


def test_after_the_end_nothing_is_started(tmp_path):
    spawner = Spawner(tmp_path / "server.log")
    child = spawn(spawner, tmp_path)
    spawner.close()
    with pytest.raises(OSError, match="the run is ending"):
        spawn(spawner, tmp_path)
    assert spawner.reap(child) is None
    kill_all(child.pid)


def test_failed_orders_leave_no_descriptor_behind(spawner, tmp_path):
    spawn(spawner, tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(OSError, match="ended before it had begun"):
            spawner.spawn(cwd=tmp_path / "nowhere", log=tmp_path / "host.log", marker="0" * 16)
    assert len(os.listdir("/proc/self/fd")) == before
    assert "FileNotFoundError" in (tmp_path / "host.log").read_text()
