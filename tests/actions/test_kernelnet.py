"""`tc` and `nft` in a network namespace of their own: nothing of this machine's network is touched."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys

import pytest


def inside(code, *args, timeout=60):
    """Run Python in a fresh network namespace and return what its last line says."""
    lead = (
        "import subprocess, sys, socket, time\n"
        "subprocess.run(['ip', 'link', 'set', 'lo', 'mtu', '1500', 'up'], check=True)\n"
        "from gameday.actions import kernelnet, faults\n"
        "from gameday.actions.http import ActionError\n"
    )
    done = subprocess.run(
        ["unshare", "-Urn", sys.executable, "-c", lead + code, *args],
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout.strip().splitlines()[-1])


def can(*command):
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    return subprocess.run(["unshare", "-Urn", *command], capture_output=True).returncode == 0


tc = shutil.which("tc") is not None
needs_tbf = pytest.mark.skipif(
    not (
        tc
        and can(
            "tc",
            "qdisc",
            "add",
            "dev",
            "lo",
            "root",
            "tbf",
            "rate",
            "1mbit",
            "burst",
            "16kb",
            "latency",
            "400ms",
        )
    ),
    reason="no network namespace, no tc, or no tbf in this kernel",
)
needs_netem = pytest.mark.skipif(
    not (tc and can("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")),
    reason="netem is not in this kernel",
)
needs_nft = pytest.mark.skipif(
    not (shutil.which("nft") and can("nft", "list", "tables")), reason="nft is not installed, or not allowed"
)

TIMED = """
def seconds():
    server = socket.create_server(('127.0.0.1', 0))
    out = socket.create_connection(server.getsockname()); back, _ = server.accept()
    began = time.monotonic()
    out.sendall(b'x' * 60000); out.shutdown(socket.SHUT_WR)
    while back.recv(65536): pass
    return time.monotonic() - began
"""


@needs_tbf
def test_a_rate_is_limited_and_the_default_comes_back():
    code = (
        TIMED
        + """
free = seconds()
said = [kernelnet.is_shaped('lo')]
kernelnet.rate('lo', 500, ttl_s=60)
said.append(kernelnet.is_shaped('lo'))
slow = seconds()
try:
    kernelnet.rate('lo', 500)
except ActionError as error:
    said.append('in place already' in str(error))
kernelnet.unshape('lo')
said.append(kernelnet.is_shaped('lo'))
kernelnet.unshape('lo')
subprocess.run(['tc', 'qdisc', 'add', 'dev', 'lo', 'root', 'handle', '9:', 'pfifo'], check=True)
try:
    kernelnet.rate('lo', 500)
except ActionError as error:
    said.append('own' in str(error))
kernelnet.unshape('lo')
kept = ' 9: root' in kernelnet._root_discipline('lo', '')
print([said, slow > 0.3 > free, kept])
"""
    )
    assert inside(code) == [[False, True, True, False, True], True, True]


@pytest.mark.slow
@needs_tbf
def test_a_timer_takes_the_discipline_off():
    code = """
kernelnet.rate('lo', 500, ttl_s=0.3)
give_up = time.monotonic() + 20
while kernelnet.is_shaped('lo') and time.monotonic() < give_up: time.sleep(0.02)
print(kernelnet.is_shaped('lo'))
"""
    assert inside(code) is False


@needs_netem
def test_netem_delays():
    code = (
        TIMED
        + "kernelnet.shape('lo', latency_ms=100, ttl_s=60)\nslow = seconds()\nkernelnet.unshape('lo')\nprint(slow > 0.1)\n"
    )
    assert inside(code) is True


@pytest.mark.slow
@needs_nft
def test_packets_to_a_port_are_dropped_refused_and_lost():
    code = """
server = socket.create_server(('127.0.0.1', 7000), backlog=200)
def ask():
    try:
        socket.create_connection(('127.0.0.1', 7000), timeout=0.3).close()
    except OSError as error:
        return type(error).__name__
    return 'yes'
def tables(): return subprocess.run(['nft', 'list', 'tables'], capture_output=True, text=True).stdout
subprocess.run(['nft', 'add', 'table', 'inet', 'theirs'], check=True)
out = [ask(), kernelnet.has_rules(sys.argv[1])]
kernelnet.drop('127.0.0.1', 7000, name=sys.argv[1], ttl_s=60)
out += [ask(), kernelnet.has_rules(sys.argv[1])]
kernelnet.remove_rules(sys.argv[1]); kernelnet.remove_rules(sys.argv[1])
out += [ask(), kernelnet.has_rules(sys.argv[1])]
kernelnet.drop(port=7000, answer='reset', name=sys.argv[1], ttl_s=60)
out += [ask()]
kernelnet.remove_rules(sys.argv[1])
kernelnet.drop('127.0.0.1', percent=50, name=sys.argv[1], ttl_s=60)
some = [ask() for _ in range(16)]
out += ['yes' in some and len(set(some)) > 1]
kernelnet.remove_rules(sys.argv[1])
out += [ask(), 'theirs' in tables()]
print(out)
"""
    assert inside(code, "gameday-drop-1") == [
        "yes", False, "TimeoutError", True, "yes", False, "ConnectionRefusedError", True, "yes", True,
    ]  # fmt: skip


@pytest.mark.skipif(
    os.geteuid() != 0 or not tc, reason="entering another's network namespace needs root and tc"
)
@pytest.mark.slow
@needs_tbf
def test_another_network_namespace_is_entered(victim):
    from gameday.actions import faults, kernelnet

    owner = victim("import sys\nprint('up')\nsys.stdin.read()")
    owner.process.stdout.readline()
    other = subprocess.Popen(["unshare", "-n", "sleep", "60"])
    try:
        place = f"/proc/{other.pid}/ns/net"
        deadline = 400
        while os.readlink(place) == os.readlink("/proc/self/ns/net") and deadline:
            deadline -= 1
        kernelnet.rate("lo", 500, namespace=place, ttl_s=60)
        assert kernelnet.is_shaped("lo", place)
        assert not kernelnet.is_shaped("lo")
        kernelnet.unshape("lo", place)
        assert not kernelnet.is_shaped("lo", place)
        assert not faults.workers("gameday-tc-lo")
    finally:
        other.kill()
        other.wait()


def test_what_has_no_target_is_refused():
    from gameday.actions import kernelnet
    from gameday.actions.http import ActionError

    for call in (
        lambda: kernelnet.drop(),
        lambda: kernelnet.drop("not an address"),
        lambda: kernelnet.drop("10.0.0.1", percent=0),
        lambda: kernelnet.drop("10.0.0.1", answer="laugh"),
        lambda: kernelnet.shape("lo"),
        lambda: kernelnet.rate("lo; reboot", 1),
    ):
        with pytest.raises(ActionError):
            call()
