"""Take what a machine has little of: processor, memory, disk space, disk time, ports, descriptors.

None of it needs root. Each but `file_descriptors` is a process that *is* the fault: its undo kills it
and everything is given back by the kernel, and it ends by itself after `ttl_s` seconds.
"""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Mapping
from pathlib import Path

from gameday.actions import faults, procs
from gameday.actions.http import ActionError, Configuration
from gameday.plan.bind import RUN_DIR

__all__ = [
    "connections",
    "cpu",
    "disk_fill",
    "end",
    "file_descriptors",
    "in_place",
    "is_short_of_descriptors",
    "memory",
    "ports",
    "restore_descriptors",
    "slow_disk",
]
SPARED_MB = 256
HISTORY_MB = 64


def cpu(
    percent: int = 100,
    processes: int | None = None,
    name: str = "gameday-cpu",
    ttl_s: float = faults.TTL_S,
) -> None:
    """Keep processors busy: `processes` of them (all, when not given) for `percent` of the time.

    stress-ng does it where it is installed, a worker of our own otherwise.

    Raises:
        ActionError: A value is out of range, or the fault is in place already.
    """
    count = processes if processes is not None else len(os.sched_getaffinity(0))
    _within("percent", percent, 1, 100)
    _within("processes", count, 1, 4096)
    config = {"processes": count, "percent": percent, "stress_ng": shutil.which("stress-ng")}
    _begin(name, "work.cpu", config, ttl_s)


def memory(megabytes: int, name: str = "gameday-memory", ttl_s: float = faults.TTL_S) -> None:
    """Hold so many megabytes of memory, each page touched. When memory runs out, this is killed first.

    Raises:
        ActionError: Less than 256 MB would be left: the kernel would choose whom to kill.
    """
    _within("megabytes", megabytes, 1, 1 << 24)
    free_mb = _available_mb()
    if megabytes > free_mb - SPARED_MB:
        raise ActionError(
            f"megabytes {megabytes}: {free_mb} MB are available and {SPARED_MB} MB have to stay free"
        )
    _begin(name, "work.memory", {"megabytes": megabytes}, ttl_s, ready_s=60.0)


def _available_mb() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) >> 10
    raise ActionError("/proc/meminfo does not say how much memory is available")


def disk_fill(
    folder: str,
    megabytes: int | None = None,
    leave_mb: int | None = None,
    name: str = "gameday-disk-fill",
    ttl_s: float = faults.TTL_S,
    even_the_record: bool = False,
    configuration: Configuration = None,
) -> None:
    """Fill the file system of a folder: by `megabytes`, or until `leave_mb` are left (0: full).

    The space is held by a file without a name, so that nothing has to be found and deleted.

    Args:
        folder: Where.
        megabytes: How much to take.
        leave_mb: How much to leave.
        name: The fault's name.
        ttl_s: After how long it ends by itself.
        even_the_record: Fill it also where the drill's own record is: without a record the drill
            halts, so such a plan tests the runner.
        configuration: Says where the run's folder is.

    Raises:
        ActionError: Not exactly one of the two is given; or the drill's own record is on that file
            system and would not have 64 MB left.
    """
    if (megabytes is None) == (leave_mb is None):
        raise ActionError("disk_fill: exactly one of megabytes and leave_mb is needed")
    place = _folder(folder)
    free_mb = shutil.disk_usage(place).free >> 20
    left_mb = free_mb - megabytes if megabytes is not None else int(leave_mb or 0)
    record = (configuration or {}).get(RUN_DIR)
    here = {path.stat().st_dev for path in (faults.folder(), *([Path(record)] if record else []))}
    if place.stat().st_dev in here and left_mb < HISTORY_MB and even_the_record is not True:
        raise ActionError(
            f"{folder} is on the file system of the drill's own record, which needs {HISTORY_MB} MB: "
            f"{max(left_mb, 0)} MB would be left; a plan that means it says `even_the_record: true`"
        )
    config = {"folder": str(place), "megabytes": megabytes, "leave_mb": leave_mb}
    _begin(name, "work.fill", config, ttl_s, ready_s=60.0)


def slow_disk(
    folder: str,
    writers: int = 4,
    block_kb: int = 256,
    name: str = "gameday-slow-disk",
    ttl_s: float = faults.TTL_S,
) -> None:
    """Keep the disk of a folder busy with synchronous writes, so that others wait for it.

    A bound on another's rate needs root and a control group: `gameday.actions.limits.disk`.

    Raises:
        ActionError: A value is out of range, or the fault is in place already.
    """
    _within("writers", writers, 1, 64)
    _within("block_kb", block_kb, 4, 16384)
    config = {"folder": str(_folder(folder)), "writers": writers, "block_kb": block_kb}
    _begin(name, "work.write_disk", config, ttl_s)


def ports(leave: int = 0, name: str = "gameday-ports", ttl_s: float = faults.TTL_S) -> None:
    """Take every free port of this machine's ephemeral range but `leave`: nobody can connect any more.

    Mind that the drill itself connects too: probes, proxies and undos on this machine need ports.

    Raises:
        ActionError: A value is out of range, or the ports cannot be taken.
    """
    _within("leave", leave, 0, 60_000)
    _begin(name, "work.ports", {"leave": leave}, ttl_s, ready_s=30.0)


def connections(
    host: str, port: int, count: int, name: str = "gameday-connections", ttl_s: float = faults.TTL_S
) -> None:
    """Open `count` connections to a server, hold them and say nothing.

    Raises:
        ActionError: A value is out of range, or the server takes none.
    """
    _within("count", count, 1, 60_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if count + 20 > soft:
        raise ActionError(f"count {count}: this process may have {soft} descriptors (at most {hard})")
    _begin(name, "work.connections", {"host": host, "port": port, "count": count}, ttl_s)


def end(name: str) -> None:
    """End the process that is the fault, with all its children; one that is gone is no error."""
    faults.end(name)


def in_place(name: str) -> bool:
    """Tell whether a process of that fault lives."""
    return faults.in_place(name)


def file_descriptors(
    match: str, leave: int = 0, name: str = "gameday-descriptors", ttl_s: float = faults.TTL_S
) -> None:
    """Leave a process so many more file descriptors than it has open: its next `open` fails (EMFILE).

    Its soft limit is lowered, which its owner may do, and raise again; the old one is on disk first.

    Raises:
        ActionError: Not exactly one process matches, or it belongs to somebody else.
    """
    if is_short_of_descriptors(name):
        raise ActionError(f"fault {name!r} is in place already: undo it, or give this one another `name`")
    ((pid, ticks),) = procs.find_some(match, 1)
    _within("leave", leave, 0, 1 << 20)
    try:
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        lowered = _lowest_limit({int(fd) for fd in os.listdir(f"/proc/{pid}/fd")}, leave)  # noqa: PTH208
        if lowered >= soft:
            raise ActionError(f"leave {leave}: process {pid} may open no more than that anyhow")
        prior = {"pid": pid, "ticks": ticks, "soft": soft, "lowered": lowered}
        kind = "pressure.file_descriptors"
        with faults.timed(name, kind, restore_descriptors, {"name": name}, ttl_s, prior):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowered, hard))
    except (PermissionError, ProcessLookupError) as error:
        raise ActionError(f"process {pid}: {error.strerror}") from None


def _lowest_limit(taken: set[int], leave: int) -> int:
    """Return the limit below which just `leave` numbers are free; a new descriptor gets the lowest."""
    limit = free = 0
    while limit in taken or free < leave:
        free += limit not in taken
        limit += 1
    return limit


def restore_descriptors(name: str = "gameday-descriptors") -> None:
    """Give the process the soft limit back that it had."""
    prior = faults.read(name).get("prior") or {}
    if prior and is_short_of_descriptors(name):
        _, hard = resource.prlimit(prior["pid"], resource.RLIMIT_NOFILE)
        resource.prlimit(prior["pid"], resource.RLIMIT_NOFILE, (prior["soft"], hard))
    faults.end(name)


def is_short_of_descriptors(name: str = "gameday-descriptors") -> bool:
    """Tell whether the process of that fault lives under the lowered limit."""
    prior = faults.read(name).get("prior") or {}
    if not prior or not procs.state_of((prior["pid"], prior["ticks"])):
        return False
    try:
        soft, _ = resource.prlimit(prior["pid"], resource.RLIMIT_NOFILE)
    except ProcessLookupError:
        return False
    return bool(soft != prior["soft"] and soft == prior["lowered"])


def _begin(
    name: str, kind: str, config: Mapping[str, object], ttl_s: float, ready_s: float = faults.READY_S
) -> None:
    faults.intend(name, kind)
    faults.begin(name, kind, dict(config), ttl_s, ready_s=ready_s)


def _folder(text: str) -> Path:
    path = Path(text)
    if not path.is_dir():
        raise ActionError(f"folder {text!r} is not there")
    return path.resolve()


def _within(what: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or not least <= value <= most:
        raise ActionError(f"{what} {value!r}: expected a whole number from {least} to {most}")
