"""Leases between machines: real files, real processes that are killed or stopped, clocks that disagree."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from gameday.errors import Refused
from gameday.runner.lease import SharedLease
from tests.drills import ROOT

HOLDER = """
import sys, time
from pathlib import Path
from gameday.runner.lease import SharedLease
lease = SharedLease(Path(sys.argv[1]), "lab/x", holder="other", run="run-1", expires_s=float(sys.argv[2]))
lease.take()
print("taken", flush=True)
while True:
    time.sleep(0.02)
    if lease.lost():
        print("lost: " + lease.lost(), flush=True)
        break
"""


def lease_of(folder, expires_s=1.0, run="run-2"):
    return SharedLease(folder, "lab/x", holder="me", run=run, expires_s=expires_s)


@pytest.fixture
def holder(tmp_path):
    """Start a process that takes the lease and keeps it."""
    started = []

    def start(expires_s=1.0):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path), str(expires_s)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        assert process.stdout.readline() == "taken\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_second_drill_is_refused_and_told_who_holds_it(tmp_path):
    one, two = lease_of(tmp_path, 5.0, "run-1"), lease_of(tmp_path)
    one.take()
    with pytest.raises(Refused, match="run run-1 of me on .*, until 20"):
        two.take()
    one.release()
    two.take()
    two.release()
    assert list(tmp_path.iterdir()) == []


def test_another_system_is_none_of_our_business(tmp_path):
    one = lease_of(tmp_path)
    other = SharedLease(tmp_path, "lab/y", holder="me", run="r", expires_s=1.0)
    one.take()
    other.take()
    one.release()
    other.release()


def test_a_live_holder_keeps_it_well_past_its_time(tmp_path, holder):
    holder(0.5)
    until_s = time.monotonic() + 1.2
    while time.monotonic() < until_s:
        with pytest.raises(Refused):
            lease_of(tmp_path, 0.5).take()
        time.sleep(0.05)


def test_the_lease_of_a_killed_holder_is_taken_over_after_its_time_with_clear_words(tmp_path, holder):
    process = holder(0.7)
    process.kill()
    process.wait()
    mine = lease_of(tmp_path, 0.7)
    with pytest.raises(Refused, match="another drill holds"):
        mine.take()
    give_up_s = time.monotonic() + 20
    while True:
        try:
            mine.take()
            break
        except Refused:
            assert time.monotonic() < give_up_s
            time.sleep(0.05)
    assert "took over the expired lease of run run-1 of other" in mine.taken_over
    assert "gameday recover" in mine.taken_over
    assert mine.lost() == ""
    mine.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_holder_that_was_stopped_knows_that_it_lost(tmp_path, holder):
    process = holder(1.0)
    process.send_signal(signal.SIGSTOP)
    mine = lease_of(tmp_path)
    give_up_s = time.monotonic() + 20
    while True:
        try:
            mine.take()
            break
        except Refused:
            assert time.monotonic() < give_up_s
            time.sleep(0.05)
    process.send_signal(signal.SIGCONT)
    assert process.stdout.readline().startswith("lost: ")
    mine.release()


def test_losing_the_file_is_noticed(tmp_path):
    mine = lease_of(tmp_path, 1.0)
    mine.take()
    mine.store.path.unlink()
    give_up_s = time.monotonic() + 10
    while not mine.lost():
        assert time.monotonic() < give_up_s
        time.sleep(0.02)
    assert "was taken by" in mine.lost()
    mine.release()


def test_a_share_that_goes_away_is_noticed_before_the_lease_expires(tmp_path):
    folder = tmp_path / "share"
    folder.mkdir()
    mine = lease_of(folder, 1.0)
    mine.take()
    mine.store.path.unlink()
    mine.store.path.mkdir()  # as unreadable as a share can be, for root too
    began_s = time.monotonic()
    while not mine.lost():
        assert time.monotonic() - began_s < 10
        time.sleep(0.02)
    assert "could not be renewed" in mine.lost()
    mine.release()


def test_a_holder_whose_clock_is_behind_is_left_alone(tmp_path):
    mine = lease_of(tmp_path, 1.0)
    theirs = {"holder": "x", "machine": "m", "run": "r", "token": "t", "beat": 1}
    theirs["expires_utc"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    mine.store.path.write_text(json.dumps(theirs))
    beat = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import json,sys,time\nfrom pathlib import Path\np=Path(sys.argv[1]); d=json.loads(p.read_text())\n"
            "while True:\n time.sleep(0.2); d['beat']+=1; q=p.with_suffix('.n'); q.write_text(json.dumps(d)); q.replace(p)",
            str(mine.store.path),
        ]
    )
    try:
        with pytest.raises(Refused, match="clocks disagree"):
            mine.take()
    finally:
        beat.kill()
        beat.wait()


@pytest.mark.parametrize(
    "data", ["", "{", "[1]", '"x"', "null", '{"expires_utc": 7}', '{"expires_utc": "2020-01-01"}']
)
def test_a_lease_that_nobody_understands_is_not_taken(tmp_path, data):
    mine = lease_of(tmp_path)
    mine.store.path.write_text(data)
    with pytest.raises(Refused):
        mine.take()
    assert mine.store.path.read_text() == data


def test_two_that_take_over_at_once_do_not_both_get_it(tmp_path):
    mine = lease_of(tmp_path, 0.3)
    old = {"token": "t", "expires_utc": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}
    mine.store.path.write_text(json.dumps(old))
    mine.store.path.with_name(mine.store.path.name + ".takeover").touch()
    with pytest.raises(Refused, match="is taking over"):
        mine.take()


@pytest.mark.slow
def test_many_that_take_over_at_once_leave_one(tmp_path):
    import threading

    old = {"token": "t", "expires_utc": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}
    all_ = [lease_of(tmp_path, 1.0) for _ in range(12)]
    all_[0].store.path.write_text(json.dumps(old))
    got = []

    def take(lease):
        try:
            lease.take()
            got.append(lease)
        except Refused:
            pass

    threads = [threading.Thread(target=take, args=(lease,)) for lease in all_]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    got[0].release()


def test_a_path_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(Refused, match="cannot be taken"):
        lease_of(tmp_path / "none").take()
