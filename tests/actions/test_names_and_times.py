"""DNS answers from a hosts file, and clocks that are wrong for one program."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
import time

import pytest

from gameday.actions import clock, dns, faults
from gameday.actions.capabilities import faketime_library
from gameday.actions.http import ActionError
from tests.actions.conftest import wait

RESOLVER = """
import socket, sys
for line in sys.stdin:
    try:
        print(socket.gethostbyname(line.strip()))
    except OSError as error:
        print(error)
"""


def can_bind_mount():
    return subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_bind_mount(), reason="no mount namespaces for this user")
def test_a_name_is_answered_wrongly_until_the_undo(unique, tmp_path):
    """A victim whose /etc/hosts is the file, in a mount namespace of its own."""
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.9 db.internal\n")
    mount = f"mount --bind {hosts} /etc/hosts && exec {sys.executable} -u -c '{RESOLVER}'"
    victim = subprocess.Popen(
        ["unshare", "-Urm", "sh", "-c", mount], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def answer():
        victim.stdin.write("db.internal\n")
        victim.stdin.flush()
        return victim.stdout.readline().strip()

    file = str(hosts)
    try:
        assert answer() == "127.0.0.9"
        assert not dns.answers_wrongly(file, unique)
        dns.answer_wrongly(file, "db.internal", "192.0.2.77", name=unique, ttl_s=60)
        assert dns.answers_wrongly(file, unique)
        assert answer() == "192.0.2.77"
        with pytest.raises(ActionError, match="in place already"):
            dns.answer_wrongly(file, "db.internal", name=unique)
        hosts.open("a").write("127.0.0.8 added.meanwhile\n")
        dns.restore_answers(file, name=unique)
        assert not dns.answers_wrongly(file, unique)
        assert answer() == "127.0.0.9"
        dns.restore_answers(file, name=unique)
        assert hosts.read_text() == "127.0.0.9 db.internal\n127.0.0.8 added.meanwhile\n"
    finally:
        victim.kill()
        victim.communicate()


@pytest.mark.slow
def test_wrong_answers_end_with_their_ttl_and_only_the_named_line_goes(unique, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("")
    dns.answer_wrongly(str(hosts), "a.internal", name=unique, ttl_s=60)
    dns.answer_wrongly(str(hosts), "b.internal", name=f"{unique}-b", ttl_s=0.3)
    wait(lambda: not dns.answers_wrongly(str(hosts), f"{unique}-b"), what="the end of its ttl")
    assert dns.answers_wrongly(str(hosts), unique)
    dns.restore_answers(str(hosts), name=unique)
    assert hosts.read_text() == ""
    wait(lambda: not faults.workers(f"{unique}-b"), what="the end of its timer")


def ask_dns(port, host):
    name = b"".join(bytes([len(part)]) + part.encode() for part in host.split(".")) + b"\0"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(2)
        link.sendto(
            struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + name + struct.pack(">2H", 1, 1), ("127.0.0.1", port)
        )
        reply = link.recv(512)
    return socket.inet_ntoa(reply[-4:]) if struct.unpack(">H", reply[6:8])[0] else ""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("dnsmasq"), reason="dnsmasq is not installed")
def test_dnsmasq_answers_wrongly_until_the_undo(unique, tmp_path):
    hosts, pid_file = tmp_path / "hosts", tmp_path / "pid"
    hosts.write_text("127.0.0.9 db.internal\n")
    tmp_path.chmod(0o755)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        ["dnsmasq", "-k", "-p", str(port), "-C", "/dev/null", "-R", "-h", "--listen-address=127.0.0.1",
         "--bind-interfaces", f"--user={'root' if os.geteuid() == 0 else ''}", f"--addn-hosts={hosts}",
         f"--pid-file={pid_file}"]
    )  # fmt: skip
    where = {"hosts_file": str(hosts), "pid_file": str(pid_file), "name": unique}

    def answer():
        try:
            return ask_dns(port, "db.internal")
        except OSError:
            return None

    try:
        wait(lambda: answer() == "127.0.0.9" and pid_file.exists(), what="dnsmasq")
        dns.answer_wrongly(host="db.internal", address="192.0.2.7", ttl_s=60, **where)
        wait(lambda: "192.0.2.7" == answer(), what="the wrong answer")
        dns.restore_answers(**where)
        wait(lambda: answer() == "127.0.0.9", what="the right answer")
        dns.restore_answers(**where)
    finally:
        server.kill()
        server.wait()


def test_a_clock_file_is_changed_and_said_true_again(unique, tmp_path):
    file = tmp_path / "clock"
    file.write_text("+0\n")
    assert not clock.is_skewed(str(file))
    clock.skew(str(file), 3600, name=unique, ttl_s=60)
    assert file.read_text() == "+3600\n"
    assert clock.is_skewed(str(file))
    with pytest.raises(ActionError, match="false already"):
        clock.skew(str(file), 60, name=unique)
    clock.unskew(str(file), unique)
    assert not clock.is_skewed(str(file))
    clock.unskew(str(file), unique)
    assert file.read_text() == "+0\n"
    clock.skew(str(file), -5, name=unique, ttl_s=0.3)
    wait(lambda: not clock.is_skewed(str(file)), what="the end of its ttl")
    wait(lambda: not faults.workers(unique), what="the end of its timer")


needs_faketime = pytest.mark.skipif(not faketime_library(), reason="libfaketime is not installed")


@needs_faketime
def test_a_program_is_run_under_a_false_clock(unique, tmp_path):
    out = tmp_path / "out"
    code = f"import time, pathlib\nwhile True: pathlib.Path({str(out)!r}).write_text(str(time.time())); time.sleep(0.02)"
    assert not clock.in_place(unique)
    clock.start([sys.executable, "-c", code], 7200, name=unique, ttl_s=60)
    assert clock.in_place(unique)
    wait(
        lambda: out.exists() and out.read_text() and float(out.read_text()) - time.time() > 7000,
        what="a false time",
    )
    clock.end(unique)
    assert not clock.in_place(unique)
    clock.end(unique)


@needs_faketime
def test_a_running_service_sees_its_clock_jump_and_come_back(victim, unique, tmp_path):
    file = tmp_path / "clock"
    file.write_text("+0\n")
    env = os.environ | {
        "LD_PRELOAD": faketime_library(), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
    }  # fmt: skip
    server = victim("import sys, time\nfor line in sys.stdin: print(time.time())", env=env)

    def ahead_s():
        return float(server.ask()) - time.time()

    assert abs(ahead_s()) < 5
    clock.skew(str(file), 3600, name=unique, ttl_s=60)
    assert ahead_s() > 3500
    clock.unskew(str(file), unique)
    assert abs(ahead_s()) < 5


def test_without_libfaketime_it_says_so(unique, monkeypatch):
    monkeypatch.setenv("GAMEDAY_LIBFAKETIME", "/nowhere")
    with pytest.raises(ActionError, match="apt install faketime"):
        clock.start(["sleep", "9"], 60, name=unique)
    assert not clock.in_place(unique)
