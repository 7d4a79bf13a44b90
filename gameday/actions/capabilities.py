"""What this machine can do of each family of faults, and why not. Looks, and changes nothing.

Imports neither actions nor anything that they need: `gameday doctor` asks here. What only the kernel
can tell is tried in a network namespace of its own, which ends with the trial.
"""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from importlib import util
from pathlib import Path

TRIAL_S = 5.0
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Capability:
    """One family of faults: whether it can be injected here, and how or why not."""

    family: str
    ok: bool
    detail: str


def capabilities() -> tuple[Capability, ...]:
    """Return every family, in the order in which a person reads them."""
    return (
        Capability("processes", True, "kill, stop and restart: those of this user" + _root()),
        _stress(),
        Capability("disk fill", True, "any folder that this user may write to"),
        _group("cpu limit", "cpu/cpu.cfs_quota_us", "cpu"),
        _group("disk limit", "blkio/blkio.throttle.write_bps_device", "io", "; without: pressure.slow_disk"),
        Capability("descriptors", True, "processes of this user" + _root()),
        Capability("proxy links", True, "the lab's proxies, and any Toxiproxy by its `api`"),
        _netem(),
        _rate(),
        _nft(),
        _dns(),
        _faketime(),
        _postgres(),
    )


def _root() -> str:
    return ", and of everybody else (root)" if os.geteuid() == 0 else ""


def _stress() -> Capability:
    found = shutil.which("stress-ng")
    how = (
        f"stress-ng for processors ({found})" if found else "a worker of our own (stress-ng is not installed)"
    )
    return Capability("cpu, memory", True, how)


def _group(family: str, v1: str, v2: str, instead: str = "") -> Capability:
    controller, _, name = v1.partition("/")
    if (_CGROUP / controller / name).exists() or (_CGROUP / controller / "cgroup.procs").exists():
        ok = os.access(_CGROUP / controller / "cgroup.procs", os.W_OK)
        return Capability(family, ok, "control groups v1" if ok else "control groups v1 need root" + instead)
    try:
        known = (_CGROUP / "cgroup.controllers").read_text(encoding="ascii").split()
    except OSError:
        return Capability(family, False, "no control groups are mounted" + instead)
    if v2 not in known:
        return Capability(family, False, f"control groups v2 without the {v2} controller" + instead)
    own = _own_group()
    ok = os.geteuid() == 0 or os.access(own / "cgroup.procs", os.W_OK)
    return Capability(family, ok, "control groups v2" if ok else "needs root or a delegated group" + instead)


def _own_group() -> Path:
    for line in Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
        if line.startswith("0::"):
            return _CGROUP / line[3:].strip().lstrip("/")
    return _CGROUP


def _netem() -> Capability:
    ok, why = _try("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")
    return Capability("tc netem", ok, _need_root() if ok else f"{why}: use the proxies for latency and loss")


def _rate() -> Capability:
    options = ("rate", "1mbit", "burst", "70kb", "latency", "400ms")
    ok, why = _try("tc", "qdisc", "add", "dev", "lo", "root", "tbf", *options)
    return Capability("tc rate", ok, _need_root() if ok else f"{why}: use the proxies for bandwidth")


def _nft() -> Capability:
    ok, why = _try("nft", "add", "table", "inet", "gameday_trial")
    return Capability("nft", ok, _need_root() if ok else f"{why}: use the proxies for partition and cut")


def _need_root() -> str:
    return "usable" if os.geteuid() == 0 else "usable in a network namespace of your own; else it needs root"


def _try(*command: str) -> tuple[bool, str]:
    """Try a command in a network namespace of its own."""
    if shutil.which(command[0]) is None:
        return False, f"{command[0]} is not installed"
    if shutil.which("unshare") is None:
        return False, "unshare is not installed"
    try:
        done = subprocess.run(
            ["unshare", "-Urn", *command], capture_output=True, text=True, timeout=TRIAL_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False, f"{command[0]} does not answer"
    if done.returncode == 0:
        return True, ""
    if "unshare" in done.stderr:
        return False, "network namespaces are forbidden here, so it cannot be tried"
    return False, "not in this kernel"


def _dns() -> Capability:
    if os.access("/etc/hosts", os.W_OK):
        return Capability("dns answers", True, "/etc/hosts, and dnsmasq's hosts file")
    return Capability("dns answers", True, "a dnsmasq hosts file that this user may write; /etc/hosts is not")


def _faketime() -> Capability:
    found = bool(faketime_library())
    why = "not found: apt install faketime, or set GAMEDAY_LIBFAKETIME"
    return Capability(
        "clock skew", found, "libfaketime, for programs that use the C library" if found else why
    )


def _installed_faketime() -> str:
    for place in ("/usr/lib", "/usr/local/lib"):
        for pattern in ("*/faketime/libfaketimeMT.so.1", "faketime/libfaketimeMT.so.1"):
            for path in Path(place).glob(pattern):
                return str(path)
    return ctypes.util.find_library("faketime") or ""


def faketime_library() -> str:
    """Return where libfaketime is; empty when it is not installed. GAMEDAY_LIBFAKETIME may say."""
    chosen = os.environ.get("GAMEDAY_LIBFAKETIME")
    if chosen:
        return chosen if Path(chosen).exists() else ""
    return _installed_faketime()


def _postgres() -> Capability:
    found = util.find_spec("psycopg") is not None
    why = "kill, stop, connections, lock, replay: the lab's nodes; the last three on any server by `dsn_env`"
    return Capability("postgresql faults", found, why if found else "psycopg is not installed")
