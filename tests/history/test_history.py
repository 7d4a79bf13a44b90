"""A history reads back after anything: torn tails, edits, a full disk, a second writer."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
from dataclasses import replace

import pytest

from gameday.canonical import canonical, from_json, to_json
from gameday.errors import HistoryError, RecordError
from gameday.history.codec import Roots, genesis
from gameday.history import disk
from gameday.history.events import (
    Effect,
    HaltAsked,
    Noted,
    Phase,
    PhaseChanged,
    Reading,
    RunEnded,
    RunStarted,
    Sample,
    StepEnded,
    StepStarted,
)
from gameday.history.read import read_records, read_trace
from gameday.history.store import HistoryWriter

SHA = "0" * 64
START = RunStarted("r", SHA, "1", "boot", "0", (), "me", "here")


def write(folder, *events, samples=0):
    writer = HistoryWriter(folder, Roots(SHA))
    writer.record(0, "utc", "runner", START, sync=True)
    for number, event in enumerate(events, start=1):
        writer.record(number, "utc", "runner", event, sync=True)
    for number in range(samples):
        writer.keep(Sample("p", number, number + 1, Reading.GOOD))
    if samples:
        writer._disk.write(writer._fd, b"", sync=True, patience_s=5)  # All that was handed over is written.
        writer.seal(99, "utc")
    writer.close()


EVENTS = (
    PhaseChanged(Phase.BASELINE, "armed"),
    StepStarted("a"),
    StepEnded("a", Effect.HAPPENED, in_place=True, detail="ü\u2028"),
)


def test_what_was_recorded_reads_back_the_same(tmp_path):
    write(tmp_path, *EVENTS, samples=5)
    trace = read_trace(tmp_path)
    assert [r.event for r in trace.records][1:4] == list(EVENTS)
    assert [s.sent_ns for s in trace.samples] == list(range(5))
    assert trace.faults == () and trace.torn == 0


def test_every_truncation_reads_as_a_prefix(tmp_path):
    write(tmp_path, *EVENTS)
    path = tmp_path / "history.jsonl"
    whole = path.read_bytes()
    events = [r.event for r in read_records(tmp_path).records]
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        trace = read_records(tmp_path)
        found = [r.event for r in trace.records]
        assert found == events[: len(found)]
        assert not trace.faults


def test_every_flipped_byte_is_found(tmp_path):
    write(tmp_path, *EVENTS, RunEnded(outcome="completed", stuck=(), failed_over=False))
    path = tmp_path / "history.jsonl"
    whole = path.read_bytes()
    last = whole[:-1].rfind(b"\n") + 1  # The last line is covered by the seal, not by the chain.
    for at in random.Random(7).sample(range(last), 300):
        broken = bytearray(whole)
        broken[at] ^= 1
        path.write_bytes(broken)
        assert read_records(tmp_path).faults, f"byte {at} was changed and nothing noticed"


def test_a_changed_segment_is_found(tmp_path):
    write(tmp_path, samples=50)
    path = tmp_path / "segments" / "samples.jsonl"
    path.write_bytes(path.read_bytes().replace(b"good", b"bad!", 1))
    assert read_trace(tmp_path).faults


def test_a_writer_goes_on_after_a_torn_tail(tmp_path):
    write(tmp_path, *EVENTS, samples=3)
    path = tmp_path / "history.jsonl"
    path.write_bytes(path.read_bytes() + b'{"half')
    writer = HistoryWriter(tmp_path, Roots(SHA))
    writer.record(9, "utc", "watchdog", HaltAsked("watchdog", "test"), sync=True)
    writer.keep(Sample("p", 100, 101, Reading.BAD))
    writer._disk.write(writer._fd, b"", sync=True, patience_s=5)
    writer.seal(10, "utc")
    writer.close()
    trace = read_trace(tmp_path)
    assert trace.faults == () and trace.torn == 0
    assert isinstance(trace.records[-2].event, HaltAsked)
    assert len(trace.samples) == 4


def test_a_second_writer_is_refused(tmp_path):
    writer = HistoryWriter(tmp_path, Roots(SHA))
    with pytest.raises(HistoryError, match="another process"):
        HistoryWriter(tmp_path, Roots(SHA))
    writer.close()


def test_a_full_disk_refuses_a_command_but_the_reserve_takes_an_undo(tmp_path, monkeypatch):
    writer = HistoryWriter(tmp_path, Roots(SHA))
    writer.record(0, "utc", "runner", START, sync=True)
    real = disk._write_all

    def full(fd, data):
        if (tmp_path / "history.reserve").exists():
            os.write(fd, bytes(data)[:3])  # A short write, then no space: half a line.
            raise OSError(errno.ENOSPC, "No space left on device")
        real(fd, data)

    monkeypatch.setattr(disk, "_write_all", full)
    writer.record(1, "utc", "runner", StepStarted("a"), sync=True)
    assert not (tmp_path / "history.reserve").exists()
    monkeypatch.setattr(disk, "_write_all", real)
    writer.close()
    trace = read_records(tmp_path)
    assert trace.faults == ()
    assert isinstance(trace.records[-1].event, StepStarted)


def test_an_fsync_error_stops_commands_and_lets_the_safe_direction_go_on(tmp_path, monkeypatch):
    writer = HistoryWriter(tmp_path, Roots(SHA))
    writer.record(0, "utc", "runner", START, sync=True)

    def broken(fd):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(HistoryError, match="cannot be written"):
        writer.record(1, "utc", "runner", StepStarted("a"), sync=True)
    writer.record(2, "utc", "runner", HaltAsked("x", "y"), sync=True, safe=True)
    assert writer.disk_error
    writer.close()


@pytest.mark.parametrize("value", [1.5, {"a": float("nan")}, 2**53, {1: 2}, "\ud800", object()])
def test_what_cannot_be_read_alike_everywhere_is_refused(value):
    with pytest.raises(RecordError):
        canonical(value)


def test_canonical_form_is_that_of_rfc_8785():
    rfc8785 = pytest.importorskip("rfc8785")
    value = {
        "\u20ac": "Euro",
        "\r": "CR",
        "\ufb33": 1,
        "1": [True, None, -5],
        "\U0001f600": "s",
        "ö": '\x0f\n"\\',
    }
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "data",
    [
        {"step": "a"},
        {"step": 1, "completing": False},
        {"step": "a", "completing": 1},
        {"step": "a", "x": 1},
        [],
    ],
)
def test_a_record_of_the_wrong_shape_is_refused(data):
    if data == {"step": "a"}:
        assert from_json(StepStarted, data) == StepStarted("a")
        return
    with pytest.raises(RecordError):
        from_json(StepStarted, data)


def test_dataclasses_survive_the_round_trip():
    for event in EVENTS:
        assert from_json(type(event), to_json(event)) == event


def test_a_history_grows_from_plan_register_and_start_token(tmp_path):
    """The genesis is that of docs/evidence-format.md: no root can be changed or swapped afterwards."""
    roots = Roots(SHA, "b" * 64, "c" * 64)
    expected = hashlib.sha256(
        b"\0".join([b"gameday-history-v2", SHA.encode(), b"b" * 64, b"c" * 64])
    ).hexdigest()
    assert genesis(roots) == expected
    assert genesis(Roots(SHA, "c" * 64, "b" * 64)) != expected
    writer = HistoryWriter(tmp_path, roots)
    start = replace(START, plan_sha256=SHA, register_sha256="b" * 64, start_token_sha256="c" * 64)
    writer.record(0, "now", "runner", start, sync=True)
    writer.close()
    assert json.loads((tmp_path / "history.jsonl").read_bytes())["prev"] == expected
    again = HistoryWriter(tmp_path, Roots(SHA))  # Whoever goes on need not know the roots.
    again.record(1, "now", "watchdog", Noted("a", "", "b"), sync=True)
    again.close()
    assert not read_records(tmp_path).faults
    line = (tmp_path / "history.jsonl").read_bytes().replace(b"c" * 64, b"d" * 64)
    (tmp_path / "history.jsonl").write_bytes(line)
    assert any("before record 1" in fault for fault in read_records(tmp_path).faults)
