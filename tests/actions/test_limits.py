"""Control groups: a real group, its limit felt by a real process, and what stood there before put back."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from gameday.actions import faults, limits
from gameday.actions.http import ActionError
from tests.actions.conftest import wait

CPU_V1, BLKIO_V1 = limits.ROOT / "cpu", limits.ROOT / "blkio"


def v1(controller):
    return os.geteuid() == 0 and os.access(limits.ROOT / controller / "cgroup.procs", os.W_OK)


needs_cpu = pytest.mark.skipif(not v1("cpu"), reason="no cgroup v1 cpu controller that this user may write")
needs_blkio = pytest.mark.skipif(
    not v1("blkio"), reason="no cgroup v1 blkio controller that this user may write"
)
BURN = "import sys\nprint('go')\nwhile True: pass"


@contextlib.contextmanager
def group(controller, name):
    path = limits.ROOT / controller / name
    path.mkdir()
    try:
        yield path
    finally:
        for pid in (path / "cgroup.procs").read_text().split():
            (path.parent / "cgroup.procs").write_text(pid)
        path.rmdir()


@needs_cpu
def test_a_group_gets_less_processor_time_and_its_old_quota_back(victim, unique):
    with group("cpu", unique) as path:
        quota = path / "cpu.cfs_quota_us"
        quota.write_text("90000")
        burner = victim(BURN)
        burner.process.stdout.readline()
        (path / "cgroup.procs").write_text(str(burner.pid))
        assert not limits.is_limited(unique)
        limits.cpu(unique, 5, name=unique, ttl_s=60)
        assert quota.read_text().strip() == "5000"
        assert limits.is_limited(unique)
        assert faults.read(unique)["prior"]["before"] == "90000"
        throttled = path / "cpu.stat"
        wait(lambda: "nr_throttled 0" not in throttled.read_text(), what="throttling")
        with pytest.raises(ActionError, match="already"):
            limits.cpu(unique, 5, name=unique, ttl_s=60)
        with pytest.raises(ActionError, match="in place already"):
            limits.cpu(unique, 7, name=unique, ttl_s=60)
        limits.lift(unique)
        assert quota.read_text().strip() == "90000"
        assert not limits.is_limited(unique)
        limits.lift(unique)
        assert quota.read_text().strip() == "90000"
        burner.close()


@pytest.mark.slow
@needs_cpu
def test_a_limit_is_lifted_after_its_ttl(unique):
    with group("cpu", unique) as path:
        limits.cpu(unique, 5, name=unique, ttl_s=0.3)
        wait(lambda: (path / "cpu.cfs_quota_us").read_text().strip() == "-1", what="the end of its ttl")
        wait(lambda: not faults.workers(unique), what="the end of its timer")


@pytest.mark.slow
@needs_blkio
def test_a_disk_becomes_slow_for_a_group(victim, unique, tmp_path):
    code = f"""
import os, sys, time
for line in sys.stdin:
    began = time.monotonic()
    fd = os.open({str(tmp_path / "data")!r}, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b'x' * (256 << 10)); os.fsync(fd); os.close(fd)
    print(time.monotonic() - began)
"""
    device = os.stat(tmp_path).st_dev
    if not Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").exists():
        pytest.skip("the temporary folder is not on a disk")
    disk = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if (disk / "partition").exists():
        pytest.skip("limits are for whole disks, and the temporary folder is on a partition")
    number = f"{os.major(device)}:{os.minor(device)}"
    with group("blkio", unique) as path:
        writer = victim(code)
        (path / "cgroup.procs").write_text(str(writer.pid))
        writer.ask()
        limits.disk(unique, number, 128, name=unique, ttl_s=60)
        assert limits.is_limited(unique)
        assert float(writer.ask()) > 0.5  # 256 kB at 128 kB/s: about 2 s
        limits.lift(unique)
        assert not limits.is_limited(unique)
        assert number not in (path / "blkio.throttle.write_bps_device").read_text()
        limits.lift(unique)
        writer.close()


def test_version_two_is_spoken_as_well(unique, tmp_path, monkeypatch):
    """No machine of ours has v2 controllers: the files are stood in for, their grammar is the kernel's."""
    monkeypatch.setattr(limits, "ROOT", tmp_path)
    place = tmp_path / "orders"
    place.mkdir()
    (place / "cpu.max").write_text("max 100000\n")
    (place / "io.max").write_text("8:16 rbps=max wbps=2097152 riops=max wiops=max\n")
    limits.cpu("/orders", 50, name=unique, ttl_s=60)
    assert (place / "cpu.max").read_text().strip() == "50000 100000"
    assert limits.is_limited(unique)
    limits.lift(unique)
    assert (place / "cpu.max").read_text().strip() == "max 100000"
    limits.disk("/orders", "8:16", 512, name=unique, ttl_s=60)
    assert (place / "io.max").read_text().strip() == "8:16 wbps=524288"
    limits.lift(unique)
    assert (place / "io.max").read_text().strip() == "8:16 wbps=2097152"


def test_a_group_that_is_not_there_is_refused(unique):
    for group_name in ("nowhere/at/all", "../../etc"):
        with pytest.raises(ActionError, match="group"):
            limits.cpu(group_name, 50, name=unique)
    assert not faults.workers(unique)
