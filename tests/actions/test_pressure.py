"""Pressure on a machine is measured where it presses, and is gone with its process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gameday import procfs
from gameday.actions import faults, pressure, procs
from gameday.actions.http import ActionError
from gameday.plan.bind import RUN_DIR
from tests.actions.conftest import cpu_s, wait


def test_cpu_is_burnt_until_the_undo(unique, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)  # our own worker, stress-ng or not
    assert not pressure.in_place(unique)
    pressure.cpu(processes=1, name=unique, ttl_s=60)
    assert pressure.in_place(unique)
    wait(lambda: cpu_s(unique) > 0.2, what="0.2 s of processor time")
    with pytest.raises(ActionError, match="in place already"):
        pressure.cpu(processes=1, name=unique, ttl_s=60)
    pressure.end(unique)
    assert not pressure.in_place(unique)
    pressure.end(unique)
    assert not pressure.in_place(unique)


def test_a_fault_ends_with_its_ttl_and_takes_its_children_with_it(unique, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    pressure.cpu(percent=10, processes=2, name=unique, ttl_s=0.5)
    assert len(faults.workers(unique)) >= 3
    wait(lambda: not faults.workers(unique), what="the end of its ttl")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("stress-ng"), reason="stress-ng is not installed")
def test_stress_ng_does_it_where_it_is_installed(unique):
    pressure.cpu(processes=1, name=unique, ttl_s=60)
    assert any("stress-ng" in procs.command_line(pid) for pid, _ in faults.workers(unique))
    wait(lambda: cpu_s(unique) > 0.2, what="0.2 s of processor time")
    done = subprocess.run(["pkill", "-KILL", "-f", f"gameday-fault {unique}$"])
    assert done.returncode == 0
    wait(lambda: not pressure.in_place(unique), what="the end by the manual command")
    pressure.end(unique)


def test_memory_is_held_and_given_back(unique):
    def resident_mb():
        total = 0
        for pid, _ in faults.workers(unique):
            status = Path(f"/proc/{pid}/status").read_text()
            total += int(status.split("VmRSS:")[1].split()[0]) >> 10
        return total

    pressure.memory(96, name=unique, ttl_s=60)
    assert resident_mb() >= 96
    scores = {Path(f"/proc/{pid}/oom_score_adj").read_text().strip() for pid, _ in faults.workers(unique)}
    assert "1000" in scores
    pressure.end(unique)
    assert not pressure.in_place(unique)


def test_more_memory_than_there_is_is_refused(unique):
    with pytest.raises(ActionError, match="have to stay free"):
        pressure.memory(1 << 23, name=unique)
    assert not pressure.in_place(unique)


SHM = Path("/dev/shm")


@pytest.mark.skipif(not os.access(SHM, os.W_OK), reason="/dev/shm cannot be written")
def test_disk_space_is_taken_and_given_back_without_a_file_to_delete(unique):
    before, files = shutil.disk_usage(SHM).free, set(os.listdir(SHM))
    pressure.disk_fill(str(SHM), megabytes=400, name=unique, ttl_s=60)
    assert before - shutil.disk_usage(SHM).free > 300 << 20
    assert {f for f in set(os.listdir(SHM)) - files if f.startswith("gameday")} == set()
    pressure.end(unique)
    wait(lambda: before - shutil.disk_usage(SHM).free < 100 << 20, what="the space")
    pressure.end(unique)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_a_full_disk_refuses_the_next_byte(unique, tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "gameday-test", str(place)], check=True)
    try:
        pressure.disk_fill(str(place), leave_mb=0, name=unique, ttl_s=60)
        with pytest.raises(OSError, match="No space left"):
            (place / "x").write_bytes(b"x" * 8192)
        pressure.end(unique)
        (place / "x").write_bytes(b"x" * 8192)
    finally:
        pressure.end(unique)
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_the_disk_of_the_drills_own_record_is_not_filled(unique, fault_dir, tmp_path):
    with pytest.raises(ActionError, match="drill's own record"):
        pressure.disk_fill(str(tmp_path), leave_mb=0, name=unique)
    with pytest.raises(ActionError, match="exactly one"):
        pressure.disk_fill(str(tmp_path), name=unique)


@pytest.mark.skipif(not os.access(SHM, os.W_OK), reason="/dev/shm cannot be written")
def test_where_the_record_is_is_told_and_not_guessed(unique, fault_dir, monkeypatch, tmp_path):
    """With the record in /dev/shm, and hosts that work in a project on another file system."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pressure, "HISTORY_MB", 1 << 30)
    told = {RUN_DIR: str(SHM)}
    with pytest.raises(ActionError, match="a plan that means it says `even_the_record: true`"):
        pressure.disk_fill(str(SHM), megabytes=1, name=unique, configuration=told)
    pressure.disk_fill(str(SHM), megabytes=1, name=unique, configuration=told, even_the_record=True)
    assert pressure.in_place(unique)
    pressure.end(unique)
    pressure.disk_fill(str(SHM), megabytes=1, name=unique, configuration={RUN_DIR: str(tmp_path)})
    pressure.end(unique)


@pytest.mark.slow
def test_a_disk_is_kept_busy(unique, tmp_path):
    def calls():
        # write(2) calls are counted whatever the disk does with them
        found = [Path(f"/proc/{pid}/io").read_text() for pid, _ in faults.workers(unique)]
        return sum(int(text.split("syscw:")[1].split()[0]) for text in found)

    pressure.slow_disk(str(tmp_path), writers=1, block_kb=64, name=unique, ttl_s=60)
    wait(lambda: calls() > 50, what="50 writes")
    pressure.end(unique)
    assert not pressure.in_place(unique)
    assert not list(tmp_path.glob("gameday-write*"))


OPENER = """
import os, sys
for line in sys.stdin:
    try:
        os.close(os.open('/dev/null', os.O_RDONLY)); print('ok')
    except OSError as error:
        print(error.strerror)
"""


def test_a_process_runs_out_of_descriptors_and_gets_its_limit_back(victim, unique):
    server = victim(OPENER)
    before = resource_limit(server.pid)
    assert server.ask() == "ok"
    assert not pressure.is_short_of_descriptors(unique)
    pressure.file_descriptors(unique, name=unique, ttl_s=60)
    assert server.ask() == "Too many open files"
    assert pressure.is_short_of_descriptors(unique)
    with pytest.raises(ActionError, match="in place already"):
        pressure.file_descriptors(unique, leave=1, name=unique, ttl_s=60)
    pressure.restore_descriptors(unique)
    assert not pressure.is_short_of_descriptors(unique)
    assert server.ask() == "ok"
    assert resource_limit(server.pid) == before
    pressure.restore_descriptors(unique)
    assert resource_limit(server.pid) == before


def resource_limit(pid):
    import resource

    return resource.prlimit(pid, resource.RLIMIT_NOFILE)


def test_a_server_is_held_by_silent_connections(victim, unique):
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        port = server.getsockname()[1]
        pressure.connections("127.0.0.1", port, 20, name=unique, ttl_s=60)
        taken = [server.accept()[0] for _ in range(20)]
        assert pressure.in_place(unique)
        pressure.end(unique)
        for link in taken:
            link.settimeout(5)
            assert link.recv(1) == b"", "the kernel ends what the fault held"
            link.close()


IN_NAMESPACE = """
import os, socket, sys
from pathlib import Path
Path('/proc/sys/net/ipv4/ip_local_port_range').write_text('50000 50199')
from gameday.actions import pressure
import subprocess
subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)
server = socket.create_server(('127.0.0.1', 9000))
def can_connect():
    try:
        socket.create_connection(('127.0.0.1', 9000)).close()
    except OSError as error:
        return error.strerror
    return 'yes'
out = [can_connect()]
pressure.ports(name=sys.argv[1], ttl_s=60)
out += [can_connect(), pressure.in_place(sys.argv[1])]
pressure.end(sys.argv[1])
out += [can_connect(), pressure.in_place(sys.argv[1])]
pressure.end(sys.argv[1])
print(out)
"""


def can_unshare():
    return subprocess.run(["unshare", "-Urn", "true"], capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(
    not can_unshare() or not shutil.which("ip"), reason="no network namespaces here, or no ip"
)
def test_all_ports_are_taken_in_a_network_of_our_own(unique):
    done = subprocess.run(
        ["unshare", "-Urn", sys.executable, "-c", IN_NAMESPACE, unique],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(["yes", "Cannot assign requested address", True, "yes", False])


def test_values_out_of_range_are_refused(unique):
    for call in (
        lambda: pressure.cpu(percent=0, name=unique),
        lambda: pressure.cpu(percent=50, processes=0, name=unique),
        lambda: pressure.slow_disk("/nowhere", name=unique),
        lambda: pressure.cpu(name="no spaces"),
        lambda: pressure.cpu(name=unique, ttl_s=0),
        lambda: pressure.connections("127.0.0.1", 1, 1, name=unique),
    ):
        with pytest.raises(ActionError):
            call()
    assert not pressure.in_place(unique)


STARTER = """
import os, sys, time
from gameday.actions import faults
faults._say_go = lambda process, message: (print('started', process.pid, flush=True), time.sleep(60))
faults.intend(sys.argv[1], 'x')
faults.begin(sys.argv[1], 'work.cpu', {'processes': 1, 'percent': 100}, 60)
"""


def test_an_action_killed_half_way_leaves_no_fault(unique):
    """The process is there, its pid is recorded, the word to begin was not given yet."""
    starter = subprocess.Popen([sys.executable, "-c", STARTER, unique], stdout=subprocess.PIPE, text=True)
    pid = int(starter.stdout.readline().split()[1])
    assert [p for p, _ in faults.workers(unique)] == [pid]
    assert faults.read(unique)["pid"] == pid
    starter.send_signal(signal.SIGKILL)
    starter.communicate()
    wait(lambda: not faults.workers(unique), what="its end")


def test_a_fault_outlives_the_action_that_started_it_and_any_other_process_ends_it(unique):
    code = f"from gameday.actions import pressure; pressure.cpu(10, 1, {unique!r}, 60)"
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True)
    assert pressure.in_place(unique)
    for pid, _ in faults.workers(unique):
        environment = procfs.environment(pid)
        assert not any(item.startswith(b"GAMEDAY_HOST=") for item in environment)
        assert os.getsid(pid) != os.getsid(0)
    subprocess.run([sys.executable, "-m", "gameday.actions", "pressure.end", f"name={unique}"], check=True)
    assert not pressure.in_place(unique)
    assert time.monotonic() - began < 30


def test_the_command_by_hand_ends_it_as_it_is_written(unique, monkeypatch):
    import json

    from gameday.plan.catalogue import derive
    from gameday.plan.model import Activity

    provider = {"module": "gameday.actions.pressure", "func": "cpu", "arguments": {"name": unique}}
    pressure.memory(4, name=unique, ttl_s=60)
    assert pressure.in_place(unique)
    command = derive(Activity("x", json.dumps({"type": "python", **provider}), 1)).manual
    assert subprocess.run(command, shell=True).returncode == 0
    wait(lambda: not pressure.in_place(unique), what="its end by hand")


def test_what_is_left_is_known_by_name_until_it_is_undone(unique):
    assert faults.left() == ()
    pressure.memory(4, name=unique, ttl_s=60)
    assert faults.left() == (unique,)
    pressure.end(unique)
    assert faults.left() == ()


def test_a_folder_that_others_can_write_is_refused(fault_dir, unique):
    fault_dir.mkdir(exist_ok=True)
    fault_dir.chmod(0o777)
    with pytest.raises(ActionError, match="not a private folder"):
        pressure.memory(4, name=unique)
    fault_dir.chmod(0o700)


def test_a_record_that_cannot_be_read_is_not_taken_for_none(fault_dir, unique):
    faults.folder()
    (fault_dir / f"{unique}.json").write_text("{half")
    with pytest.raises(ActionError, match="cannot be read"):
        pressure.is_short_of_descriptors(unique)
    (fault_dir / f"{unique}.json").write_text("{}")
