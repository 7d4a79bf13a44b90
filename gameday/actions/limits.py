"""Limits on a control group: less processor time, a slower disk. Root, or a delegated group (v2).

Both versions of control groups are spoken. What stood in the file before is written to disk before
anything else is written into it, and is put back by the undo; a process beside it does the same after
`ttl_s` seconds, so that a limit does not outlive everybody who knows of it.

Source: Documentation/admin-guide/cgroup-v1/blkio-controller.rst, cgroup-v2.rst, scheduler/sched-bwc.rst.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from gameday.actions import faults
from gameday.actions.http import ActionError

__all__ = ["cpu", "disk", "is_limited", "lift"]
ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
_DEVICE = re.compile(r"\d+:\d+\Z")


def cpu(group: str, percent: int, name: str = "gameday-cpu-limit", ttl_s: float = faults.TTL_S) -> None:
    """Let a control group have `percent` of one processor (150: one and a half).

    Args:
        group: Its path below the controller's root, for instance `/system.slice/orders.service`.
        percent: Of one processor, at least 1.
        name: The fault's name.
        ttl_s: After so many seconds the limit is lifted, whoever is dead by then.

    Raises:
        ActionError: There is no such group, it cannot be written, or the fault is in place already.
    """
    if not isinstance(percent, int) or percent < 1:
        raise ActionError(f"percent {percent!r}: expected a whole number from 1")
    quota = max(percent * PERIOD_US // 100, 1000)
    v1, v2 = _file("cpu", group, "cpu.cfs_quota_us"), _file("", group, "cpu.max")
    if v1.exists():
        _limit(name, v1, _read(v1), str(quota), ttl_s)
    elif v2.exists():
        _limit(name, v2, _read(v2), f"{quota} {PERIOD_US}", ttl_s)
    else:
        raise ActionError(f"control group {group!r} has neither {v1} nor {v2}")


def disk(
    group: str,
    device: str,
    write_kb_per_s: int,
    name: str = "gameday-disk-limit",
    ttl_s: float = faults.TTL_S,
) -> None:
    """Let a control group write `write_kb_per_s` kilobytes a second to a disk, such as `/dev/vda`.

    Raises:
        ActionError: As `cpu`; or the device is none.
    """
    if not isinstance(write_kb_per_s, int) or write_kb_per_s < 1:
        raise ActionError(f"write_kb_per_s {write_kb_per_s!r}: expected a whole number from 1")
    number, rate = _device(device), write_kb_per_s << 10
    v1 = _file("blkio", group, "blkio.throttle.write_bps_device")
    v2 = _file("", group, "io.max")
    if v1.exists():
        _limit(name, v1, f"{number} {_entry(_read(v1), number) or '0'}", f"{number} {rate}", ttl_s)
    elif v2.exists():
        prior = re.search(r"wbps=(\w+)", _entry(_read(v2), number))
        _limit(name, v2, f"{number} wbps={prior[1] if prior else 'max'}", f"{number} wbps={rate}", ttl_s)
    else:
        raise ActionError(f"control group {group!r} has neither {v1} nor {v2}")


def lift(name: str) -> None:
    """Put back what stood there before the fault; harmless when it stands there already.

    Raises:
        ActionError: It cannot be written.
    """
    prior = faults.read(name).get("prior") or {}
    if prior and is_limited(name):
        _write(Path(prior["path"]), prior["before"])
    faults.end(name)


def is_limited(name: str) -> bool:
    """Tell whether the limit of that fault stands in its group. A group that is gone has none."""
    prior = faults.read(name).get("prior") or {}
    if not prior or prior["before"] == prior["limit"]:
        return False
    try:
        text = _read(Path(prior["path"]))
    except ActionError:
        return False
    wanted = str(prior["limit"])
    number, _, value = wanted.partition(" ")
    if _DEVICE.match(number):
        return value in _entry(text, number).split()
    return text == wanted


def _limit(name: str, path: Path, before: str, limit: str, ttl_s: float) -> None:
    if not os.access(path, os.W_OK):
        raise ActionError(f"{path} cannot be written by this user: limits need root or a delegated group")
    if before == limit:
        raise ActionError(f"{path} holds {limit!r} already: there is nothing to inject")
    prior = {"path": str(path), "before": before, "limit": limit}
    with faults.timed(name, "limits", lift, {"name": name}, ttl_s, prior):
        _write(path, limit)


def _file(controller: str, group: str, name: str) -> Path:
    if ".." in group.split("/"):
        raise ActionError(f"group {group!r}: expected a path below {ROOT}")
    return ROOT / controller / group.strip("/") / name


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ActionError(f"{path} cannot be read: {error.strerror}") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="ascii")
    except OSError as error:
        raise ActionError(f"{path} does not take {text!r}: {error.strerror}") from None


def _entry(text: str, number: str) -> str:
    """Return what a file with a line for each device says of one of them; empty when nothing."""
    for line in text.splitlines():
        device, _, rest = line.partition(" ")
        if device == number:
            return rest
    return ""


def _device(path: str) -> str:
    if _DEVICE.match(path):
        return path
    try:
        found = Path(path).stat().st_rdev
    except OSError as error:
        raise ActionError(f"device {path!r}: {error.strerror}") from None
    if not found:
        raise ActionError(f"device {path!r} is no device")
    return f"{os.major(found)}:{os.minor(found)}"
